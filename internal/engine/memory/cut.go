package memory

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// stepEntries bounds what one step of a trim folds.
const stepEntries = 4096

// cut is a trim, purge or reset on its way through the committer.
type cut struct {
	kind   stream.CutKind
	target uint64
	keep   bool
	rows   map[string]stateRow // the checkpoint rows of the keys whose entries go
	gone   []stream.Subject    // headers that end
	meta   stream.Meta         // after it
	id     stream.ID
}

// Cut implements stream.Store.
func (s *Store) Cut(ctx context.Context, c stream.Cut) (stream.CutResult, error) {
	if c.Kind < stream.Trim || c.Kind > stream.Reset {
		return stream.CutResult{}, fault.New(fault.Invalid, "cut kind %d is not known", c.Kind)
	}
	rules := s.o.Rules(c.Ref)
	var sum stream.CutResult
	for first := true; ; first = false {
		cl := newCall(0)
		more, err := s.cutStep(ctx, c, rules, cl)
		if err != nil {
			return sum, err
		}
		s.turn()
		cl = s.await(ctx, cl)
		if cl.err != nil {
			return sum, cl.err
		}
		if first {
			sum.Before = cl.cut.Before
		}
		sum.After = cl.cut.After
		sum.Entries += cl.cut.Entries
		sum.Bytes += cl.cut.Bytes
		if !more {
			return sum, nil
		}
	}
}

// cutStep queues one step of a cut; more says that it was not the last. cl may be nil: nobody waits.
func (s *Store) cutStep(ctx context.Context, c stream.Cut, rules stream.Rules, cl *call) (more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer cl.release()
	for {
		if err := s.ready(ctx); err != nil {
			return false, err
		}
		l := s.open(c.Ref, rules)
		if c.Kind == stream.Reset {
			s.queueReset(l, rules, cl)
			return false, nil
		}
		floor, resets := l.over.meta.Floor, l.over.meta.Resets
		k := &cut{kind: c.Kind, target: min(c.Through, l.meta.Head)}
		if k.target <= floor {
			if cl != nil {
				b := s.bounds(&l.meta, l.id)
				cl.cut = stream.CutResult{Before: b, After: b}
			}
			return false, nil
		}
		if c.Kind == stream.Trim && k.target-floor > stepEntries {
			k.target, more = floor+stepEntries, true
		}
		k.keep = c.Kind == stream.Trim && rules.Retention.KeepLatest && l.fold != nil
		if k.keep {
			work := l.gather(k.target)
			s.mu.Unlock()
			k.rows, err = work.fold(l.fold)
			s.mu.Lock()
			if err != nil {
				return false, err
			}
			if l.over.meta.Floor != floor || l.over.meta.Resets != resets || s.logs[c.Ref] != l {
				more = false
				continue // another cut was faster: begin again above it
			}
		}
		s.queueTrim(l, k, rules, cl)
		return more, nil
	}
}

func (s *Store) queueReset(l *log, rules stream.Rules, cl *call) {
	s.seq++
	m := &l.over.meta
	m.Reset(s.o.Now())
	l.over.id = s.id(l.ref, m)
	l.allotReset(s.seq)
	k := &cut{kind: stream.Reset, target: m.Floor, meta: *m, id: l.over.id}
	s.enqueue(&unit{seq: s.seq, log: l, call: cl, cut: k, rules: rules, now: m.HeadTime})
}

func (s *Store) queueTrim(l *log, k *cut, rules stream.Rules, cl *call) {
	s.seq++
	keys := uint64(0)
	for sub := range l.affected(k.target, k.keep) {
		h, ok, _ := l.Header(sub)
		if !ok || h.Live(true, k.target, k.keep) {
			continue
		}
		k.gone = append(k.gone, sub)
		l.over.header(sub, pendingHeader{gone: true, unit: s.seq})
		if !h.Deleted {
			keys++
		}
	}
	at := l.at(k.target)
	m := &l.over.meta
	m.Trim(at.Serial, at.Time, at.Cum)
	m.Keys -= keys
	k.meta, k.id = *m, l.over.id
	s.enqueue(&unit{seq: s.seq, log: l, call: cl, cut: k, rules: rules, now: s.o.Now()})
}

// affected are the keys that a trim to target may end or fold: those with entries that go, and, where checkpoint rows
// go too, those with such a row.
func (l *log) affected(target uint64, keep bool) map[stream.Subject]struct{} {
	set := map[stream.Subject]struct{}{}
	for _, e := range l.entries[:target-l.meta.Floor] {
		if e.Key != "" {
			set[stream.KeySubject(e.Key)] = struct{}{}
		}
	}
	if l.checkpoint && !keep {
		for sub := range l.subjects {
			if _, ok := keyOf(sub); ok {
				set[sub] = struct{}{}
			}
		}
	}
	return set
}

// foldWork is what a trim folds beside the committer: entries that no longer change.
type foldWork map[string]struct {
	row     stateRow
	entries []*stream.Entry
}

func (l *log) gather(target uint64) foldWork {
	work := foldWork{}
	for _, e := range l.entries[:target-l.meta.Floor] {
		if _, ok := work[e.Key]; ok || e.Key == "" {
			continue
		}
		sub := l.subjects[stream.KeySubject(e.Key)]
		w := work[e.Key]
		row, i := sub.base(target)
		w.row, w.entries = row, sub.entries[i:after(sub.entries, target)]
		work[e.Key] = w
	}
	return work
}

func (w foldWork) fold(fold stream.Fold) (map[string]stateRow, error) {
	rows := make(map[string]stateRow, len(w))
	for key, todo := range w {
		row, err := foldOn(fold, todo.row, todo.entries)
		if err != nil {
			return nil, fault.New(fault.Internal, "the entries of a key cannot be folded into the checkpoint: %w", err)
		}
		rows[key] = row
	}
	return rows, nil
}

// applyCut makes a cut visible. The caller holds mu.
func (s *Store) applyCut(u *unit) {
	l, k := u.log, u.cut
	before := s.bounds(&l.meta, l.id)
	if k.kind == stream.Reset {
		l.clear()
	} else {
		l.trim(k)
	}
	l.meta, l.id = k.meta, k.id
	if u.call != nil {
		b := s.bounds(&l.meta, l.id)
		u.call.cut = stream.CutResult{Before: before, After: b, Bytes: b.FloorCum - before.FloorCum,
			Entries: min(b.Floor, before.Head) - before.Floor}
	}
	s.notify(l, nil, k.kind)
}

// trim removes the entries up to the cut's target and what ends with them.
func (l *log) trim(k *cut) {
	keyed := l.affected(k.target, k.keep)
	n := k.target - l.meta.Floor
	for _, e := range l.entries[:n] {
		if e.Key == "" {
			l.trimMessage(stream.MessageSubject(e.Message), k.target)
		}
	}
	for _, sub := range k.gone {
		if s := l.subjects[sub]; s != nil && s.live {
			s.live = false
			delete(l.alias, s.header.Message)
		}
	}
	if !k.keep {
		l.checkpoint = false
	}
	for sub := range keyed {
		l.trimKey(sub, k)
	}
	for _, e := range l.entries[:n] {
		if e.Kind == stream.Put && e.Message == e.Serial {
			if h, ok := l.header(stream.KeySubject(e.Key)); !ok || h.Message != e.Serial {
				delete(l.alias, e.Serial)
			}
		}
	}
	clear(l.entries[:n])
	l.entries = l.entries[n:]
}

func (l *log) trimMessage(name stream.Subject, target uint64) {
	sub := l.subjects[name]
	if sub == nil {
		return
	}
	sub.entries = sub.entries[after(sub.entries, target):]
	if sub.header.Row <= target {
		sub.live, sub.states = false, nil
	}
	l.tidy(name, sub)
}

func (l *log) trimKey(name stream.Subject, k *cut) {
	sub := l.subjects[name]
	if sub == nil {
		return
	}
	sub.entries = sub.entries[after(sub.entries, k.target):]
	var states []stateRow
	key, _ := keyOf(name)
	if row, ok := k.rows[key]; ok && row.live {
		states = append(states, row)
		l.checkpoint = true
	}
	for _, row := range sub.states {
		if k.keep && row.at > k.target || !k.keep && row.row > k.target {
			states = append(states, row)
		}
	}
	sub.states = states
	l.tidy(name, sub)
}
