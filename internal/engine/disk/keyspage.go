package disk

import (
	"bytes"
	"context"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Keys implements stream.Store.
func (s *Store) Keys(ctx context.Context, q stream.KeysQuery) (stream.KeysPage, error) {
	if q.Limit <= 0 {
		return stream.KeysPage{}, fault.New(fault.Invalid, "a page of keys needs a positive limit").In("limit")
	}
	if err := ctx.Err(); err != nil {
		return stream.KeysPage{}, fault.New(fault.Unavailable, "gave up: %w", err)
	}
	l, err := s.use()
	if err != nil {
		return stream.KeysPage{}, err
	}
	defer l.release()
	st, err := l.pin(q.Ref)
	if err != nil {
		return stream.KeysPage{}, err
	}
	defer l.unpin(st)
	return at(l, q.Ref, func(r *reader) (stream.KeysPage, error) {
		p, stale, err := r.keys(&q, l.opt.Folds[q.Ref.Log])
		for _, name := range stale {
			l.tasks.add(l, task{st, name})
		}
		// A trim may have passed the page's serial while it was read, and taken headers along.
		if now := l.visible(st); err == nil && (now.Floor > p.At || now.Resets != r.v.Resets) {
			err = errMoved
		}
		return p, err
	})
}

// keys reads a page. stale are the keys whose state took more than one read: the next page should find it kept.
func (r *reader) keys(q *stream.KeysQuery, fold stream.Fold) (p stream.KeysPage, stale []stream.Subject, err error) {
	p.Bounds = r.v.bounds()
	if p.At, err = r.provable(q.At); err != nil || r.v.num == 0 {
		return p, nil, err
	}
	if fold == nil {
		return p, nil, fault.New(fault.Invalid, "this log is not folded")
	}
	err = r.headers(q.After, q.Prefix, func(key string, h *header) (bool, error) {
		name := stream.KeySubject(key)
		if !r.v.alive(name, &h.Header) {
			return true, nil
		}
		f, err := r.fold(fold, name, h, p.At)
		if err != nil || !f.live {
			return err == nil, err
		}
		if len(p.Rows) == q.Limit {
			p.More = true
			return false, nil
		}
		if h.chain > 0 && h.chain+min(h.base, 1) > 1 && h.Last <= p.At && h.Last > r.v.Floor {
			stale = append(stale, name)
		}
		p.Rows = append(p.Rows, stream.KeyRow{Key: key, State: f.state})
		return true, nil
	})
	return p, stale, err
}

// fold is the state of a key at a serial. A key whose state is kept, or that was put once, needs one read.
func (r *reader) fold(fold stream.Fold, name stream.Subject, h *header, at uint64) (f folded, err error) {
	switch {
	case h.Last > at || h.Last <= r.v.Floor:
		return r.foldTo(fold, name, at)
	case h.chain == 0 && h.base == h.Last:
		return r.stateAt(name, h.base)
	case h.chain == 1 && h.base == 0:
		e, err := r.entry(h.Last)
		if err == nil {
			err = f.next(fold, e)
		}
		return f, err
	}
	return r.foldTo(fold, name, at)
}

// stateAt reads a state row that its header names.
func (r *reader) stateAt(name stream.Subject, serial uint64) (folded, error) {
	v, closer, err := r.l.get(subjectSerialKey(nil, tagState, r.v.num, name, serial))
	if err != nil {
		return folded{}, err
	}
	if closer == nil {
		return folded{}, errMoved
	}
	defer closer.Close()
	f, err := decodeState(serial, bytes.Clone(v))
	if err != nil {
		return f, r.l.corrupt("a state row", err)
	}
	return f, nil
}
