// Package conn drives one session: it reads the client's frames, steps the face's machine, carries out its effects and
// keeps the session's time.
//
//	Serve: Read ─► Frame ─┐
//	hub:   ReplayEnded ───┤
//	hub:   Lost ──────────┼─► step (one at a time) ─► effects ─► outbox, hub, Backend
//	Wheel: Idle, Woken ───┤
//	Backend: results ─────┘
//
// A connection has one goroutine, which reads. Others exist only while there is something to write, to publish or to
// hand over.
package conn

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/outbox"
)

// Transport is the connection below a session. Read is called by one goroutine; the writing methods as outbox.Socket
// says; Close by any.
type Transport interface {
	outbox.Socket
	// Read returns the client's next message, which is valid until the next Read.
	Read() (binary bool, data []byte, err error)
	// Answer is the close frame that answers an error of Read, nil when there is nobody to answer. clean says that the
	// client ended the connection with a close frame of its own.
	Answer(err error) (frame []byte, clean bool)
	// Message, Ping, Pong and CloseFrame make complete frames.
	Message(binary bool, payload []byte) []byte
	Ping() []byte
	Pong(payload []byte) []byte
	CloseFrame(code uint16, reason string) []byte
	// Linger ends a connection whose close frame was written; Close ends it at once.
	Linger(d time.Duration) error
	Close() error
}

// Backend is what a session can ask of the node. Calls may overlap.
type Backend interface {
	Follow(ctx context.Context, c *Conn, req session.Follow) (*hub.Follower, session.Followed)
	Publish(ctx context.Context, c *Conn, ops []stream.Op) ([]stream.Result, error)
	Ephemeral(c *Conn, ref stream.Ref, e stream.Entry)
	// Other carries out the effects that only some faces have, and hears of every Unfollow; it may answer with inputs, now
	// (returned) or later (Post).
	Other(ctx context.Context, c *Conn, e session.Effect) []session.Input
	// Gone is called once, after the last Step.
	Gone(c *Conn)
}

// Options of a connection.
type Options struct {
	ID          string // the session's id
	Remote      string
	Machine     session.Machine
	Transport   Transport
	Backend     Backend
	Wheel       *Wheel
	OutboxBytes int
	// IdleEvery is how long the client may be silent before the machine gets Idle, and again each time; 0: for ever.
	IdleEvery time.Duration
	Now       func() int64
}

// Conn is one session. Post, Terminate and the hub's callbacks may be called by anyone.
type Conn struct {
	out  outbox.Outbox
	opts *Options

	step    sync.Mutex // one Step and its effects at a time
	effects []session.Effect
	ended   bool

	in        sync.Mutex      // taken after step
	followers []*hub.Follower // changed with step and in held
	inbox     []any           // inputs, and what the conn itself reads
	posted    bool            // a goroutine is about to empty the inbox
	pubs      publisher

	pumps    uint32       // of the goroutine that pumps
	lastRead atomic.Int64 // unix ms
	confined atomic.Pointer[func(capability, channel string) bool]
	timer    wheelEntry
}

// New prepares a connection. Serve runs it.
func New(o *Options) *Conn {
	c := &Conn{opts: o}
	c.out.Init(o.Transport, c, o.OutboxBytes)
	c.lastRead.Store(o.Now())
	return c
}

// Confine says what the client may do through others; nil: everything.
func (c *Conn) Confine(capable func(capability, channel string) bool) {
	if capable == nil {
		c.confined.Store(nil)
		return
	}
	c.confined.Store(&capable)
}

// Capable reports whether the client was given a capability on a channel.
func (c *Conn) Capable(capability, channel string) bool {
	capable := c.confined.Load()
	return capable == nil || (*capable)(capability, channel)
}

// ID is the session's id.
func (c *Conn) ID() string { return c.opts.ID }

// Outbox is the session's outbox and lock.
func (c *Conn) Outbox() *outbox.Outbox { return &c.out }

// Serve reads until the connection ends. It returns when the machine has been told; what is queued may still be on its
// way. Run it on a goroutine of its own.
func (c *Conn) Serve() {
	c.opts.Wheel.add(c)
	c.handle(session.Opened{ID: c.opts.ID, Remote: c.opts.Remote})
	clean := c.read()
	c.opts.Wheel.remove(c)
	c.finish(clean)
}

func (c *Conn) read() (clean bool) {
	for {
		binary, data, err := c.opts.Transport.Read()
		if err != nil {
			frame, clean := c.opts.Transport.Answer(err)
			c.out.Lock()
			if frame != nil {
				c.out.Close(frame)
			} else {
				c.out.Fail(err)
			}
			c.out.Unlock()
			return clean
		}
		c.lastRead.Store(c.opts.Now())
		c.handle(session.Frame{Binary: binary, Data: data})
		c.pubs.wait()
	}
}

// finish tells the machine that the connection has ended and lets go of everything.
func (c *Conn) finish(clean bool) {
	c.step.Lock()
	c.run(session.Closed{Clean: clean})
	c.ended = true
	c.in.Lock()
	followers := c.followers
	c.followers, c.inbox = nil, nil
	c.in.Unlock()
	c.step.Unlock()
	for _, f := range followers {
		f.Unfollow()
	}
	c.opts.Backend.Gone(c)
}

// handle steps the machine with an input (or what becomes one) and with whatever waits in the inbox.
func (c *Conn) handle(in any) {
	c.step.Lock()
	defer c.step.Unlock()
	if in != nil {
		c.run(in)
	}
	for !c.ended {
		c.in.Lock()
		waiting := c.inbox
		c.inbox = nil
		c.in.Unlock()
		if len(waiting) == 0 {
			break
		}
		for _, in := range waiting {
			c.run(in)
		}
	}
	c.out.Lock()
	c.out.Flush()
	c.out.Unlock()
}

// Post hands an input over without blocking.
func (c *Conn) Post(in session.Input) { c.post(in) }

func (c *Conn) post(in any) {
	c.in.Lock()
	c.inbox = append(c.inbox, in)
	start := !c.posted
	c.posted = true
	c.in.Unlock()
	if start {
		go func() {
			c.in.Lock()
			c.posted = false
			c.in.Unlock()
			c.handle(nil)
		}()
	}
}

// Terminate asks the machine to end the connection in its own words.
func (c *Conn) Terminate(cause session.Cause) { c.Post(session.Terminate{Cause: cause}) }

// ReplayEnded implements hub.Owner. It runs on the goroutine that pumps, so that what the machine sends now is joined
// with the replay.
func (c *Conn) ReplayEnded(f *hub.Follower) { c.handle(news{f}) }

// Lost implements hub.Owner.
func (c *Conn) Lost(f *hub.Follower) { c.post(news{f}) }

// news is read by the conn itself before it becomes an input: the follower may have been replaced, or moved, meanwhile.
type news struct{ f *hub.Follower }

// find returns the follower with a tag, nil if there is none; step is held.
func (c *Conn) find(tag session.Tag) *hub.Follower {
	for _, f := range c.followers {
		if f.Tag() == tag {
			return f
		}
	}
	return nil
}

// following is a copy of the list of followers.
func (c *Conn) following() []*hub.Follower {
	c.in.Lock()
	defer c.in.Unlock()
	return append(make([]*hub.Follower, 0, 8), c.followers...)
}

// Pump implements outbox.Owner. Each time another follower is the first to get what room there is, and none reads a page
// while the queue is not low.
func (c *Conn) Pump() (more bool) {
	all := c.following()
	c.pumps++
	for i := range all {
		if all[(i+int(c.pumps))%len(all)].Pump(context.Background()) {
			more = true
		}
		c.out.Lock()
		low := c.out.Bytes() <= c.out.Free()
		c.out.Unlock()
		if !low {
			return true
		}
	}
	return more
}

// Ended implements outbox.Owner: the write side is done. A client that took nothing for the write timeout is cut off; its
// reader then ends the connection.
func (c *Conn) Ended(err error) {
	if err == nil {
		_ = c.opts.Transport.Linger(lingerTime)
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.Post(session.Terminate{Cause: session.Stalled})
	}
	_ = c.opts.Transport.Close()
}

// lingerTime is how long the client may take to close after our close frame.
const lingerTime = 5 * time.Second

// OnPing and OnPong are what the transport reports while it reads.
func (c *Conn) OnPing(payload []byte) {
	c.lastRead.Store(c.opts.Now())
	c.out.Lock()
	c.out.PutControl(c.opts.Transport.Pong(payload))
	c.out.Flush()
	c.out.Unlock()
}

// OnPong counts as a sign of life.
func (c *Conn) OnPong() { c.lastRead.Store(c.opts.Now()) }
