// Package route is the store that sends each stream where its durability says: volatile streams to memory, all others
// to the durable engine.
package route

import (
	"context"
	"sync"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Marker is what a durable engine offers so that a channel which becomes volatile cannot be resumed later as if nothing
// had happened meanwhile: a cut that is written once and gives the stream a new incarnation.
type Marker interface {
	MarkVolatile(ctx context.Context, ref stream.Ref) error
}

// Store is a stream.Store made of two.
type Store struct {
	durable  stream.Store
	volatile stream.Store
	rules    func(stream.Ref) stream.Rules

	mu     sync.RWMutex
	marked map[stream.Ref]struct{} // volatile streams that the durable engine knows of
}

// New makes a Store. rules says which streams are volatile.
func New(durable, volatile stream.Store, rules func(stream.Ref) stream.Rules) *Store {
	return &Store{durable: durable, volatile: volatile, rules: rules, marked: map[stream.Ref]struct{}{}}
}

var _ stream.Store = (*Store)(nil)

func (s *Store) of(ref stream.Ref) stream.Store {
	if s.rules(ref).Durability == stream.Volatile {
		return s.volatile
	}
	return s.durable
}

// mark tells the durable engine of a volatile stream before its first append in this process.
func (s *Store) mark(ctx context.Context, ref stream.Ref) error {
	m, ok := s.durable.(Marker)
	if !ok {
		return nil
	}
	s.mu.RLock()
	_, done := s.marked[ref]
	s.mu.RUnlock()
	if done {
		return nil
	}
	if err := m.MarkVolatile(ctx, ref); err != nil {
		return err
	}
	s.mu.Lock()
	s.marked[ref] = struct{}{}
	s.mu.Unlock()
	return nil
}

// Append implements stream.Store. Ops of both kinds may be mixed; each kind is one atomic step.
func (s *Store) Append(ctx context.Context, ops []stream.Op) ([]stream.Result, error) {
	var volatile []int
	for i := range ops {
		if s.rules(ops[i].Ref).Durability == stream.Volatile {
			volatile = append(volatile, i)
		}
	}
	if len(volatile) == 0 {
		return s.durable.Append(ctx, ops)
	}
	for _, i := range volatile {
		if err := s.mark(ctx, ops[i].Ref); err != nil {
			return nil, err
		}
	}
	if len(volatile) == len(ops) {
		return s.volatile.Append(ctx, ops)
	}
	return s.split(ctx, ops, volatile)
}

// split appends the durable ops, then the volatile ones, and puts the results back in order.
func (s *Store) split(ctx context.Context, ops []stream.Op, volatile []int) ([]stream.Result, error) {
	results := make([]stream.Result, len(ops))
	in := make(map[int]bool, len(volatile))
	for _, i := range volatile {
		in[i] = true
	}
	for _, part := range []struct {
		store    stream.Store
		volatile bool
	}{{s.durable, false}, {s.volatile, true}} {
		var at []int
		var sub []stream.Op
		for i := range ops {
			if in[i] == part.volatile {
				at, sub = append(at, i), append(sub, ops[i])
			}
		}
		rs, err := part.store.Append(ctx, sub)
		for k, i := range at {
			if err != nil {
				results[i] = stream.Result{Outcome: stream.Refused, Err: err}
				continue
			}
			results[i] = rs[k]
		}
	}
	return results, nil
}

// Read implements stream.Store.
func (s *Store) Read(ctx context.Context, q stream.Query) (stream.Page, error) {
	return s.of(q.Ref).Read(ctx, q)
}

// Keys implements stream.Store.
func (s *Store) Keys(ctx context.Context, q stream.KeysQuery) (stream.KeysPage, error) {
	return s.of(q.Ref).Keys(ctx, q)
}

// Cut implements stream.Store.
func (s *Store) Cut(ctx context.Context, c stream.Cut) (stream.CutResult, error) {
	return s.of(c.Ref).Cut(ctx, c)
}

// Watch implements stream.Store.
func (s *Store) Watch(f func(stream.Advance)) (stop func()) {
	durable, volatile := s.durable.Watch(f), s.volatile.Watch(f)
	return func() {
		durable()
		volatile()
	}
}

// Info describes the durable part.
func (s *Store) Info() stream.Info { return s.durable.Info() }
