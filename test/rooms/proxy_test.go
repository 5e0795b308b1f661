package rooms

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy stands between clients and the server and lets connections fail: each gets a fault of its own, drawn from a seed.
type proxy struct {
	t      testing.TB
	to     string
	listen net.Listener
	all    sync.WaitGroup
	healed atomic.Bool // new connections are left alone

	mu    sync.Mutex
	rng   *rand.Rand
	conns map[net.Conn]struct{}
	count map[string]int
}

func newProxy(t testing.TB, to string, seed uint64) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, to: to, listen: l, rng: rand.New(rand.NewPCG(seed, seed)), conns: map[net.Conn]struct{}{}, count: map[string]int{}}
	p.all.Add(1)
	go p.accept()
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.all.Wait()
	})
	return p
}

func (p *proxy) accept() {
	defer p.all.Done()
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.all.Add(1)
		go p.serve(c)
	}
}

// plan is what happens to one connection.
type plan struct {
	fault string
	after int           // bytes in one direction until it happens
	up    bool          // the direction is that to the server
	delay time.Duration // of every piece
	piece int           // bytes that go at once
}

func (p *proxy) draw() plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := plan{fault: "none", piece: 1 << 15}
	if !p.healed.Load() {
		pl.fault = []string{"drop", "reset", "half-open", "slow", "none"}[p.rng.IntN(5)]
		pl.after, pl.up = 200+p.rng.IntN(8_000), p.rng.IntN(3) == 0
		if pl.up {
			pl.after /= 8
		}
		if pl.fault == "slow" {
			pl.delay, pl.piece = time.Duration(p.rng.IntN(2000))*time.Microsecond, 1+p.rng.IntN(700)
		}
	}
	p.count[pl.fault]++
	return pl
}

func (p *proxy) serve(client net.Conn) {
	defer p.all.Done()
	upstream, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = client.Close()
		return
	}
	pl := p.draw()
	p.mu.Lock()
	p.conns[client], p.conns[upstream] = struct{}{}, struct{}{}
	p.mu.Unlock()
	var dead atomic.Bool // half open: whatever comes goes nowhere
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		defer both.Done()
		p.copy(upstream, client, pl, pl.up, &dead)
	}()
	go func() {
		defer both.Done()
		p.copy(client, upstream, pl, !pl.up, &dead)
	}()
	both.Wait()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, upstream)
	p.mu.Unlock()
}

// copy carries bytes from one side to the other. struck says that the fault is one of this direction: it happens in the
// middle of whatever frame is on its way then.
func (p *proxy) copy(to, from net.Conn, pl plan, struck bool, dead *atomic.Bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 1<<15)
	for sent := 0; ; {
		n, err := from.Read(buf[:min(len(buf), pl.piece)])
		if dead.Load() {
			if err != nil {
				return
			}
			continue
		}
		if struck && pl.fault != "none" && pl.fault != "slow" && sent+n >= pl.after {
			_, _ = to.Write(buf[:min(n, max(0, pl.after-sent))])
			switch pl.fault {
			case "half-open":
				dead.Store(true)
				continue
			case "reset":
				_ = to.(*net.TCPConn).SetLinger(0)
			}
			return
		}
		if n > 0 {
			if pl.delay > 0 {
				<-time.After(pl.delay)
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
			sent += n
		}
		if err != nil {
			return
		}
	}
}

// cut ends every connection there is.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// heal lets new connections live and ends the others.
func (p *proxy) heal() {
	if p.healed.CompareAndSwap(false, true) {
		p.cut()
	}
}
