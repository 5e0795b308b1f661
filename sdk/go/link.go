package continuo

import (
	"context"
	"errors"

	"github.com/continuo-rt/continuo/sdk/go/session"
	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// link is one connection, from dial to its end. When the session hangs up, the client forgets it: nothing that it still
// says matters.
type link struct {
	client *Client
	out    serial
	cancel context.CancelFunc
	socket transport // nil: not open yet
}

func (c *Client) dial(token *string) {
	if c.link != nil {
		c.hangUp(1000)
	}
	l := &link{client: c, out: serial{wait: &c.tasks}}
	c.link, c.token = l, ""
	if token != nil {
		c.token = *token
	}
	ctx, cancel := context.WithCancel(c.ctx)
	l.cancel = cancel
	used := c.token
	c.tasks.Go(func() {
		defer cancel()
		l.run(ctx, used)
	})
}

// run is the life of a link.
func (l *link) run(ctx context.Context, token string) {
	socket, err := l.client.open(ctx, token)
	if err != nil {
		in := session.Input{Do: session.Refused}
		var refused *refusal
		if errors.As(err, &refused) {
			in.Status, in.RetryAfterMS = refused.status, refused.after.Milliseconds()
		}
		l.last(in)
		return
	}
	if !l.opened(socket) {
		socket.close(1000) // and what it still says means nothing, until it ends
	}
	for {
		text, err := socket.read()
		var ended *closure
		switch {
		case err == nil:
			l.step(frame(text))
		case errors.As(err, &ended):
			l.last(session.Input{Do: session.Closed, Code: ended.code})
			return
		default:
			l.step(session.Input{Do: session.Malformed, Message: err.Error()})
		}
	}
}

// frame is what a text says.
func frame(text []byte) session.Input {
	f, err := wire.Decode(text)
	switch {
	case err == nil:
		return session.Input{Do: session.Frame, Frame: f}
	case errors.Is(err, wire.ErrIgnored):
		return session.Input{Do: session.Opened} // something was read, and that is all
	}
	return session.Input{Do: session.Malformed, Message: err.Error()}
}

// opened reports whether anyone still wants the link.
func (l *link) opened(socket transport) bool {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return false
	}
	l.socket = socket
	c.locked(session.Input{Do: session.Opened})
	return true
}

func (l *link) step(in session.Input) {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.locked(in)
	}
}

// last is the step that ends a link.
func (l *link) last(in session.Input) {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.link = nil
		c.locked(in)
	}
}

// send writes a command to the link, after those before it.
func (c *Client) send(command *wire.Command) {
	l := c.link
	if l == nil {
		return
	}
	if command.Kind == wire.ClientAuth {
		c.token = command.Token
	}
	text, err := wire.Encode(command)
	if err != nil {
		c.report(err)
		return
	}
	socket := l.socket
	l.out.do(func() { _ = socket.write(text) }) // a connection that cannot be written is found out by reading
}

// hangUp ends the link and forgets it.
func (c *Client) hangUp(code int) {
	l := c.link
	if l == nil {
		return
	}
	c.link = nil
	if l.socket == nil {
		l.cancel()
		return
	}
	socket := l.socket
	if code != 1000 {
		c.tasks.Go(func() { socket.close(code) }) // what waits to be written would wait for ever
		return
	}
	socket.expire() // a write that blocks must not keep the goodbye from its turn
	l.out.do(func() { socket.close(code) })
}
