package disk

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Listed is a stream that has a row.
type Listed struct {
	Ref    stream.Ref
	Bounds stream.Bounds
	Class  stream.Durability
}

// Channels lists up to limit streams of an app whose channel is greater than after, in order of channel bytes. Both
// logs of a channel come in one page, messages first, so a page may be one longer than limit.
func (s *Store) Channels(ctx context.Context, app, after string, limit int) ([]Listed, error) {
	l, err := s.use()
	if err != nil {
		return nil, err
	}
	defer l.release()
	prefix := appKey(nil, app)
	var out []Listed
	err = l.eachRow(append(appKey(nil, app), after...), upper(prefix), func(ref stream.Ref, r *row) (bool, error) {
		if ref.Channel <= after && after != "" {
			return true, ctx.Err()
		}
		if len(out) >= limit && ref.Channel != out[len(out)-1].Ref.Channel {
			return false, nil
		}
		if v := l.peek(ref); v != nil {
			r = v
		} else {
			r.id = stream.DeriveID(l.epoch, ref, r.Incarnation)
		}
		if r.num != 0 {
			out = append(out, Listed{Ref: ref, Bounds: r.bounds(), Class: r.Class})
		}
		return limit > 0, ctx.Err()
	})
	return out, err
}

// peek is what readers see of a stream that is in memory, nil for others: those have nothing in flight, so their row is
// what readers see.
func (l *life) peek(ref stream.Ref) *row {
	slot := slotOf(ref)
	c := &l.shards[slot%uint64(len(l.shards))].cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.m[ref]; s != nil {
		return s.vis.Load()
	}
	return nil
}
