package fault

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection through the proxy: a client's and the one to the server that belongs to it.
type link struct {
	proxy    *Proxy
	plan     plan
	client   net.Conn
	dead     atomic.Bool // half open for ever: whatever comes goes nowhere
	midFrame atomic.Bool // cut in the middle of what the server sends next

	mu       sync.Mutex
	upstream net.Conn
	over     chan struct{}    // closed by cut
	held     [2]chan struct{} // to the client, to the server: closed by resume; nil while nothing is held back
}

func newLink(p *Proxy, client net.Conn, pl plan) *link {
	return &link{proxy: p, plan: pl, client: client, over: make(chan struct{})}
}

// attach adds the connection to the server; false if the link was cut in the meantime.
func (l *link) attach(upstream net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.over:
		_ = upstream.Close()
		return false
	default:
		l.upstream = upstream
		return true
	}
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.over:
	default:
		close(l.over)
	}
	_ = l.client.Close()
	if l.upstream != nil {
		_ = l.upstream.Close()
	}
}

func (l *link) stall(up, down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, chosen := range []bool{down, up} {
		if chosen && l.held[i] == nil {
			l.held[i] = make(chan struct{})
		}
	}
}

func (l *link) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, held := range l.held {
		if held != nil {
			close(held)
			l.held[i] = nil
		}
	}
}

// say writes a close frame of the server; from then on nothing is passed on, and the client's end is the link's.
func (l *link) say(code uint16) {
	if !l.dead.Swap(true) {
		_, _ = l.client.Write([]byte{0x88, 2, byte(code >> 8), byte(code)})
	}
}

// wait blocks while a direction is stalled, and then for a delay; false says that the link was cut.
func (l *link) wait(up bool, delay time.Duration) bool {
	l.mu.Lock()
	held := l.held[0]
	if up {
		held = l.held[1]
	}
	l.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-l.over:
			return false
		}
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-l.over:
			return false
		}
	}
	return true
}

// copy carries bytes from one side to the other, until an end of either, or of the plan.
func (l *link) copy(to, from net.Conn, up bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, l.plan.piece)
	delay := l.proxy.passed(0, up)
	for sent := 0; ; {
		n, err := from.Read(buf)
		if l.dead.Load() {
			if err != nil {
				return
			}
			continue
		}
		if !l.wait(up, l.plan.delay+delay) {
			return
		}
		if l.plan.strikes(up) && sent+n >= l.plan.after {
			_, _ = to.Write(buf[:min(n, max(0, l.plan.after-sent))])
			if l.plan.fault == "half-open" {
				l.dead.Store(true)
				continue
			}
			if l.plan.fault == "reset" {
				_ = to.(*net.TCPConn).SetLinger(0)
			}
			return
		}
		if n > 0 && !up && l.midFrame.Load() {
			_, _ = to.Write(buf[:n-min(n, 3)])
			return
		}
		if n > 0 && !l.dead.Load() {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
			sent += n
			delay = l.proxy.passed(n, up)
		}
		if err != nil {
			return
		}
	}
}
