package v2

import (
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestStorm cuts everybody off and lets all come back at once: while the window is warm, and after a restart. Each client
// costs three writes (the upgrade, the greeting, and the answer with all it missed), and no entry is encoded twice.
func TestStorm(t *testing.T) {
	const missed = 100
	clients := 300
	if testing.Short() {
		clients = 60
	}
	each(t, func(t *testing.T, engine string) {
		s := newServer(t, setup{engine: engine, count: true})
		all := make([]*client, clients)
		for i := range all {
			all[i] = s.client(t)
			all[i].connect("room")
			all[i].send("sockudo:ping", map[string]any{}) // nothing is resumed: the subscribe need not wait
			all[i].until("sockudo_internal:subscription_succeeded")
			all[i].cut()
		}
		s.deserted()
		for _, storm := range []string{"warm", "after a restart"} {
			pad := strings.Repeat("x", 200)
			s.batch("room", int(s.bounds("room").Head)+1, missed, pad)
			if storm == "after a restart" {
				if engine == "memory" {
					continue // its log is gone
				}
				s.close()
				s.open()
			}
			s.counted.frames.Store(0)
			var coming sync.WaitGroup
			for _, c := range all {
				c.connect("room")
			}
			for _, c := range all {
				coming.Go(func() {
					for {
						f, err := c.tryRead()
						if err != nil {
							t.Error(err)
							return
						}
						if c.take(&f); f.Event == "sockudo:resume_success" {
							return
						}
					}
				})
			}
			coming.Wait()
			var writes []int64
			for _, c := range all {
				c.unpad("room")
				c.sees("room", numbers(1, s.bounds("room").Head))
				writes = append(writes, s.counted.of(c.nc.LocalAddr()))
				c.cut()
			}
			s.deserted()
			// A client costs a write more when another core was quick enough to begin with what it missed before the
			// subscribe's answer was offered to the socket, or when its reader was slow. Most do not.
			if slices.Sort(writes); writes[len(writes)/2] > 3 {
				t.Fatalf("%s: clients cost %v writes", storm, writes)
			}
			// Clients that come in the same moment to a window that is still cold may each read a page.
			if n := s.counted.frames.Load(); n != missed && (storm == "warm" || n > 4*missed) {
				t.Fatalf("%s: %d frames were made of %d entries", storm, n, missed)
			}
		}
	})
}

// deserted waits until no client is left: entries are encoded for those whose end has not been noticed.
func (s *server) deserted() {
	for s.node.Sessions().Len() > 0 {
		runtime.Gosched()
	}
}

// counts are what a server's sockets and encoders did.
type counts struct {
	frames atomic.Int64 // made of entries
	mu     sync.Mutex
	writes map[string]*atomic.Int64 // by the client's address
}

// frame notes a frame that a hub made.
func (c *counts) frame() { c.frames.Add(1) }

func (c *counts) of(client net.Addr) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes[client.String()].Load()
}

// listener counts the writes to the sockets that it accepts.
type listener struct {
	net.Listener
	counts *counts
}

func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := &atomic.Int64{}
	l.counts.mu.Lock()
	l.counts.writes[nc.RemoteAddr().String()] = n
	l.counts.mu.Unlock()
	return &socket{nc.(*net.TCPConn), n}, nil
}

type socket struct {
	*net.TCPConn
	writes *atomic.Int64
}

func (s *socket) Write(p []byte) (int, error) {
	s.writes.Add(1)
	return s.TCPConn.Write(p)
}

func (s *socket) SyscallConn() (syscall.RawConn, error) {
	raw, err := s.TCPConn.SyscallConn()
	return &rawSocket{raw, s.writes}, err
}

type rawSocket struct {
	syscall.RawConn
	writes *atomic.Int64
}

func (r *rawSocket) Write(f func(fd uintptr) bool) error {
	return r.RawConn.Write(func(fd uintptr) bool {
		r.writes.Add(1)
		return f(fd)
	})
}
