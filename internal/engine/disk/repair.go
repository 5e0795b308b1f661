package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// RepairReport says what a repair could read and what it could not.
type RepairReport struct {
	Report
	Epoch string `json:"epoch"`
	Cut   int    `json:"streams_cut"` // streams that lost entries: those behind the last hole were kept
	Lost  int    `json:"streams_lost"`
}

// Repair copies what can be read of a damaged store into a folder that holds none, under a new epoch. The damaged store
// is not changed. Every stream's log is without a hole afterwards: what lies before a hole is given up.
func Repair(ctx context.Context, from, to string, opt Options, progress Progress) (rep *RepairReport, err error) {
	opt = opt.withDefaults()
	opt.SweepEvery, opt.Events = -1, Events{}
	src := &Store{dir: from, opt: opt, closing: make(chan struct{})}
	if _, err := opt.FS.Stat(src.path()); err != nil {
		return nil, fmt.Errorf("%s holds no store: %w", from, err)
	}
	lock, err := opt.FS.Lock(src.file(lockFile))
	if err != nil {
		return nil, errors.Join(&InUseError{Dir: from, PID: src.holder()}, err)
	}
	defer lock.Close()
	if _, err := opt.FS.Stat(opt.FS.PathJoin(to, storeDir)); err == nil {
		return nil, fmt.Errorf("%s exists already: repair into a folder that holds no store", opt.FS.PathJoin(to, storeDir))
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	dst, err := Open(to, opt)
	if err != nil {
		return nil, err
	}
	rep = &RepairReport{Epoch: dst.Info().Epoch}
	err = dst.rebuild(ctx, src, rep, progress)
	return rep, errors.Join(err, dst.Close())
}

// rebuild fills an empty store with what can be salvaged from another one.
func (s *Store) rebuild(ctx context.Context, src *Store, rep *RepairReport, progress Progress) error {
	dir := s.file("salvage")
	staging, err := pebble.Open(dir, &pebble.Options{FS: s.opt.FS, Comparer: comparer, DisableWAL: true, Logger: silent{},
		FormatMajorVersion: pebble.FormatNewest, MemTableSize: s.opt.MemTableBytes})
	if err != nil {
		return err
	}
	v := &salvage{from: src, rep: rep, staging: staging, batch: staging.NewBatch(), pending: make(map[string]uint64)}
	err = v.all(ctx, progress)
	if err == nil {
		l := s.life.Load()
		r := &rebuild{l: l, rep: rep, streams: make(map[uint64]*rebuilt), batch: l.db.NewBatch()}
		err = r.run(ctx, staging)
	}
	v.batch.Close()
	return errors.Join(err, staging.Close(), s.opt.FS.RemoveAll(dir))
}

// rebuilt is a stream on its way into the new store.
type rebuilt struct {
	row
	ref  stream.Ref
	was  stream.Extent
	live uint64
}

// rebuild writes salvaged rows, in order of keys, into a new store: facts and streams first, then entries, which say
// what of each stream is left, then what depends on that.
type rebuild struct {
	l       *life
	rep     *RepairReport
	streams map[uint64]*rebuilt
	batch   *pebble.Batch
	next    uint64 // above every counter in a stream number
}

func (r *rebuild) run(ctx context.Context, staging *pebble.DB) error {
	for _, pass := range []struct {
		tags []byte
		row  func(key, val []byte) error
	}{
		{[]byte{tagStore, tagStream}, r.identity},
		{[]byte{tagEntry}, r.entry},
		{[]byte{tagHeader, tagAlias, tagIndex, tagState, tagReceipt, tagExpiry, tagRecord}, r.dependent},
	} {
		for _, tag := range pass.tags {
			if err := r.pass(ctx, staging, tag, pass.row); err != nil {
				return err
			}
		}
	}
	for _, c := range r.streams {
		if err := r.stream(c); err != nil {
			return err
		}
	}
	if err := r.set(numbersKey, numberKey(nil, 1, max(r.next, 1))); err != nil {
		return err
	}
	if err := r.flush(0); err != nil {
		return err
	}
	return r.l.db.Flush()
}

func (r *rebuild) pass(ctx context.Context, staging *pebble.DB, tag byte, row func(key, val []byte) error) error {
	it, err := staging.NewIter(&pebble.IterOptions{LowerBound: []byte{tag}, UpperBound: []byte{tag + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if len(v) < 9 || v[8] == kindDelete {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := row(bytes.Clone(it.Key()), bytes.Clone(v[9:])); err != nil {
			return err
		}
	}
	return it.Error()
}

func (r *rebuild) set(key, val []byte) error {
	r.rep.Rows++
	if err := r.batch.Set(key, val, nil); err != nil {
		return err
	}
	return r.flush(salvageBatch)
}

func (r *rebuild) flush(n uint32) error {
	if r.batch.Empty() || r.batch.Count() < n {
		return nil
	}
	err := r.l.write(func() error { return r.l.db.Apply(r.batch, pebble.NoSync) })
	r.batch.Close()
	r.batch = r.l.db.NewBatch()
	return err
}

// identity takes the facts that outlive an epoch, and the streams.
func (r *rebuild) identity(key, val []byte) error {
	if key[0] == tagStore {
		if bytes.Equal(key, numbersKey) && len(val) == 9 {
			r.next = max(r.next, binary.BigEndian.Uint64(val[1:]))
		} else if bytes.Equal(key, forgetKey) {
			return r.set(key, val)
		}
		return nil
	}
	ref, ok := refOf(key)
	c := &rebuilt{ref: ref}
	var err error
	if c.row, err = decodeRow(val); err != nil || !ok {
		r.rep.problem(fmt.Sprintf("row %q", key), "%v", errors.Join(err, stream.ErrCorrupt))
		r.rep.Lost++
		return nil
	}
	// Until its entries have been seen nothing of the stream is left.
	c.was = c.Extent
	c.Floor, c.FloorTime, c.FloorCum = c.Head, c.HeadTime, c.HeadCum
	r.streams[c.num] = c
	r.next = max(r.next, c.num>>slotBits+1)
	r.rep.Streams++
	return nil
}

// entry takes an entry if its stream is known. A hole gives up what was taken before it.
func (r *rebuild) entry(key, val []byte) error {
	num, serial := binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint64(key[numbered:])
	c := r.streams[num]
	if c == nil || serial <= c.was.Floor || serial > stream.MaxSerial {
		return nil
	}
	e, err := stream.DecodeEntry(serial, val)
	if err != nil {
		r.rep.problem(c.ref.String(), "%v", err)
		return nil
	}
	if fresh := c.Floor == c.was.Head && c.Head == c.was.Head; fresh || serial != c.Head+1 {
		c.Floor, c.FloorTime, c.FloorCum = serial-1, e.Time, e.Cum-uint64(e.Size())
		if serial-1 == c.was.Floor {
			c.FloorTime = c.was.FloorTime
		}
	}
	c.Head, c.HeadTime, c.HeadCum = serial, e.Time, e.Cum
	r.rep.Entries++
	return r.set(key, val)
}

// dependent takes rows that are about entries which are there.
func (r *rebuild) dependent(key, val []byte) error {
	if key[0] == tagRecord {
		return r.set(key, val)
	}
	at := 1
	if key[0] == tagExpiry {
		at = 9
	}
	if len(key) < at+8 {
		return nil
	}
	c := r.streams[binary.BigEndian.Uint64(key[at:])]
	if c == nil || !c.keeps(key, val) {
		return nil
	}
	return r.set(key, val)
}

func (c *rebuilt) keeps(key, val []byte) bool {
	switch key[0] {
	case tagHeader:
		h, err := decodeHeader(val)
		name := stream.Subject(key[numbered:])
		cut := c.cut()
		if err != nil || name == "" || h.Last > c.Head || !cut.alive(name, &h.Header) {
			return false
		}
		if name[0] == 'k' && !h.Deleted {
			c.live++
		}
		return true
	case tagIndex, tagState:
		_, serial, ok := splitSubject(key)
		return ok && serial <= c.Head
	case tagReceipt:
		k, err := stream.DecodeKept(val)
		return err == nil && k.Entry.Serial <= c.Head
	}
	return true
}

// cut is the stream's row as it will be. A floor that moved past entries which no checkpoint knows ends every message
// below it.
func (c *rebuilt) cut() row {
	r := c.row
	if r.Floor > c.was.Floor {
		r.ended, r.kept = r.Floor, false
	}
	return r
}

func (r *rebuild) stream(c *rebuilt) error {
	out := c.cut()
	out.Keys, out.due = c.live, 0
	if out.Floor > c.was.Floor || out.Head < c.was.Head {
		r.rep.Cut++
	}
	out.Base = min(out.Base, out.Floor)
	out.due = r.l.opt.Now() + 1 // retention looks at it soon
	if err := r.set(dueKey(nil, out.due, out.num), streamKey(nil, c.ref)); err != nil {
		return err
	}
	return r.set(streamKey(nil, c.ref), appendRow(nil, &out))
}
