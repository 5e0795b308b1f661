package outbox

import (
	"errors"
	"os"
	"sync"
	"time"
)

// socket is a socket with a send buffer of room bytes that a reader empties by drain. It remembers each write.
type socket struct {
	mu      sync.Mutex
	freed   *sync.Cond
	blocks  bool          // it cannot TryWrite, as over TLS
	room    int           // what fits now; negative is endless
	piece   int           // at most this per call, if not 0
	err     error         // of every call from now on
	timeout time.Duration // of WriteSome; 0 waits for ever

	got    []byte
	writes int  // calls that took something or were offered something
	busy   bool // a call is under way: they must not overlap
}

var errBroken = errors.New("broken pipe")

func newSocket(room int) *socket {
	s := &socket{room: room}
	s.freed = sync.NewCond(&s.mu)
	return s
}

func (s *socket) CanTryWrite() bool { return !s.blocks }

// enter and leave catch overlapping writes.
func (s *socket) enter() {
	if s.busy {
		panic("two writes at once")
	}
	s.busy = true
}

func (s *socket) leave() { s.busy = false }

func (s *socket) take(p []byte) int {
	n := len(p)
	if s.room >= 0 {
		n = min(n, s.room)
	}
	if s.piece > 0 {
		n = min(n, s.piece)
	}
	if s.room >= 0 {
		s.room -= n
	}
	s.got = append(s.got, p[:n]...)
	return n
}

func (s *socket) TryWrite(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enter()
	defer s.leave()
	if s.blocks {
		panic("TryWrite on a socket that cannot")
	}
	s.writes++
	if s.err != nil {
		return 0, s.err
	}
	return s.take(p), nil
}

func (s *socket) WriteSome(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enter()
	defer s.leave()
	s.writes++
	expired := false
	if s.timeout > 0 {
		timer := time.AfterFunc(s.timeout, func() {
			s.mu.Lock()
			expired = true
			s.mu.Unlock()
			s.freed.Broadcast()
		})
		defer timer.Stop()
	}
	for s.room == 0 && s.err == nil && !expired {
		s.freed.Wait()
	}
	switch {
	case s.err != nil:
		return 0, s.err
	case s.room == 0:
		return 0, os.ErrDeadlineExceeded
	}
	return s.take(p), nil
}

// drain makes room for n more bytes.
func (s *socket) drain(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 {
		s.room = n
	} else {
		s.room += n
	}
	s.freed.Broadcast()
}

func (s *socket) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.freed.Broadcast()
}

func (s *socket) received() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.got)
}

func (s *socket) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// session is an owner with a pump of its own.
type session struct {
	Outbox
	pump  func() bool
	ended chan error // buffered; more than one would block
	pumps int        // under the lock
}

func newSession(sock Socket, limit int) *session {
	s := &session{ended: make(chan error, 1)}
	s.Init(sock, s, limit)
	return s
}

func (s *session) Pump() bool {
	s.Lock()
	s.pumps++
	s.Unlock()
	if s.pump == nil {
		return false
	}
	return s.pump()
}

func (s *session) Ended(err error) {
	s.Lock() // the lock must be free
	defer s.Unlock()
	select {
	case s.ended <- err:
	default:
		panic("Ended twice")
	}
}

// do runs f under the lock.
func (s *session) do(f func()) {
	s.Lock()
	defer s.Unlock()
	f()
}
