package memory

import (
	"context"
	"slices"
	"sync"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/record"
)

// records are the small records of a store. Deleted ones leave their version behind, so that it is never used again.
type records struct {
	mu     sync.RWMutex
	spaces map[string]map[string]kept
}

type kept struct {
	value   []byte
	version uint64
	deleted bool
}

func newRecords() *records { return &records{spaces: map[string]map[string]kept{}} }

func (k kept) current() uint64 {
	if k.deleted {
		return 0
	}
	return k.version
}

// usable gives the records while the store may be used.
func (s *Store) usable(ctx context.Context) (*records, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.records, s.ready(ctx)
}

// Get implements record.Store.
func (s *Store) Get(ctx context.Context, space, key string) (record.Record, error) {
	r, err := s.usable(ctx)
	if err != nil {
		return record.Record{}, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	k := r.spaces[space][key]
	if k.current() == 0 {
		return record.Record{Key: key}, nil
	}
	return record.Record{Key: key, Value: slices.Clone(k.value), Version: k.version}, nil
}

// Put implements record.Store.
func (s *Store) Put(ctx context.Context, space, key string, value []byte, ifVersion uint64) (uint64, error) {
	r, err := s.usable(ctx)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.spaces[space][key]
	if err := k.check(key, ifVersion); err != nil {
		return 0, err
	}
	if r.spaces[space] == nil {
		r.spaces[space] = map[string]kept{}
	}
	k = kept{value: slices.Clone(value), version: k.version + 1}
	r.spaces[space][key] = k
	return k.version, nil
}

// Delete implements record.Store.
func (s *Store) Delete(ctx context.Context, space, key string, ifVersion uint64) error {
	r, err := s.usable(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.spaces[space][key]
	if err := k.check(key, ifVersion); err != nil || k.current() == 0 {
		return err
	}
	r.spaces[space][key] = kept{version: k.version, deleted: true}
	return nil
}

func (k kept) check(key string, ifVersion uint64) error {
	if ifVersion != record.Any && ifVersion != k.current() {
		return fault.New(fault.Conflict, "record %q is at version %d, not %d", key, k.current(), ifVersion).With(k.current())
	}
	return nil
}

// List implements record.Store.
func (s *Store) List(ctx context.Context, space, after string, limit int) ([]record.Record, error) {
	r, err := s.usable(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	var keys []string
	for key, k := range r.spaces[space] {
		if key > after && k.current() != 0 {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	out := make([]record.Record, 0, min(max(limit, 0), len(keys)))
	for _, key := range keys[:cap(out)] {
		k := r.spaces[space][key]
		out = append(out, record.Record{Key: key, Value: slices.Clone(k.value), Version: k.version})
	}
	return out, nil
}
