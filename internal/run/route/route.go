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

	mu sync.RWMutex
	// fluid are the streams that were volatile in this process since they were last durable. The durable engine was told.
	fluid map[stream.Ref]struct{}
}

// New makes a Store. rules says which streams are volatile.
func New(durable, volatile stream.Store, rules func(stream.Ref) stream.Rules) *Store {
	return &Store{durable: durable, volatile: volatile, rules: rules, fluid: map[stream.Ref]struct{}{}}
}

var _ stream.Store = (*Store)(nil)

func (s *Store) of(ref stream.Ref) stream.Store {
	if s.rules(ref).Durability == stream.Volatile {
		return s.volatile
	}
	return s.durable
}

// appends settles where the appends of a stream go. A policy that changes in between begins a new incarnation on the
// side that is left, so that nobody resumes there later as if nothing had happened meanwhile.
func (s *Store) appends(ctx context.Context, ref stream.Ref) (volatile bool, err error) {
	volatile = s.rules(ref).Durability == stream.Volatile
	s.mu.RLock()
	_, fluid := s.fluid[ref]
	s.mu.RUnlock()
	if fluid == volatile {
		return volatile, nil
	}
	// Not under the lock: it is I/O, and doing it twice does no harm.
	if !volatile {
		_, err = s.volatile.Cut(ctx, stream.Cut{Ref: ref, Kind: stream.Reset})
	} else if m, ok := s.durable.(Marker); ok {
		err = m.MarkVolatile(ctx, ref)
	}
	if err != nil {
		return volatile, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if volatile {
		s.fluid[ref] = struct{}{}
	} else {
		delete(s.fluid, ref)
	}
	return volatile, nil
}

// Append implements stream.Store. Ops of both kinds may be mixed; each kind is one atomic step.
func (s *Store) Append(ctx context.Context, ops []stream.Op) ([]stream.Result, error) {
	var volatile []int
	for i := range ops {
		if i > 0 && ops[i].Ref == ops[i-1].Ref && (len(volatile) == 0 || volatile[len(volatile)-1] != i-1) {
			continue // as the one before it: durable
		}
		v, err := s.appends(ctx, ops[i].Ref)
		if err != nil {
			return nil, err
		}
		if v {
			volatile = append(volatile, i)
		}
	}
	switch len(volatile) {
	case 0:
		return s.durable.Append(ctx, ops)
	case len(ops):
		return s.volatile.Append(ctx, ops)
	}
	return s.split(ctx, ops, volatile)
}

// split appends the durable ops, then the volatile ones, and puts the results back in order.
func (s *Store) split(ctx context.Context, ops []stream.Op, volatile []int) ([]stream.Result, error) {
	var at [2][]int // durable, volatile
	var parts [2][]stream.Op
	for i := range ops {
		side := 0
		if len(volatile) > 0 && volatile[0] == i {
			side, volatile = 1, volatile[1:]
		}
		at[side], parts[side] = append(at[side], i), append(parts[side], ops[i])
	}
	results := make([]stream.Result, len(ops))
	for side, store := range [2]stream.Store{s.durable, s.volatile} {
		rs, err := store.Append(ctx, parts[side])
		if err != nil && side == 0 {
			return nil, err // nothing was decided yet
		}
		for k, i := range at[side] {
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
