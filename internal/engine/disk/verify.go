package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Problem is something that is not as it was written.
type Problem struct {
	Where string `json:"where"` // a file, or a stream
	What  string `json:"what"`
}

// Report is what Verify found.
type Report struct {
	Tables   int       `json:"tables"`
	Streams  int       `json:"streams"`
	Entries  uint64    `json:"entries"`
	Rows     uint64    `json:"rows"` // all of them
	Problems []Problem `json:"problems"`
	More     int       `json:"more_problems"` // beyond those listed
}

const maxProblems = 200

func (r *Report) problem(where, format string, args ...any) {
	if len(r.Problems) >= maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{where, fmt.Sprintf(format, args...)})
}

// Verify checks a store that no server has open: every block of every file, and every row: that each log is without a
// hole, that its bytes add up, that time does not run backwards. It changes nothing.
func Verify(ctx context.Context, dir string, opt Options, progress Progress) (*Report, error) {
	s := &Store{dir: dir, opt: opt.withDefaults()}
	s.opt.Events = Events{}
	fresh, err := s.claim()
	if err != nil {
		return nil, err
	}
	defer s.unclaim()
	rep := &Report{}
	if fresh {
		return rep, nil
	}
	if err := s.verifyTables(ctx, rep, progress); err != nil {
		return nil, err
	}
	if err := s.inspect(); err != nil {
		rep.corrupt(err)
		return rep, nil
	}
	l := s.newLife()
	defer l.blocks.Unref()
	o := l.pebbleOptions()
	o.ReadOnly, o.ErrorIfNotExists = true, true
	if l.db, err = pebble.Open(s.path(), o); err != nil {
		rep.corrupt(s.explain(err))
		return rep, nil
	}
	v := &verifier{l: l, rep: rep, streams: make(map[uint64]*checked), progress: progress}
	err = v.rows(ctx)
	return rep, errors.Join(err, l.db.Close())
}

func (r *Report) corrupt(err error) {
	var c *CorruptError
	if errors.As(err, &c) {
		r.problem(c.File, "%v", c.Err)
		return
	}
	r.problem("store", "%v", err)
}

// verifyTables reads every block of every table.
func (s *Store) verifyTables(ctx context.Context, rep *Report, progress Progress) error {
	fs := s.opt.FS
	names, err := fs.List(s.path())
	if err != nil {
		return err
	}
	for i, n := range names {
		if progress != nil {
			progress("files", int64(i), int64(len(names)))
		}
		if !strings.HasSuffix(n, ".sst") {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rep.Tables++
		path := fs.PathJoin(s.path(), n)
		if err := withTable(ctx, fs, path, func(r *sstable.Reader) error { return r.ValidateBlockChecksums() }); err != nil {
			rep.problem(path, "%s", firstLine(err))
		}
	}
	return nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// withTable opens one table by itself.
func withTable(ctx context.Context, fs vfs.FS, path string, f func(*sstable.Reader) error) error {
	file, err := fs.Open(path)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(file)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	o := &pebble.Options{Comparer: comparer, Logger: silent{}}
	o.EnsureDefaults()
	r, err := sstable.NewReader(ctx, readable, o.MakeReaderOptions())
	if err != nil {
		return err // the reader has closed the file
	}
	return errors.Join(f(r), r.Close())
}

// checked is what is known about a stream while its rows go by.
type checked struct {
	row
	ref  stream.Ref
	next uint64 // serial that must come
	time int64
	cum  uint64
	bad  bool
}

// verifier looks at every row once, in order of keys: rows of streams (S) come before those of entries (e).
type verifier struct {
	l        *life
	rep      *Report
	streams  map[uint64]*checked
	progress Progress
}

func (v *verifier) rows(ctx context.Context) error {
	it, err := v.l.db.NewIter(nil)
	if err != nil {
		v.rep.corrupt(v.l.store.explain(err))
		return nil
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if v.rep.Rows++; v.rep.Rows%100_000 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if v.progress != nil {
				v.progress("rows", int64(v.rep.Rows), 0)
			}
		}
		val, err := it.ValueAndErr()
		if err != nil {
			break
		}
		if err := v.row(it.Key(), val); err != nil {
			v.rep.problem(v.where(it.Key()), "%v", err)
		}
	}
	if err := it.Error(); err != nil {
		v.rep.corrupt(v.l.store.explain(err))
		return nil
	}
	for _, c := range v.streams {
		if c.next <= c.Head && !c.bad {
			v.rep.problem(c.ref.String(), "the entries from serial %d to the head %d are missing", c.next, c.Head)
		}
	}
	return nil
}

func (v *verifier) where(key []byte) string {
	if len(key) >= numbered {
		if c := v.streams[binary.BigEndian.Uint64(key[1:])]; c != nil {
			return c.ref.String()
		}
	}
	return fmt.Sprintf("row %q", bytes.ToValidUTF8(key, []byte{'.'}))
}

func (v *verifier) row(key, val []byte) error {
	switch key[0] {
	case tagStream:
		return v.stream(key, val)
	case tagEntry:
		return v.entry(key, val)
	case tagHeader:
		_, err := decodeHeader(val)
		return err
	case tagIndex:
		if _, _, ok := splitSubject(key); !ok {
			return fmt.Errorf("index key: %w", stream.ErrCorrupt)
		}
		_, _, err := decodeIndex(val)
		return err
	case tagState:
		_, serial, ok := splitSubject(key)
		if !ok {
			return fmt.Errorf("state key: %w", stream.ErrCorrupt)
		}
		_, err := decodeState(serial, val)
		return err
	case tagReceipt:
		_, err := stream.DecodeKept(val)
		return err
	case tagRecord:
		_, err := decodeRecord(val)
		return err
	case tagStore, tagAlias, tagExpiry, tagDue:
		return nil
	}
	return fmt.Errorf("unknown tag: %w", stream.ErrCorrupt)
}

func (v *verifier) stream(key, val []byte) error {
	ref, ok := refOf(key)
	r, err := decodeRow(val)
	if err != nil || !ok {
		return errors.Join(err, stream.ErrCorrupt)
	}
	v.rep.Streams++
	v.streams[r.num] = &checked{row: r, ref: ref, next: r.Floor + 1, time: r.FloorTime, cum: r.FloorCum}
	return nil
}

func (v *verifier) entry(key, val []byte) error {
	if len(key) != numbered+8 {
		return fmt.Errorf("entry key: %w", stream.ErrCorrupt)
	}
	c := v.streams[binary.BigEndian.Uint64(key[1:])]
	serial := binary.BigEndian.Uint64(key[numbered:])
	if c == nil || serial <= c.Floor || c.bad {
		return nil // left over, to be deleted
	}
	v.rep.Entries++
	e, err := stream.DecodeEntry(serial, val)
	switch {
	case err != nil:
	case serial > c.Head:
		err = fmt.Errorf("serial %d is beyond the head %d", serial, c.Head)
	case serial != c.next:
		err = fmt.Errorf("the entries from serial %d to %d are missing", c.next, serial-1)
	case e.Time < c.time:
		err = fmt.Errorf("serial %d is older than the entry before it", serial)
	case e.Cum != c.cum+uint64(e.Size()):
		err = fmt.Errorf("serial %d: its bytes do not add up", serial)
	default:
		c.next, c.time, c.cum = serial+1, e.Time, e.Cum
	}
	c.bad = err != nil
	return err
}
