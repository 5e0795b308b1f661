package sim

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// slow makes pauses where a busy machine makes them: between a read and what is done with it, between what became
// visible and who is told, between an input and its effects. Steps that are a few instructions apart in production are
// far enough apart then for everything else to happen between them.
type slow struct {
	mu  sync.Mutex
	rnd *rand.Rand
	max int // microseconds; 0: never
}

// pause lets time pass. The caller holds no lock: time stands still while anybody waits for one.
func (s *slow) pause() {
	if n := s.draw(); n > 0 {
		time.Sleep(time.Duration(n) * time.Microsecond)
	}
}

// yield lets everybody else run who can at this instant.
func (s *slow) yield() {
	for range s.draw() % 32 {
		runtime.Gosched()
	}
}

func (s *slow) draw() int {
	if s.max == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rnd.IntN(3) == 0 {
		return 0
	}
	return s.rnd.IntN(s.max)
}

// slowStore reads slowly, and tells of what became visible later, in order.
type slowStore struct {
	stream.Store
	*slow
}

func (s slowStore) Read(ctx context.Context, q stream.Query) (stream.Page, error) {
	wait := s.pause
	if q.Limit == 0 || q.RowsOnly { // a start is decided, and its session waits
		wait = s.yield
	}
	wait()
	page, err := s.Store.Read(ctx, q)
	wait()
	return page, err
}

func (s slowStore) Watch(f func(stream.Advance)) (stop func()) {
	if s.max == 0 {
		return s.Store.Watch(f)
	}
	l := &lag{tell: f, slow: s.slow, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	go l.run()
	inner := s.Store.Watch(l.add)
	return func() {
		inner()
		close(l.gone)
	}
}

// lag is a queue of what has still to be told.
type lag struct {
	tell func(stream.Advance)
	slow *slow
	wake chan struct{}
	gone chan struct{}
	mu   sync.Mutex
	kept []stream.Advance
}

func (l *lag) add(a stream.Advance) {
	l.mu.Lock()
	l.kept = append(l.kept, a)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lag) run() {
	for {
		select {
		case <-l.gone:
			return
		case <-l.wake:
		}
		for {
			l.mu.Lock()
			batch := l.kept
			l.kept = nil
			l.mu.Unlock()
			if len(batch) == 0 {
				break
			}
			for _, a := range batch {
				l.slow.pause()
				l.tell(a)
			}
		}
	}
}

// slowMachine takes its time for a step.
type slowMachine struct {
	session.Machine
	*slow
}

func (m slowMachine) Step(now int64, in session.Input, out []session.Effect) []session.Effect {
	m.yield()
	out = m.Machine.Step(now, in, out)
	m.yield()
	return out
}
