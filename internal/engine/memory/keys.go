package memory

import (
	"context"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Keys implements stream.Store.
func (s *Store) Keys(ctx context.Context, q stream.KeysQuery) (stream.KeysPage, error) {
	var p stream.KeysPage
	if q.Limit <= 0 {
		return p, fault.New(fault.Invalid, "a page of keys needs a positive limit").In("limit")
	}
	s.settleKeys(q.Ref)
	err := s.read(ctx, q.Ref, func(l *log, absent stream.Bounds) error {
		if l == nil {
			p.Bounds = absent
			if q.At > 0 {
				return ahead(q.At, 0)
			}
			return nil
		}
		p.Bounds = s.bounds(&l.meta, l.id)
		at, err := l.provable(q.At)
		if err != nil {
			return err
		}
		p.At = at
		return l.rows(&q, &p)
	})
	return p, err
}

func (s *Store) settleKeys(ref stream.Ref) {
	s.mu.RLock()
	l := s.logs[ref]
	settled := l == nil || l.keys.settled()
	s.mu.RUnlock()
	if settled {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.logs[ref]; l != nil && !l.keys.settled() {
		l.keys.settle(func(key string) bool { return l.subjects[stream.KeySubject(key)] != nil })
	}
}

func (l *log) rows(q *stream.KeysQuery, p *stream.KeysPage) error {
	if l.fold == nil {
		return fault.New(fault.Invalid, "this log is not folded")
	}
	for _, key := range l.keys.sorted[l.keys.from(q.After, q.Prefix):] {
		if !strings.HasPrefix(key, q.Prefix) {
			return nil
		}
		sub := l.subjects[stream.KeySubject(key)]
		if sub == nil {
			continue
		}
		row, err := l.foldTo(sub, p.At)
		if err != nil {
			return fault.New(fault.Internal, "the entries of key %q cannot be folded: %w", key, err)
		}
		if !row.live {
			continue
		}
		if len(p.Rows) == q.Limit {
			p.More = true
			return nil
		}
		p.Rows = append(p.Rows, stream.KeyRow{Key: key, State: row.state})
	}
	return nil
}
