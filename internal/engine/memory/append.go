package memory

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// unit is what one call wants of one stream: applied in one step, or not at all.
type unit struct {
	seq   uint64
	log   *log
	call  *call
	steps []step
	cut   *cut
	rules stream.Rules
	now   int64
}

// step is one op of a unit.
type step struct {
	index    int // of the op in its call
	decision stream.Decision
	meta     stream.Meta // after it
	id       stream.ID
	receipt  string // the key of decision.Receipt
	keep     bool   // a state row is due
}

// call is one Append or Cut that waits for its units.
type call struct {
	results []stream.Result
	early   []bool // ops that are answered before they are visible
	open    []bool // ops that wait
	cut     stream.CutResult
	err     error
	waiting int // units, and the caller while it still queues some
	done    chan struct{}
}

func newCall(ops int) *call {
	return &call{results: make([]stream.Result, ops), open: make([]bool, ops), waiting: 1, done: make(chan struct{})}
}

// release ends one thing that the call waits for. A nil call waits for nothing. The caller holds mu.
func (c *call) release() {
	if c == nil {
		return
	}
	c.waiting--
	if c.waiting == 0 {
		close(c.done)
	}
}

// Append implements stream.Store.
func (s *Store) Append(ctx context.Context, ops []stream.Op) ([]stream.Result, error) {
	if s.o.Admit != nil {
		if err := s.o.Admit(); err != nil {
			return nil, orUnavailable(err, "the append was not admitted")
		}
	}
	rules := make([]stream.Rules, len(ops))
	for i := range ops {
		if i > 0 && ops[i].Ref == ops[i-1].Ref {
			rules[i] = rules[i-1]
		} else {
			rules[i] = s.o.Rules(ops[i].Ref)
		}
	}
	now := s.o.Now()
	c := newCall(len(ops))
	s.mu.Lock()
	if err := s.ready(ctx); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	if s.o.MaxBytes > 0 && s.bytes >= s.o.MaxBytes {
		s.mu.Unlock()
		return nil, fault.New(fault.Full, "the store holds the %d bytes that it may", s.o.MaxBytes)
	}
	s.decide(c, ops, rules, now)
	c.release()
	s.mu.Unlock()
	s.turn()
	return s.await(ctx, c).results, nil
}

// decide turns ops into units and queues them. The caller holds mu.
func (s *Store) decide(c *call, ops []stream.Op, rules []stream.Rules, now int64) {
	var units []*unit
	byRef := map[stream.Ref]*unit{}
	for i := range ops {
		op := &ops[i]
		u := byRef[op.Ref]
		if u == nil {
			s.seq++
			u = &unit{seq: s.seq, log: s.open(op.Ref, rules[i]), call: c, rules: rules[i], now: now}
			byRef[op.Ref] = u
			units = append(units, u)
		}
		s.decideOne(u, i, op, rules[i], now)
	}
	for _, u := range units {
		s.enqueue(u)
	}
}

func (s *Store) decideOne(u *unit, i int, op *stream.Op, rules stream.Rules, now int64) {
	l := u.log
	d, err := l.over.meta.Decide(op, rules, l, now)
	if err != nil { // only a fold or a row that cannot be read: neither is possible here
		d = stream.Decision{Result: stream.Result{Outcome: stream.Refused, Err: err}}
	}
	st := step{index: i, decision: d}
	if d.Entry != nil {
		if d.Reset {
			l.over.id = s.id(op.Ref, &l.over.meta)
		}
		if d.Subject != "" && l.fold != nil && d.Header.StateDue() {
			h := &st.decision.Header
			h.StateAt, h.Since, h.LenAt = d.Entry.Serial, 0, h.Len
			st.keep = true
		}
		if d.Receipt != nil {
			st.receipt = op.Receipt.Key
		}
		l.allot(u.seq, op, &st.decision)
	}
	st.meta, st.id = l.over.meta, l.over.id
	st.decision.Result.Stream = l.over.id
	if d.Former != nil {
		st.decision.Result.Stream = s.id(op.Ref, &stream.Meta{Incarnation: *d.Former, Class: l.over.meta.Class})
	}
	c := u.call
	c.results[i] = st.decision.Result
	if op.Early && d.Entry != nil && rules.Durability == stream.Interval {
		if c.early == nil {
			c.early = make([]bool, len(c.results))
		}
		c.early[i] = true
		c.results[i] = stream.Result{Outcome: stream.Applied, Stream: l.over.id}
	}
	u.steps = append(u.steps, st)
}

// open returns the log of a stream; one without a row is not kept until something is allotted.
func (s *Store) open(ref stream.Ref, rules stream.Rules) *log {
	if l := s.logs[ref]; l != nil {
		return l
	}
	m := s.absent(rules.Durability)
	return newLog(ref, m, s.id(ref, &m), s.o.Folds[ref.Log])
}

// enqueue hands a unit to the committer, or answers it at once when nothing that it rests on is pending. The caller
// holds mu.
func (s *Store) enqueue(u *unit) {
	l, c := u.log, u.call
	writes, waits := u.cut != nil, u.cut != nil
	for i := range u.steps {
		st := &u.steps[i]
		writes = writes || st.decision.Entry != nil
		if c.early == nil || !c.early[st.index] {
			waits, c.open[st.index] = true, true
		}
	}
	if !waits {
		u.call = nil
	}
	if u.call != nil {
		c.waiting++
	}
	if !writes && l.over.units == 0 {
		u.finish(nil)
		return
	}
	l.over.units++
	if writes {
		s.logs[l.ref] = l
	}
	if u.rules.Durability == stream.Volatile && l.over.units == 1 {
		s.apply(u)
		return
	}
	s.queue = append(s.queue, u)
}

// finish answers the unit's part of its call: as decided, or with err. The caller holds mu.
func (u *unit) finish(err error) {
	c := u.call
	if c == nil {
		return
	}
	u.call = nil
	for i := range u.steps {
		if at := u.steps[i].index; c.open[at] {
			c.open[at] = false
			if err != nil {
				c.results[at] = stream.Result{Outcome: stream.Unknown, Stream: c.results[at].Stream, Err: err}
			}
		}
	}
	if err != nil {
		c.err = err
	}
	c.release()
}

// await waits for the units of a call, no longer than ctx.
func (s *Store) await(ctx context.Context, c *call) *call {
	select {
	case <-c.done:
		return c
	case <-ctx.Done():
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c.waiting == 0 { // the outcome came at the same moment, and is better than none
		return c
	}
	err := fault.New(fault.Unknown, "the caller gave up before the write was stable: %w", ctx.Err())
	out := &call{results: make([]stream.Result, len(c.results)), cut: c.cut, err: err}
	for i, r := range c.results {
		out.results[i] = r
		if c.open[i] {
			out.results[i] = stream.Result{Outcome: stream.Unknown, Stream: r.Stream, Err: err}
		}
	}
	return out
}
