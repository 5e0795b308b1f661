package disk

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// records serializes the writes of each key. A lock is held until the write is stable, so that nobody reads what a
// crash could take back; pebble still joins the syncs of different keys.
type records struct {
	stripes [64]sync.RWMutex
}

func (r *records) stripe(key []byte) *sync.RWMutex {
	h := fnv.New32a()
	h.Write(key)
	return &r.stripes[h.Sum32()%uint32(len(r.stripes))]
}

// A record row is its version, and the value unless the record was deleted: a deleted record leaves its version behind,
// so that it is never used again.
const (
	recordGone = 0
	recordLive = 1
)

type kept struct {
	version uint64
	live    bool
	value   []byte
}

func (k kept) current() uint64 {
	if !k.live {
		return 0
	}
	return k.version
}

func decodeRecord(b []byte) (kept, error) {
	if len(b) < 2 {
		return kept{}, fmt.Errorf("record: %w", stream.ErrCorrupt)
	}
	v, n := binary.Uvarint(b[1:])
	if n <= 0 || b[0] > recordLive {
		return kept{}, fmt.Errorf("record: %w", stream.ErrCorrupt)
	}
	return kept{version: v, live: b[0] == recordLive, value: append([]byte(nil), b[1+n:]...)}, nil
}

func (l *life) record(key []byte) (kept, error) {
	v, closer, err := l.get(key)
	if err != nil || closer == nil {
		return kept{}, err
	}
	defer closer.Close()
	k, err := decodeRecord(v)
	if err != nil {
		return kept{}, l.corrupt("a record", err)
	}
	return k, nil
}

// Get implements record.Store.
func (s *Store) Get(_ context.Context, space, key string) (record.Record, error) {
	l, err := s.use()
	if err != nil {
		return record.Record{}, err
	}
	defer l.release()
	row := recordKey(nil, space, key)
	mu := s.records.stripe(row)
	mu.RLock()
	defer mu.RUnlock()
	k, err := l.record(row)
	if err != nil || !k.live {
		return record.Record{Key: key}, err
	}
	return record.Record{Key: key, Value: k.value, Version: k.version}, nil
}

// Put implements record.Store.
func (s *Store) Put(_ context.Context, space, key string, value []byte, ifVersion uint64) (uint64, error) {
	return s.change(space, key, ifVersion, func(k kept) kept {
		return kept{version: k.version + 1, live: true, value: value}
	})
}

// Delete implements record.Store.
func (s *Store) Delete(_ context.Context, space, key string, ifVersion uint64) error {
	_, err := s.change(space, key, ifVersion, func(k kept) kept { return kept{version: k.version} })
	return err
}

func (s *Store) change(space, key string, ifVersion uint64, to func(kept) kept) (uint64, error) {
	l, err := s.use()
	if err != nil {
		return 0, err
	}
	defer l.release()
	row := recordKey(nil, space, key)
	mu := s.records.stripe(row)
	mu.Lock()
	defer mu.Unlock()
	k, err := l.record(row)
	if err != nil {
		return 0, err
	}
	if ifVersion != record.Any && ifVersion != k.current() {
		return 0, fault.New(fault.Conflict, "record %q is at version %d, not %d", key, k.current(), ifVersion).With(k.current())
	}
	next := to(k)
	if !k.live && !next.live {
		return 0, nil
	}
	if next.live {
		if err := s.room(l); err != nil {
			return 0, err
		}
	}
	flag := byte(recordGone)
	if next.live {
		flag = recordLive
	}
	b := append(binary.AppendUvarint([]byte{flag}, next.version), next.value...)
	if err := l.write(func() error { return l.db.Set(row, b, pebble.Sync) }); err != nil {
		return 0, err
	}
	return next.version, nil
}

// write does a synced write outside the shards. A failure, also one that pebble answers with a panic, ends the life.
func (l *life) write(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.stuck.Store(true)
			err = fmt.Errorf("pebble panicked: %v", p)
		}
		if err == nil {
			if f := l.failure.Load(); f != nil {
				err = *f
			}
		}
		if err != nil {
			l.fail(err)
			err = errUnknown
		}
	}()
	return do()
}

// List implements record.Store.
func (s *Store) List(_ context.Context, space, after string, limit int) ([]record.Record, error) {
	if limit <= 0 {
		return nil, nil
	}
	l, err := s.use()
	if err != nil {
		return nil, err
	}
	defer l.release()
	prefix := spaceKey(nil, space)
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: recordKey(nil, space, after), UpperBound: upper(prefix)})
	if err != nil {
		return nil, l.readError(err)
	}
	defer it.Close()
	var out []record.Record
	for ok := it.First(); ok && len(out) < limit; ok = it.Next() {
		key := string(it.Key()[len(prefix):])
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, l.readError(err)
		}
		k, err := decodeRecord(v)
		if err != nil {
			return nil, l.corrupt("a record", err)
		}
		if k.live && key > after {
			out = append(out, record.Record{Key: key, Value: k.value, Version: k.version})
		}
	}
	return out, l.readError(it.Error())
}
