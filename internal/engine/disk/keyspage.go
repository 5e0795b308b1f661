package disk

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
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

	put, ancestor stream.Entry // of the key at hand
	entries       [2]*stream.Entry
	row           []byte // key of a state row
}

// candidate is a key that may be live at the page's serial.
type candidate struct {
	key string
	header
	folded bool // state is its state, live or not
	live   bool
	state  []byte
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
		if err := k.puts(list); err != nil {
			return err
		}
		if k.p.Rows == nil {
			k.p.Rows = make([]stream.KeyRow, 0, min(len(list), k.q.Limit))
		}
		for i := range list {
			c := &list[i]
			if err := k.rest(c); err != nil {
				return err
			}
			if !c.live {
				continue
			}
			if len(k.p.Rows) == k.q.Limit {
				k.p.More = true
				return nil
			}
			k.p.Rows = append(k.p.Rows, stream.KeyRow{Key: c.key, State: c.state})
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

// puts folds those keys whose newest entry is a put that says all: one read each, in order of serials.
func (k *keysReader) puts(list []candidate) error {
	last := make([]*candidate, 0, len(list))
	for i := range list {
		c := &list[i]
		if c.Row == c.Last && c.Last <= k.p.At && c.Last > k.v.Floor && c.base != c.Last {
			last = append(last, c)
		}
	}
	slices.SortFunc(last, func(a, b *candidate) int { return cmp.Compare(a.Last, b.Last) })
	for _, c := range last {
		v, err := k.value(c.Last)
		if err != nil {
			return err
		}
		if err := k.put.Decode(c.Last, v); err != nil {
			return k.l.corrupt("an entry", err)
		}
		entries, ok := append(k.entries[:0], &k.put), c.chain == 1 && c.base == 0
		if k.q.Ref.Log == stream.Messages {
			if k.ancestor, ok = c.Ancestor(&k.put); k.ancestor.Serial != 0 {
				entries = append(k.entries[:0], &k.ancestor, &k.put)
			}
		}
		if !ok {
			continue
		}
		if c.state, c.live, err = k.fold(nil, entries...); err != nil {
			return fmt.Errorf("the put at %d cannot be folded: %w", c.Last, err)
		}
		c.folded = true
	}
	return nil
}

// kept takes the state of a key from its row at the newest entry, if there is one: checkpoints have one for each key,
// in order for keys of the same length, so that the iterator mostly stands before it.
func (k *keysReader) kept(name stream.Subject, c *candidate) (bool, error) {
	it, err := k.iter(&k.states, tagState)
	if err != nil {
		return false, err
	}
	k.row = subjectSerialKey(k.row[:0], tagState, k.v.num, name, c.Last)
	if !(it.Valid() && it.Next() && bytes.Equal(it.Key(), k.row)) && !(it.SeekGE(k.row) && bytes.Equal(it.Key(), k.row)) {
		return false, k.l.readError(it.Error())
	}
	v, err := it.ValueAndErr()
	if err != nil {
		return false, k.l.readError(err)
	}
	f, err := decodeState(c.Last, v)
	if err != nil {
		return false, k.l.corrupt("a state row", err)
	}
	if f.row <= k.v.ended {
		return false, nil
	}
	c.state, c.live, c.folded = k.buf.clone(f.state), f.live, true
	return true, nil
}

// rest folds a key in the general way, unless that was done.
func (k *keysReader) rest(c *candidate) error {
	if c.folded {
		return nil
	}
	name := stream.KeySubject(c.key)
	if c.Last <= k.p.At && (c.Last <= k.v.Floor || c.base == c.Last) {
		ok, err := k.kept(name, c)
		if ok || err != nil {
			return err
		}
	}
	f, err := k.foldTo(k.fold, k.q.Ref.Log, name, &c.header, k.p.At)
	c.state, c.live, c.folded = f.state, f.live, true
	if f.steps > 1 && c.Last <= k.p.At {
		k.stale = append(k.stale, name)
	}
	return err
}
