// Package record is the store of small records: relay cursors, registrations, keys.
package record

import "context"

// Store keeps small records, each under a space and a key, durably. All methods may be called concurrently.
// Values are copied in and out. Errors are faults: Conflict when a condition did not hold (Detail: the version found),
// Unavailable when the store cannot be read or written now, Unknown when the outcome of a write is unknown.
type Store interface {
	// Get returns a record, Version 0 when there is none.
	Get(ctx context.Context, space, key string) (Record, error)
	// Put writes value and returns the new version. if is the version that the record must have now: 0 for none there,
	// Any for whatever.
	Put(ctx context.Context, space, key string, value []byte, ifVersion uint64) (version uint64, err error)
	// Delete removes a record under the same condition. Deleting what is not there is no error with Any.
	Delete(ctx context.Context, space, key string, ifVersion uint64) error
	// List returns up to limit records of a space with keys greater than after, in key order.
	List(ctx context.Context, space, after string, limit int) ([]Record, error)
}

// Any is the condition that always holds.
const Any = ^uint64(0)

// Record is one small record.
type Record struct {
	Key     string
	Value   []byte
	Version uint64 // counts writes of this key, from 1; never used again after a delete within one store generation
}
