package memory

import (
	"sync"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// turns is how many rounds of other callers' work a caller does before it leaves the rest to a goroutine.
const turns = 8

// turn moves on whatever waits: notices, trims that are due, and the queue unless a committer is at it.
func (s *Store) turn() {
	s.drain()
	s.trimTouched()
	s.mu.Lock()
	start := !s.busy && len(s.queue) > 0
	s.busy = s.busy || start
	s.mu.Unlock()
	switch {
	case start && s.o.Sync == nil:
		s.commit(turns)
	case start:
		go s.commit(0)
	}
}

// commit is the one committer: it takes what has gathered, makes it stable, makes it visible. While it does, the next
// batch gathers. It ends when nothing is left; after the given number of rounds (if any) it goes on in a goroutine.
func (s *Store) commit(rounds int) {
	for n := 1; ; n++ {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.busy = false
			s.idle.Broadcast()
			s.mu.Unlock()
			return
		}
		s.inflight, s.queue = s.queue, nil
		s.mu.Unlock()
		var err error
		if s.o.Sync != nil {
			err = s.o.Sync()
		}
		s.mu.Lock()
		if err != nil {
			s.lose(fault.New(fault.Unknown, "the write failed, so its outcome is unknown: %w", err))
		}
		for _, u := range s.inflight {
			s.apply(u)
		}
		s.inflight = nil
		s.mu.Unlock()
		s.drain()
		s.trimTouched()
		if n == rounds {
			go s.commit(0)
			return
		}
	}
}

// apply makes a unit visible and answers it. The caller holds mu.
func (s *Store) apply(u *unit) {
	l := u.log
	before := l.meta.HeadCum - l.meta.FloorCum
	var fresh []*stream.Entry
	for i := range u.steps {
		st := &u.steps[i]
		d := &st.decision
		if d.Entry == nil {
			continue
		}
		if d.Reset {
			s.notify(l, fresh, 0)
			fresh = nil
			l.clear()
			l.meta.Reset(d.Entry.Time)
			l.meta.Class, l.id = st.meta.Class, st.id
			s.notify(l, nil, stream.Reset)
		}
		l.meta, l.id = st.meta, st.id
		l.add(d, st.keep)
		if st.receipt != "" {
			l.receipts.put(st.receipt, *d.Receipt, u.now)
		}
		if len(s.watchers) > 0 {
			fresh = append(fresh, d.Entry)
		}
	}
	s.notify(l, fresh, 0)
	if u.cut != nil {
		s.applyCut(u)
	}
	s.bytes += l.meta.HeadCum - l.meta.FloorCum - before
	l.settle(u)
	u.finish(nil)
	if through := l.overdue(u.rules.Retention, u.now); through > l.meta.Floor {
		s.touched = append(s.touched, trimDue{l.ref, through, u.rules})
	}
	s.schedule(l, u.rules.Retention, u.now)
}

// lose ends every unit that is not stable: those that Survive grants become visible, but nobody is told more than that
// the outcome is unknown. The caller holds mu.
func (s *Store) lose(err error) {
	all := append(s.inflight, s.queue...)
	s.inflight, s.queue = nil, nil
	survivors := 0
	if s.o.Survive != nil && len(all) > 0 {
		survivors = min(s.o.Survive(len(all)), len(all))
	}
	for i, u := range all {
		u.finish(err)
		if i < survivors {
			s.apply(u)
		}
	}
	for _, u := range all {
		l := u.log
		l.rewind()
		if l.meta.Head == 0 && s.logs[l.ref] == l {
			delete(s.logs, l.ref)
		}
	}
}

type watcher struct {
	mu      sync.Mutex
	f       func(stream.Advance)
	stopped bool
}

// Watch implements stream.Store.
func (s *Store) Watch(f func(stream.Advance)) (stop func()) {
	w := &watcher{f: f}
	s.mu.Lock()
	s.watchers = append(s.watchers[:len(s.watchers):len(s.watchers)], w)
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		var rest []*watcher
		for _, o := range s.watchers {
			if o != w {
				rest = append(rest, o)
			}
		}
		s.watchers = rest
		s.mu.Unlock()
		w.mu.Lock()
		w.stopped = true
		w.mu.Unlock()
	}
}

func (w *watcher) tell(a stream.Advance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.f(a)
	}
}

// notify queues a notice for the watchers. The caller holds mu.
func (s *Store) notify(l *log, entries []*stream.Entry, cut stream.CutKind) {
	if len(s.watchers) == 0 || len(entries) == 0 && cut == 0 {
		return
	}
	s.notices = append(s.notices, stream.Advance{Ref: l.ref, Bounds: s.bounds(&l.meta, l.id), Entries: entries, Cut: cut})
}

// drain tells the watchers what is queued, in order, outside the lock. One caller drains at a time.
func (s *Store) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return
	}
	s.draining = true
	for n := 0; len(s.notices) > 0; n++ {
		if n == turns {
			go s.drain()
			break
		}
		batch, watchers := s.notices, s.watchers
		s.notices = nil
		s.mu.Unlock()
		for _, a := range batch {
			for _, w := range watchers {
				w.tell(a)
			}
		}
		s.mu.Lock()
	}
	s.draining = false
}
