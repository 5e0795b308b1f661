package wiretest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Conn is one connection: a machine, the followers that it asked for, and what the client was sent.
type Conn struct {
	ID         string
	Inbox      []string // frames that the client has still to read
	Closed     *session.Close
	Pings      int  // WebSocket pings
	Stalled    bool // followers send nothing
	User       string
	Effects    []string // kinds of the effects so far, for tests that look closer
	MaxMembers int
	// ListLimit cuts lists of members, and above BroadcastLimit members transitions are quiet; 0: neither.
	ListLimit, BroadcastLimit int

	world     *World
	machine   session.Machine
	followers []*follower
	users     map[session.Tag]string
	wake      int64
	queue     []session.Input
	stepping  bool
}

// Host is a machine that carries out some of its effects itself, in the world of its test; mine is false for those that
// the world is to carry out.
type Host interface {
	Carry(w *World, c *Conn, e session.Effect) (answers []session.Input, mine bool)
}

// Open connects a client with a machine.
func (w *World) Open(id string, m session.Machine) *Conn {
	c := &Conn{ID: id, MaxMembers: 100, world: w, machine: m, users: map[session.Tag]string{}}
	w.conns = append(w.conns, c)
	c.Step(session.Opened{ID: id, Remote: "192.0.2.1"})
	return c
}

// Send is a frame of the client.
func (c *Conn) Send(frame string) { c.Step(session.Frame{Data: []byte(frame)}) }

// Drop ends the connection.
func (c *Conn) Drop(clean bool) {
	c.followers, c.wake = nil, 0
	c.world.conns = slices.DeleteFunc(c.world.conns, func(o *Conn) bool { return o == c })
	c.Step(session.Closed{Clean: clean})
}

// Step hands the machine an input and carries out what follows. Inputs that come up meanwhile wait their turn.
func (c *Conn) Step(in session.Input) {
	c.queue = append(c.queue, in)
	if c.stepping {
		return
	}
	c.stepping = true
	for len(c.queue) > 0 {
		next := c.queue[0]
		c.queue = c.queue[1:]
		for _, e := range c.machine.Step(c.world.Now, next, nil) {
			c.Effects = append(c.Effects, fmt.Sprintf("%T", e))
			c.do(e)
		}
	}
	c.stepping = false
	c.Pump()
}

// Pump sends everything that is due, unless the connection is stalled.
func (c *Conn) Pump() {
	if c.stepping {
		return
	}
	for more := !c.Stalled; more; {
		more = c.PumpOne()
	}
}

// PumpOne sends one thing that is due; false when nothing is.
func (c *Conn) PumpOne() bool {
	for _, f := range slices.Clone(c.followers) {
		if f.pump() {
			return true
		}
	}
	return false
}

func (c *Conn) receive(payload []byte) {
	if c.Closed == nil {
		c.Inbox = append(c.Inbox, string(payload))
	}
}

func (c *Conn) find(tag session.Tag) *follower {
	for _, f := range c.followers {
		if f.tag == tag {
			return f
		}
	}
	return nil
}

func (c *Conn) unfollow(tag session.Tag) {
	c.followers = slices.DeleteFunc(c.followers, func(f *follower) bool { return f.tag == tag })
}

func (c *Conn) answer(in session.Input) { c.queue = append(c.queue, in) }

func (c *Conn) do(e session.Effect) {
	if host, ok := c.machine.(Host); ok {
		if answers, mine := host.Carry(c.world, c, e); mine {
			c.queue = append(c.queue, answers...)
			return
		}
	}
	switch e := e.(type) {
	case session.Send:
		c.receive(e.Payload)
	case session.Follow:
		f := &follower{conn: c, log: c.world.Log(e.Ref), tag: e.Tag, enc: e.Encoder}
		res := f.decide(e.Start)
		if res.Err == nil {
			c.unfollow(e.Tag)
			c.followers = append(c.followers, f)
		}
		c.answer(res)
	case session.Refollow:
		if f := c.find(e.Tag); f != nil && f.sent {
			c.answer(session.Followed{Tag: e.Tag, Dirty: true})
		} else if f != nil {
			c.answer(f.decide(e.Start))
		}
	case session.Release:
		if f := c.find(e.Tag); f != nil {
			f.held = false
		}
	case session.Place:
		if f := c.find(e.Tag); f != nil {
			if payload := f.enc.Position(nil, f.log.Ref, f.stream, f.cursor); payload != nil {
				c.receive(payload)
			}
		}
	case session.Unfollow:
		c.unfollow(e.Tag)
	case session.Publish:
		c.publish(e)
	case session.Ephemeral:
		c.world.ephemeral(e)
	case session.Wake:
		c.wake = e.At
	case session.Ping:
		c.Pings++
	case session.Close:
		if c.Closed == nil {
			c.Closed = &e
		}
	default:
		c.other(e)
	}
}

func (c *Conn) other(e session.Effect) {
	w := c.world
	switch e := e.(type) {
	case session.Identify:
		c.User = e.User
	case session.Admit:
		c.answer(w.admit(c, e))
	case session.Enter:
		c.users[e.Tag] = e.Member.User
		if in := w.enter(c, e); !e.Update || in.Err != nil {
			c.answer(in)
		}
	case session.List:
		c.answer(w.list(e))
	case session.Exit:
		user := c.users[e.Tag]
		w.after(e.Grace.Milliseconds(), func() { w.exit(c, user, e) })
	case session.Count:
		n := 0
		for _, o := range w.conns {
			for _, f := range o.followers {
				if f.log.Ref == e.Ref {
					n++
				}
			}
		}
		c.answer(session.Counted{Tag: e.Tag, N: n})
	case session.Watch:
		var in session.Watched
		for _, u := range e.Users {
			if w.Online[u] {
				in.Online = append(in.Online, u)
			}
		}
		c.answer(in)
	case session.Recall:
		in := session.Recalled{Tag: e.Tag}
		l := w.Log(e.Ref)
		if rows, _ := l.rows(e.At, 0, 1); len(rows) > 0 {
			in.Entry, in.State, in.Stream = rows[0], l.row(rows[0], e.At), l.ID()
		}
		c.answer(in)
	case session.Page:
		c.answer(w.page(e))
	}
}

// admit registers a connection under its user, unless the user has as many as there may be.
func (w *World) admit(c *Conn, e session.Admit) session.Admitted {
	n := 0
	for _, o := range w.conns {
		if o != c && o.User == e.User {
			n++
		}
	}
	if e.Limit > 0 && n >= e.Limit {
		return session.Admitted{Err: fault.New(fault.LimitExceeded, "there are the %d connections that there may be", e.Limit)}
	}
	c.User = e.User
	return session.Admitted{}
}

func (c *Conn) publish(e session.Publish) {
	in := session.Published{Tag: e.Tag}
	if c.world.Broken {
		in.Err = errUnavailable
	} else {
		for _, op := range e.Ops {
			got := c.world.Append(op.Ref, op.Entry)
			in.Results = append(in.Results, stream.Result{Outcome: stream.Applied, Entry: got.ID()})
		}
	}
	c.answer(in)
}

// ephemeral delivers an entry to the live followers alone.
func (w *World) ephemeral(e session.Ephemeral) {
	for _, c := range w.conns {
		for _, f := range c.followers {
			if f.log.Ref != e.Ref || !f.live || e.Entry.NoEcho && e.Entry.Conn == c.ID {
				continue
			}
			if payload, ok := f.enc.Entry(nil, session.Delivery{Ref: e.Ref, Stream: f.stream, Entry: &e.Entry}); ok {
				c.receive(payload)
			}
		}
	}
}

// page answers a history request from the whole log at once, in a body that has what a machine may look at.
func (w *World) page(e session.Page) session.Paged {
	if w.Broken {
		return session.Paged{Tag: e.Tag, Err: errUnavailable}
	}
	l, q := w.Log(e.Ref), e.Query
	rows, _ := l.rows(l.head, 0, len(l.entries))
	if !q.OldestFirst {
		slices.Reverse(rows)
	}
	items := []uint64{}
	more := false
	for _, row := range rows {
		if !within(q.Serials, row.Serial) || !within(q.Times, uint64(row.Time)) {
			continue
		}
		if more = len(items) == q.Limit; more {
			break
		}
		items = append(items, row.Serial)
	}
	body, err := json.Marshal(map[string]any{"items": items, "limit": q.Limit, "has_more": more,
		"bounds": map[string]any{"end_serial": q.Serials.End}})
	return session.Paged{Tag: e.Tag, Body: body, Err: err}
}

func within(s session.Span, n uint64) bool {
	return (!s.HasStart || n >= s.Start) && (!s.HasEnd || n <= s.End)
}
