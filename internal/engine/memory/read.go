package memory

import (
	"context"
	"sort"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Read implements stream.Store.
func (s *Store) Read(ctx context.Context, q stream.Query) (stream.Page, error) {
	var p stream.Page
	if err := check(&q); err != nil {
		return p, err
	}
	err := s.read(ctx, q.Ref, func(l *log, absent stream.Bounds) error {
		if l == nil {
			p.Bounds = absent
			if q.State && q.At > 0 {
				return ahead(q.At, 0)
			}
			return nil
		}
		p.Bounds = s.bounds(&l.meta, l.id)
		if q.HasWitness {
			p.Witness = l.witness(q.Witness)
		}
		if q.State {
			return l.state(&q, &p)
		}
		if q.Limit > 0 {
			l.page(&q, &p)
		}
		return nil
	})
	return p, err
}

func check(q *stream.Query) error {
	switch {
	case q.Limit < 0 || q.Bytes < 0:
		return fault.New(fault.Invalid, "a limit is not negative").In("limit")
	case q.Message != 0 && q.Key != "":
		return fault.New(fault.Invalid, "a query is for a message or for a key, not both")
	case q.State && q.Message == 0 && q.Key == "":
		return fault.New(fault.Invalid, "a state is that of a message or of a key")
	}
	return nil
}

// provable checks the serial that a fold is asked for; 0 is the head.
func (l *log) provable(at uint64) (uint64, error) {
	switch {
	case at == 0:
		return l.meta.Head, nil
	case at < l.meta.Floor:
		return 0, fault.New(fault.NotProvable, "the state at serial %d is not provable: retention has removed what is before serial %d",
			at, l.meta.Floor).With(l.meta.Floor)
	case at > l.meta.Head:
		return 0, ahead(at, l.meta.Head)
	}
	return at, nil
}

func ahead(at, head uint64) error {
	return fault.New(fault.Invalid, "serial %d is in the future: the head is %d", at, head).In("at_serial")
}

func (l *log) witness(c uint64) (w stream.Witness) {
	m := &l.meta
	if c < m.Floor || c > m.Head {
		return w
	}
	cum := m.FloorCum
	w.At = stream.EntryID{Time: m.FloorTime, Serial: m.Floor}
	if e := l.at(c); e != nil {
		w.At, cum = e.ID(), e.Cum
	}
	if e := l.at(c + 1); e != nil {
		w.Next = e.ID()
	}
	w.Bytes = m.HeadCum - cum
	return w
}

// source is what a query reads from: the log, or the entries of one subject.
func (l *log) source(q *stream.Query) []*stream.Entry {
	switch {
	case q.Key != "":
		if sub := l.subjects[stream.KeySubject(q.Key)]; sub != nil {
			return sub.entries
		}
		return nil
	case q.Message == 0:
		return l.entries
	}
	if sub := l.message(q.Message); sub != nil {
		return sub.entries
	}
	if e := l.at(q.Message); e != nil && e.Kind == stream.Create {
		return []*stream.Entry{e}
	}
	return nil
}

// message is the subject of a message that is still there, nil when it has none.
func (l *log) message(serial uint64) *subject {
	if key, ok := l.alias[serial]; ok {
		return l.subjects[stream.KeySubject(key)]
	}
	if sub := l.subjects[stream.MessageSubject(serial)]; sub != nil && sub.live {
		return sub
	}
	return nil
}

func (l *log) page(q *stream.Query, p *stream.Page) {
	src := l.source(q)
	lo := 0
	if q.From > 0 {
		lo = after(src, q.From-1)
	}
	hi := len(src)
	if q.To > 0 {
		hi = after(src, q.To)
	}
	if q.FromTime > 0 {
		lo = max(lo, sort.Search(len(src), func(i int) bool { return src[i].Time >= q.FromTime }))
	}
	if q.ToTime > 0 {
		hi = min(hi, sort.Search(len(src), func(i int) bool { return src[i].Time > q.ToTime }))
	}
	if !q.RowsOnly && q.Message == 0 && lo < hi {
		p.Entries = make([]*stream.Entry, 0, min(q.Limit, hi-lo))
	}
	size := 0
	for ; lo < hi; lo, hi = next(q.Reverse, lo, hi) {
		e := src[lo]
		if q.Reverse {
			e = src[hi-1]
		}
		if q.RowsOnly && !e.Kind.Row() || q.Message != 0 && e.Message != q.Message {
			continue
		}
		size += e.Size()
		if len(p.Entries) == q.Limit || q.Bytes > 0 && size > q.Bytes && len(p.Entries) > 0 {
			p.More = true
			return
		}
		p.Entries = append(p.Entries, e)
	}
}

func next(reverse bool, lo, hi int) (int, int) {
	if reverse {
		return lo, hi - 1
	}
	return lo + 1, hi
}

// state answers a query for a folded state: the newest row, and what follows it.
func (l *log) state(q *stream.Query, p *stream.Page) error {
	at, err := l.provable(q.At)
	if err != nil {
		return err
	}
	src := l.source(q)
	name := stream.KeySubject(q.Key)
	if q.Message != 0 {
		name = stream.MessageSubject(q.Message)
		if key, ok := l.alias[q.Message]; ok {
			name = stream.KeySubject(key)
		}
	}
	if sub := l.subjects[name]; sub != nil {
		for i := len(sub.states) - 1; i >= 0; i-- {
			row := &sub.states[i]
			if row.at <= at && (q.Message == 0 || row.message == q.Message) {
				p.State, p.StateAt = row.state, row.at
				break
			}
		}
	}
	for _, e := range src[after(src, p.StateAt):after(src, at)] {
		if q.Message == 0 || e.Message == q.Message {
			p.Entries = append(p.Entries, e)
		}
	}
	return nil
}
