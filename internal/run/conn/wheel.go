package conn

import (
	"context"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
)

// slots of the wheel: more than the longest interval in seconds, so that a visit is rarely early.
const slots = 256

// Wheel keeps the time of many connections with one goroutine: silence, the machine's own timers and the positions of
// filtered followers. Its resolution is a second; what a machine wants sooner gets a timer of its own. A connection
// costs a link in a list.
type Wheel struct {
	now func() int64

	mu    sync.Mutex
	at    int64 // the second up to which slots were visited
	slots [slots]*Conn
}

// wheelEntry is a connection's place in the wheel, under the wheel's lock.
type wheelEntry struct {
	next, prev *Conn
	due        int64 // second of the next visit; 0: not in the wheel
	wake       int64 // unix ms of the machine's timer, 0 none
	idled      int64 // unix ms of the newest Idle
	early      *time.Timer
}

// NewWheel makes a wheel. now gives unix ms.
func NewWheel(now func() int64) *Wheel { return &Wheel{now: now, at: now() / 1000} }

// Run turns the wheel every second until ctx ends.
func (w *Wheel) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			w.Turn()
		}
	}
}

// Turn visits every connection that is due now.
func (w *Wheel) Turn() {
	now := w.now()
	for _, c := range w.due(now) {
		c.visit(now)
	}
}

// due lists the connections that are due. A visit puts each of them where it is due next.
func (w *Wheel) due(now int64) []*Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	var due []*Conn
	second := now / 1000
	from := max(w.at+1, second-slots+1)
	for s := from; s <= second; s++ {
		for c := w.slots[s%slots]; c != nil; {
			next := c.timer.next
			if c.timer.due <= second {
				due = append(due, c)
			}
			c = next
		}
	}
	w.at = max(w.at, second)
	return due
}

// nudgeEvery is how often the followers of a connection are asked whether their client is to be told its position.
const nudgeEvery = 30_000

// link puts c where it is due next: at its timer, after its idle interval or for a nudge, whichever comes first.
func (w *Wheel) link(c *Conn, now int64) {
	next := now + nudgeEvery
	if idle := c.opts.IdleEvery.Milliseconds(); idle > 0 {
		next = min(next, max(c.lastRead.Load(), c.timer.idled)+idle)
	}
	if c.timer.wake > 0 {
		next = min(next, c.timer.wake)
	}
	c.timer.due = max(w.at+1, (next+999)/1000)
	head := &w.slots[c.timer.due%slots]
	c.timer.next, c.timer.prev = *head, nil
	if *head != nil {
		(*head).timer.prev = c
	}
	*head = c
}

func (w *Wheel) unlink(c *Conn) {
	if c.timer.due == 0 {
		return
	}
	if c.timer.prev != nil {
		c.timer.prev.timer.next = c.timer.next
	} else {
		w.slots[c.timer.due%slots] = c.timer.next
	}
	if c.timer.next != nil {
		c.timer.next.timer.prev = c.timer.prev
	}
	c.timer.next, c.timer.prev, c.timer.due = nil, nil, 0
}

func (w *Wheel) add(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link(c, w.now())
}

func (w *Wheel) remove(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(c)
	if c.timer.early != nil {
		c.timer.early.Stop()
	}
}

// wake sets the machine's timer.
func (w *Wheel) wake(c *Conn, at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.timer.early != nil {
		c.timer.early.Stop()
		c.timer.early = nil
	}
	c.timer.wake = at
	now := w.now()
	if at > 0 && at < now+1500 {
		c.timer.wake = 0
		c.timer.early = time.AfterFunc(time.Duration(max(0, at-now))*time.Millisecond, func() { c.Post(session.Woken{}) })
		return
	}
	if c.timer.due != 0 {
		w.unlink(c)
		w.link(c, now)
	}
}

// ripe says what is due for a connection now, and puts it where it is due next.
func (w *Wheel) ripe(c *Conn, now int64) (woken bool, silent int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if woken = c.timer.wake > 0 && c.timer.wake <= now; woken {
		c.timer.wake = 0
	}
	heard := c.lastRead.Load()
	if idle := c.opts.IdleEvery.Milliseconds(); idle > 0 && now-max(heard, c.timer.idled) >= idle {
		c.timer.idled, silent = now, now-heard
	}
	if c.timer.due != 0 {
		w.unlink(c)
		w.link(c, now)
	}
	return woken, silent
}

// visit does what is due for one connection.
func (c *Conn) visit(now int64) {
	w := c.opts.Wheel
	woken, silent := w.ripe(c, now)
	if woken {
		c.Post(session.Woken{})
	}
	if silent > 0 {
		c.Post(session.Idle{For: silent})
	}
	for _, f := range c.following() {
		f.Nudge()
	}
}
