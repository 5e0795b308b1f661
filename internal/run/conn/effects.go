package conn

import (
	"context"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

// run steps the machine with one input and carries out the effects; answers that come at once are stepped after the
// effects of the same step. c.step is held.
func (c *Conn) run(first any) {
	in := c.input(first)
	if in == nil {
		return
	}
	for queue := []session.Input{in}; len(queue) > 0 && !c.ended; queue = queue[1:] {
		effects := c.opts.Machine.Step(c.opts.Now(), queue[0], c.effects[:0])
		for _, e := range effects {
			queue = append(queue, c.carryOut(e)...)
		}
		clear(effects)
		if c.effects = effects[:0]; cap(effects) > 16 {
			c.effects = nil
		}
	}
}

// input is what the machine gets of something posted, nil when that was for the conn alone.
func (c *Conn) input(posted any) session.Input {
	switch p := posted.(type) {
	case session.Input:
		return p
	case news:
		if c.find(p.f.Tag()) == p.f {
			return p.f.News()
		}
	}
	return nil
}

// carryOut does what one effect says and returns the inputs that answer it at once.
func (c *Conn) carryOut(e session.Effect) []session.Input {
	switch e := e.(type) {
	case session.Send:
		c.send(e)
	case session.Follow:
		return []session.Input{c.follow(e)}
	case session.Refollow:
		if f := c.find(e.Tag); f != nil {
			return []session.Input{f.Refollow(context.Background(), e.Start)}
		}
	case session.Release:
		if f := c.find(e.Tag); f != nil {
			f.Release()
		}
	case session.Place:
		if f := c.find(e.Tag); f != nil && !f.Place() {
			c.Post(session.Terminate{Cause: session.Overloaded})
		}
	case session.Unfollow:
		c.unfollow(e.Tag)
		return c.opts.Backend.Other(context.Background(), c, e)
	case session.Publish:
		c.pubs.add(c, e)
	case session.Ephemeral:
		c.opts.Backend.Ephemeral(c, e.Ref, e.Entry)
	case session.Wake:
		c.opts.Wheel.wake(c, e.At)
	case session.Ping:
		c.control(c.opts.Transport.Ping())
	case session.Close:
		c.out.Lock()
		c.out.Close(c.opts.Transport.CloseFrame(e.Code, e.Reason))
		c.out.Unlock()
	default:
		return c.opts.Backend.Other(context.Background(), c, e)
	}
	return nil
}

func (c *Conn) send(e session.Send) { c.control(c.opts.Transport.Message(e.Binary, e.Payload)) }

// control queues a frame of the machine's own. A client that leaves no room even for these is cut off.
func (c *Conn) control(frame []byte) {
	c.out.Lock()
	ok := c.out.PutControl(frame) || c.out.Ending()
	c.out.Unlock()
	if !ok {
		c.Post(session.Terminate{Cause: session.Overloaded})
	}
}

func (c *Conn) follow(e session.Follow) session.Input {
	f, res := c.opts.Backend.Follow(context.Background(), c, e)
	if f != nil {
		c.unfollow(e.Tag)
		c.in.Lock()
		c.followers = append(c.followers, f)
		c.in.Unlock()
	}
	return res
}

func (c *Conn) unfollow(tag session.Tag) {
	i := slices.IndexFunc(c.followers, func(f *hub.Follower) bool { return f.Tag() == tag })
	if i < 0 {
		return
	}
	f := c.followers[i]
	c.in.Lock()
	c.followers = slices.Delete(c.followers, i, i+1)
	c.in.Unlock()
	f.Unfollow()
}
