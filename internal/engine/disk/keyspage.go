package disk

import (
	"cmp"
	"context"
	"slices"

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
	return frozen(l, q.Ref, func(r *reader) (stream.KeysPage, error) {
		k := &keysReader{reader: r, q: &q, fold: l.opt.Folds[q.Ref.Log]}
		err := k.read()
		for _, name := range k.stale {
			l.tasks.add(l, task{st, name})
		}
		return k.p, err
	})
}

// keysReader reads a page of keys.
type keysReader struct {
	*reader
	q     *stream.KeysQuery
	p     stream.KeysPage
	fold  stream.Fold
	stale []stream.Subject // keys whose state took many reads: the next page should find it kept
}

// candidate is a key that may be live at the page's serial.
type candidate struct {
	key string
	header
	newest *stream.Entry // its newest entry, if that may be all that there is to fold
}

func (k *keysReader) read() (err error) {
	k.p.Bounds = k.v.bounds()
	if k.p.At, err = k.provable(k.q.At); err != nil || k.v.num == 0 {
		return err
	}
	if k.fold == nil {
		return fault.New(fault.Invalid, "this log is not folded")
	}
	for after, more := k.q.After, true; more; {
		want := k.q.Limit + 1 - len(k.p.Rows)
		list, err := k.candidates(after, want)
		if err != nil {
			return err
		}
		if more = len(list) == want; more {
			after = list[want-1].key
		}
		if err := k.newest(list); err != nil {
			return err
		}
		for i := range list {
			f, err := k.state(&list[i])
			if err != nil {
				return err
			}
			if !f.live {
				continue
			}
			if len(k.p.Rows) == k.q.Limit {
				k.p.More = true
				return nil
			}
			k.p.Rows = append(k.p.Rows, stream.KeyRow{Key: list[i].key, State: f.state})
		}
	}
	return nil
}

// candidates finds up to n keys in order.
func (k *keysReader) candidates(after string, n int) (list []candidate, err error) {
	list = make([]candidate, 0, min(n, 1<<10))
	err = k.headers(after, k.q.Prefix, func(key string, h *header) (bool, error) {
		if k.v.alive(stream.KeySubject(key), &h.Header) && !(h.Deleted && h.Last <= k.p.At) {
			list = append(list, candidate{key: key, header: *h})
		}
		return len(list) < n, nil
	})
	return list, err
}

// newest reads the newest entries of those keys that were put last, in order of serials.
func (k *keysReader) newest(list []candidate) error {
	puts := make([]*candidate, 0, len(list))
	for i := range list {
		c := &list[i]
		if c.Row == c.Last && c.Last <= k.p.At && c.Last > k.v.Floor && c.base != c.Last {
			puts = append(puts, c)
		}
	}
	slices.SortFunc(puts, func(a, b *candidate) int { return cmp.Compare(a.Last, b.Last) })
	for _, c := range puts {
		e, err := k.seek(c.Last)
		if err != nil {
			return err
		}
		c.newest = e
	}
	return nil
}

// state is the state of a key at the page's serial. One read is enough for a key that was put last, and for one whose
// state is kept.
func (k *keysReader) state(c *candidate) (f folded, err error) {
	name := stream.KeySubject(c.key)
	if e := c.newest; e != nil {
		entries, ok := make([]*stream.Entry, 0, 2), c.chain == 1 && c.base == 0
		if k.q.Ref.Log == stream.Messages {
			var a *stream.Entry
			if a, ok = c.Ancestor(e); a != nil {
				entries = append(entries, a)
			}
		}
		if ok {
			err = f.next(k.fold, append(entries, e)...)
			return f, err
		}
	}
	f, err = k.foldTo(k.fold, k.q.Ref.Log, name, &c.header, k.p.At)
	if f.steps > 1 && c.Last <= k.p.At {
		k.stale = append(k.stale, name)
	}
	return f, err
}
