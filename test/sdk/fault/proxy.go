// Package fault lets connections fail: a TCP proxy that cuts, stalls, delays and refuses when it is told to, or draws a
// fault for each connection from a seed.
package fault

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Proxy stands between clients and a server. All methods may be called concurrently.
type Proxy struct {
	listen net.Listener
	all    sync.WaitGroup

	mu      sync.Mutex
	to      string
	rng     *rand.Rand
	faults  bool
	healed  bool
	refuses bool
	closed  bool
	delay   time.Duration
	links   map[*link]struct{}
	stats   Stats
}

// Stats is what a proxy has done so far.
type Stats struct {
	Accepted int            `json:"accepted"`
	Refused  int            `json:"refused"`
	Open     int            `json:"open"`
	Up       int64          `json:"up"`     // bytes to the server
	Down     int64          `json:"down"`   // bytes to clients
	Faults   map[string]int `json:"faults"` // how often each was drawn
}

// Listen starts a proxy to a HOST:PORT on a free port of the loopback. It passes everything on until it is told otherwise.
func Listen(to string, seed uint64) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for clients: %w", err)
	}
	p := &Proxy{listen: l, to: to, rng: rand.New(rand.NewPCG(seed, seed)), links: map[*link]struct{}{}, stats: Stats{Faults: map[string]int{}}}
	p.all.Go(p.accept)
	return p, nil
}

// Addr is the HOST:PORT for clients.
func (p *Proxy) Addr() string { return p.listen.Addr().String() }

// Close ends the proxy and every connection through it, and waits until that is done.
func (p *Proxy) Close() {
	_ = p.listen.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Cut()
	p.all.Wait()
}

// Faults says whether new connections draw a fault: they drop, are reset, become half open or crawl.
func (p *Proxy) Faults(on bool) { p.with(func() { p.faults = on }) }

// Heal turns faults off and, the first time, ends the connections that have drawn one.
func (p *Proxy) Heal() {
	first := false
	p.with(func() { first, p.healed, p.faults = !p.healed, true, false })
	if first {
		p.Cut()
	}
}

// Target sends new connections to another HOST:PORT.
func (p *Proxy) Target(to string) { p.with(func() { p.to = to }) }

// Refuse says whether new connections are reset as they come.
func (p *Proxy) Refuse(on bool) { p.with(func() { p.refuses = on }) }

// Delay makes every piece of every connection wait for so long.
func (p *Proxy) Delay(d time.Duration) { p.with(func() { p.delay = d }) }

// Cut ends every connection there is.
func (p *Proxy) Cut() { p.each((*link).cut) }

// CutMidFrame ends every connection there is, each in the middle of the next frame that the server sends on it.
func (p *Proxy) CutMidFrame() { p.each(func(l *link) { l.midFrame.Store(true) }) }

// Stall holds back all further bytes of the connections there are, on their way to the server, to the clients, or both:
// they are half open now.
func (p *Proxy) Stall(up, down bool) { p.each(func(l *link) { l.stall(up, down) }) }

// ResumeStalled passes on what was held back.
func (p *Proxy) ResumeStalled() { p.each((*link).resume) }

// Say tells every client, as if the server did, that its connection is closed with a WebSocket close code. It fits between
// frames only: nothing else may be on its way.
func (p *Proxy) Say(code uint16) { p.each(func(l *link) { l.say(code) }) }

// Stats returns a copy.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Open, s.Faults = len(p.links), maps.Clone(s.Faults)
	return s
}

func (p *Proxy) with(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *Proxy) each(do func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		do(l)
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		if l, to := p.admit(c); l != nil {
			p.all.Go(func() { p.serve(l, to) })
		} else {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}
}

// admit decides about a connection that has come; nil refuses it.
func (p *Proxy) admit(c net.Conn) (l *link, to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses || p.closed {
		p.stats.Refused++
		return nil, ""
	}
	p.stats.Accepted++
	l = newLink(p, c, p.draw())
	p.links[l] = struct{}{}
	return l, p.to
}

func (p *Proxy) serve(l *link, to string) {
	defer func() {
		l.cut()
		p.with(func() { delete(p.links, l) })
	}()
	upstream, err := net.Dial("tcp", to)
	if err != nil || !l.attach(upstream) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(upstream, l.client, true) })
	both.Go(func() { l.copy(l.client, upstream, false) })
	both.Wait()
}

// passed counts bytes and tells how long the next piece has to wait.
func (p *Proxy) passed(n int, up bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if up {
		p.stats.Up += int64(n)
	} else {
		p.stats.Down += int64(n)
	}
	return p.delay
}

// plan is what happens to one connection.
type plan struct {
	fault string
	after int           // bytes in one direction until it happens
	up    bool          // the direction is that to the server
	delay time.Duration // of every piece
	piece int           // bytes that go at once
}

// strikes tells whether the plan ends the connection in a direction, once enough bytes have passed.
func (pl plan) strikes(up bool) bool { return pl.after > 0 && pl.up == up }

func (p *Proxy) draw() plan {
	pl := plan{fault: "none", piece: 1 << 15}
	if !p.faults {
		return pl
	}
	pl.fault = []string{"drop", "reset", "half-open", "slow", "none"}[p.rng.IntN(5)]
	p.stats.Faults[pl.fault]++
	switch pl.fault {
	case "slow":
		pl.delay, pl.piece = time.Duration(p.rng.IntN(2000))*time.Microsecond, 1+p.rng.IntN(700)
	case "drop", "reset", "half-open":
		pl.after, pl.up = 200+p.rng.IntN(8_000), p.rng.IntN(3) == 0
		if pl.up {
			pl.after /= 8
		}
	}
	return pl
}
