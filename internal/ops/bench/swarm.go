package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/driver"
	"github.com/continuo-rt/continuo/internal/ops/bench/sock"
	"github.com/continuo-rt/continuo/internal/ops/bench/stamp"
)

// swarm is a set of subscribers. Each has one goroutine, which dials, reads and ends with its connection.
type swarm struct {
	target  Target
	tally   *tally
	members []*member
	slots   chan struct{} // handshakes under way

	cancel  context.CancelFunc
	running sync.WaitGroup
	ready   atomic.Int64
	settled chan error    // the first failure, or nil when all are ready; capacity 1
	broken  atomic.Uint64 // connections that ended though nobody asked them to
	reason  atomic.Pointer[string]
	joined  atomic.Uint64 // answers to subscriptions after the first of a connection
}

// member is one subscriber across its connections. Only its goroutine touches it while it runs.
type member struct {
	swarm   *swarm
	sub     driver.Sub
	track   stamp.Track
	session driver.Session
	op      func(payload []byte) error // writes to the connection of now
	isReady bool
	at      string // the channel that it hopped to; belongs to who makes it hop
	dialled time.Time
	onReady func(*member)              // after the handshake of the protocol
	onMark  func(*member, stamp.Stamp) // after each marked message
}

// newSwarm makes subscribers that are not connected yet. lanes gives, for each, the first lane and how many it will see.
func newSwarm(t Target, tally *tally, subs []driver.Sub, lanes func(i int) (base uint32, n int)) *swarm {
	s := &swarm{target: t, tally: tally, slots: make(chan struct{}, t.Parallel)}
	for i, sub := range subs {
		sub.Index = i
		base, n := lanes(i)
		s.members = append(s.members, &member{swarm: s, sub: sub, track: stamp.NewTrack(base, n)})
	}
	return s
}

// open connects all members and returns when each has its subscription. After an error the swarm is closed.
func (s *swarm) open(ctx context.Context) error {
	if err := allowFiles(len(s.members)); err != nil {
		return err
	}
	runCtx, cancel := context.WithCancel(ctx)
	s.cancel = cancel
	s.settled = make(chan error, 1)
	s.ready.Store(0)
	for _, m := range s.members {
		m.isReady = false
		s.running.Go(func() { m.run(runCtx) })
	}
	timer := time.NewTimer(s.target.Timeout)
	defer timer.Stop()
	var err error
	select {
	case err = <-s.settled:
	case <-timer.C:
		err = fmt.Errorf("only %d of %d subscribers were ready after %v", s.ready.Load(), len(s.members), s.target.Timeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.close()
	}
	return err
}

// close breaks every connection and waits until all goroutines are gone. The members keep their tracks and cursors.
func (s *swarm) close() {
	if s.cancel != nil {
		s.cancel()
	}
	s.running.Wait()
}

// fail reports an end that nobody asked for.
func (s *swarm) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.broken.Add(1)
	text := err.Error()
	s.reason.CompareAndSwap(nil, &text)
	select {
	case s.settled <- err:
	default:
	}
}

func (m *member) run(ctx context.Context) {
	s := m.swarm
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	free := sync.OnceFunc(func() { <-s.slots })
	defer free()
	m.dialled = time.Now()
	conn, err := m.dial(ctx)
	if err != nil {
		s.fail(ctx, err)
		return
	}
	defer conn.Drop()
	stop := context.AfterFunc(ctx, func() { conn.Drop() })
	defer stop()
	m.op = func(payload []byte) error { return conn.Write(s.target.Protocol.Op(), payload) }
	m.session = s.target.Protocol.Session(m.sub, m)
	if err := m.session.Start(m.op); err != nil {
		s.fail(ctx, err)
		return
	}
	handle := func(payload []byte) error { return m.session.Feed(payload, m.op) }
	for {
		if m.isReady {
			free()
		}
		if err := conn.Read(handle); err != nil {
			s.fail(ctx, err)
			return
		}
	}
}

func (m *member) dial(ctx context.Context) (*sock.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, m.swarm.target.Timeout)
	defer cancel()
	r := m.swarm.target.Protocol.Request(m.sub)
	r.Local = sock.SourceAddress(m.swarm.target.Address, m.sub.Index)
	return sock.Dial(ctx, r)
}

// Ready is called by the session.
func (m *member) Ready() {
	if m.isReady {
		m.swarm.joined.Add(1)
		return
	}
	m.isReady = true
	s := m.swarm
	if m.onReady != nil {
		m.onReady(m)
	}
	if s.ready.Add(1) == int64(len(s.members)) {
		select {
		case s.settled <- nil:
		default:
		}
	}
}

// Message is called by the session.
func (m *member) Message(mark stamp.Stamp) {
	m.swarm.tally.note(mark, m.track.Note(mark))
	if m.onMark != nil {
		m.onMark(m, mark)
	}
}

// health is an error once a connection ended by itself.
func (s *swarm) health() error {
	if n := s.broken.Load(); n > 0 {
		return fmt.Errorf("%d connections ended by themselves, the first with: %s", n, *s.reason.Load())
	}
	return nil
}

// errNone says that a count which must be positive was not.
var errNone = errors.New("there must be at least one of each")

// positive checks the counts of a workload.
func positive(counts ...int) error {
	for _, n := range counts {
		if n <= 0 {
			return errNone
		}
	}
	return nil
}
