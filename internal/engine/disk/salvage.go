package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/wal"
)

// salvage reads the tables and logs of a damaged store one by one, without the manifest that ties them together, into
// a staging store: of each row the newest version that could be read. A staged value is the row's sequence number and
// kind, then its value.
type salvage struct {
	from    *Store
	rep     *RepairReport
	staging *pebble.DB
	batch   *pebble.Batch
	pending map[string]uint64 // sequence numbers in the batch
}

const salvageBatch = 2000

// all reads every file; damaged ones as far as they can be read.
func (v *salvage) all(ctx context.Context, progress Progress) error {
	fs, dir := v.from.opt.FS, v.from.path()
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	live := v.live()
	tables := slices.DeleteFunc(names, func(n string) bool {
		return !strings.HasSuffix(n, ".sst") || live != nil && !live[n]
	})
	slices.Sort(tables)
	for i, n := range tables {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := fs.PathJoin(dir, n)
		if err := withTable(ctx, fs, path, func(r *sstable.Reader) error { return v.table(path, r) }); err != nil {
			v.rep.problem(path, "%s", firstLine(err))
		}
		if progress != nil {
			progress("tables", int64(i+1), int64(len(tables)))
		}
	}
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: dir})
	if err != nil {
		return err
	}
	for _, log := range logs {
		if err := v.log(log); err != nil {
			return err
		}
	}
	return v.flush()
}

// live names the tables that the manifest knows, nil when it cannot be read: tables that are not live hold older
// versions of rows.
func (v *salvage) live() map[string]bool {
	if v.from.inspect() != nil {
		return nil
	}
	l := v.from.newLife()
	defer l.blocks.Unref()
	o := l.pebbleOptions()
	o.ReadOnly, o.ErrorIfNotExists = true, true
	db, err := pebble.Open(v.from.path(), o)
	if err != nil {
		return nil
	}
	defer db.Close()
	levels, err := db.SSTables()
	if err != nil {
		return nil
	}
	live := make(map[string]bool)
	for _, level := range levels {
		for _, t := range level {
			live[fmt.Sprintf("%06d.sst", uint64(t.FileNum))] = true
		}
	}
	return live
}

// table stages the rows of one table. Behind a damaged block it goes on at the next stream.
func (v *salvage) table(path string, r *sstable.Reader) error {
	var at []byte
	for {
		damaged, err := v.tablePart(r, &at)
		if err != nil {
			return err
		}
		if damaged == nil {
			return nil
		}
		v.rep.problem(path, "%s", firstLine(damaged))
		if at = nextStream(at); at == nil {
			return nil
		}
	}
}

// tablePart stages rows from a key on until the end or a damaged block; at is then the last key that was read.
func (v *salvage) tablePart(r *sstable.Reader, at *[]byte) (damaged, err error) {
	it, damaged := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if damaged != nil {
		*at = nil
		return damaged, nil
	}
	defer it.Close()
	kv := it.First()
	if *at != nil {
		kv = it.SeekGE(*at, 0)
	}
	for ; kv != nil; kv = it.Next() {
		value, _, damaged := kv.V.Value(nil)
		if damaged != nil {
			return damaged, nil
		}
		*at = append((*at)[:0], kv.K.UserKey...)
		if err := v.stage(kv.K.UserKey, value, uint64(kv.K.SeqNum()), byte(kv.K.Kind())); err != nil {
			return nil, err
		}
	}
	if damaged := it.Error(); damaged != nil {
		if *at == nil {
			*at = []byte{0}
		}
		return damaged, nil
	}
	return nil, nil
}

// nextStream is the first key behind those that share the tag and stream number of the given one; nil at the end.
func nextStream(key []byte) []byte {
	if len(key) > numbered {
		key = key[:numbered]
	}
	return upper(bytes.Clone(key))
}

// log stages what a log holds, up to its end or the first damage.
func (v *salvage) log(log wal.LogicalLog) error {
	r := log.OpenForRead()
	defer r.Close()
	for {
		rec, at, err := r.NextRecord()
		var repr []byte
		if err == nil {
			repr, err = io.ReadAll(rec)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			v.rep.problem(at.PhysicalFile, "%s", firstLine(err))
			return nil
		}
		if err := v.record(repr, at.PhysicalFile); err != nil {
			return err
		}
	}
}

func (v *salvage) record(repr []byte, file string) error {
	h, ok := batchrepr.ReadHeader(repr)
	if !ok {
		return nil
	}
	seq := uint64(h.SeqNum)
	r := batchrepr.Read(repr)
	for {
		kind, key, value, ok, err := r.Next()
		if err != nil {
			v.rep.problem(file, "%s", firstLine(err))
			return nil
		}
		if !ok {
			return nil
		}
		if kind == pebble.InternalKeyKindLogData {
			continue // has no sequence number
		}
		if err := v.stage(key, value, seq, byte(kind)); err != nil {
			return err
		}
		seq++
	}
}

const (
	kindDelete = byte(pebble.InternalKeyKindDelete)
	kindSet    = byte(pebble.InternalKeyKindSet)
)

// stage keeps the newest version of a row. Deleted ranges are not staged: all that they delete is out of the bounds
// that the stream's row says.
func (v *salvage) stage(key, value []byte, seq uint64, kind byte) error {
	switch pebble.InternalKeyKind(kind) {
	case pebble.InternalKeyKindSet, pebble.InternalKeyKindSetWithDelete:
		kind = kindSet
	case pebble.InternalKeyKindDelete, pebble.InternalKeyKindSingleDelete, pebble.InternalKeyKindDeleteSized:
		kind = kindDelete
	default:
		return nil
	}
	if len(key) == 0 || key[0] == tagEntry && len(key) != numbered+8 {
		return nil
	}
	have, ok := v.pending[string(key)]
	if !ok {
		old, closer, err := v.staging.Get(key)
		if err == nil {
			have, ok = binary.BigEndian.Uint64(old), true
			closer.Close()
		} else if err != pebble.ErrNotFound {
			return err
		}
	}
	if ok && have > seq {
		return nil
	}
	v.pending[string(key)] = seq
	staged := append(binary.BigEndian.AppendUint64(nil, seq), kind)
	if err := v.batch.Set(key, append(staged, value...), nil); err != nil {
		return err
	}
	if len(v.pending) >= salvageBatch {
		return v.flush()
	}
	return nil
}

func (v *salvage) flush() error {
	err := v.staging.Apply(v.batch, pebble.NoSync)
	v.batch.Close()
	v.batch = v.staging.NewBatch()
	clear(v.pending)
	return err
}
