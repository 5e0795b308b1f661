package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/message"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/conn"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/run/presence"
)

// pipes is a listener whose connections are in memory, so that time is fake in a bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// whole passes empty writes over: unlike a socket, a pipe hands them to its reader.
type whole struct{ net.Conn }

func (w whole) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return w.Conn.Write(p)
}

// bubble is a server in a bubble of fake time.
type bubble struct {
	*testing.T
	pipes *pipes
	node  *node.Node
}

// inBubble runs f against a server whose time passes as soon as nobody has anything to do.
func inBubble(t *testing.T, f func(b *bubble)) {
	synctest.Test(t, func(t *testing.T) {
		now := func() int64 { return time.Now().UnixMilli() }
		registry := production(t, func(a *app.App) {
			p := app.Default(app.Production)
			p.Presence.CleanGrace = 2 * time.Second
			a.Policies = []app.Policy{p}
		})
		store := memory.New(memory.Options{Now: now, Rules: func(ref stream.Ref) stream.Rules { return node.Rules(registry, ref) },
			Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold, stream.Presence: corepresence.Fold}})
		h := hub.New(hub.Options{Store: store, Now: now, Frame: Frame})
		n := node.New(node.Options{Store: store, Hub: h, Apps: registry, Now: now})
		reg := presence.New(presence.Options{Store: store, Hub: h, Apps: n.Apps, Online: n.Sessions().Online, Node: "n", Boot: "b", Now: now})
		wheel := conn.NewWheel(now)
		ctx, cancel := context.WithCancel(context.Background())
		turned := make(chan struct{})
		go func() {
			defer close(turned)
			_ = wheel.Run(ctx)
		}()
		gate := New(Options{Node: n, Presence: reg, Wheel: wheel, Now: now})
		b := &bubble{T: t, pipes: &pipes{conns: make(chan net.Conn), done: make(chan struct{})}, node: n}
		server := &http.Server{Handler: httpHandler(gate)}
		served := make(chan error, 1)
		go func() { served <- server.Serve(b.pipes) }()
		f(b)
		for _, one := range n.Sessions().All() {
			one.Post(session.Terminate{Cause: session.Stopping})
		}
		gate.Wait(context.Background())
		cancel()
		<-turned
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		reg.Close()
		h.Close()
		_ = store.Close()
	})
}

// enter opens a session of a user whose token lasts for ttl.
func (b *bubble) enter(user string, ttl time.Duration) *peer {
	b.Helper()
	client, server := net.Pipe()
	b.pipes.conns <- server
	d := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return whole{client}, nil },
		Header: ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + makeToken(b.T, user, ttl)}}}
	c, buffered, _, err := d.Dial(context.Background(), "ws://pipe/rooms")
	if err != nil {
		b.Fatal(err)
	}
	p := &peer{T: b.T, Conn: c, in: c}
	if buffered != nil {
		p.in = buffered
	}
	p.greeted()
	return p
}

// at fails unless about so much time has passed since a moment: the wheel's resolution is a second.
func (b *bubble) at(since time.Time, want time.Duration) {
	b.Helper()
	if got := time.Since(since); got < want || got > want+1100*time.Millisecond {
		b.Errorf("%s passed, want %s and at most a second more", got, want)
	}
}

func TestRoomsTokenTimes(t *testing.T) {
	inBubble(t, func(b *bubble) {
		start := time.Now()
		p := b.enter("ann", 2*time.Minute)
		p.want(`"kind":"server.token_expiring"`)
		b.at(start, 90*time.Second)
		p.want("close 4401")
		b.at(start, 2*time.Minute)
		_ = p.Close()

		start = time.Now()
		p = b.enter("ann", time.Minute)
		p.want(`"kind":"server.token_expiring"`)
		p.send(`{"kind":"client.auth","token":"` + makeToken(b.T, "ann", time.Hour) + `"}`)
		p.want(`"kind":"server.auth_ok"`)
		p.want(`"kind":"server.token_expiring"`)
		b.at(start, time.Hour) // 30 s before an hour from the renewal at 30 s
		_ = p.Close()
	})
}

// TestRoomsSilence lets a client answer pings for ten minutes, and another one answer nothing.
func TestRoomsSilence(t *testing.T) {
	inBubble(t, func(b *bubble) {
		p := b.enter("ann", time.Hour)
		start := time.Now()
		time.AfterFunc(10*time.Minute, func() { _ = p.Close() })
		for { // pongs are sent by the reader
			h, err := ws.ReadHeader(p.in) // its pings carry nothing
			if err != nil {
				break
			}
			if h.OpCode != ws.OpPing || h.Length > 0 {
				b.Fatalf("%+v after %s though it answered every ping", h, time.Since(start))
			}
			if err := ws.WriteFrame(p.Conn, ws.MaskFrame(ws.NewPongFrame(nil))); err != nil {
				break
			}
		}
		b.at(start, 10*time.Minute)

		mute := b.enter("bob", time.Hour)
		start = time.Now()
		h, err := ws.ReadHeader(mute.in)
		if err != nil || h.OpCode != ws.OpPing {
			b.Fatalf("%+v %v, want a ping", h, err)
		}
		b.at(start, 25*time.Second)
		mute.want("close 4202")
		b.at(start, 50*time.Second)
		_ = mute.Close()
	})
}

// TestRoomsGrace lets members drop, come back in time, and stay away.
func TestRoomsGrace(t *testing.T) {
	inBubble(t, func(b *bubble) {
		watcher := b.enter("eve", 24*time.Hour)
		watcher.send(`{"kind":"client.join","room_id":"room","presence":"watch"}`)
		watcher.want("room.joined")
		join := func() *peer {
			p := b.enter("ann", 24*time.Hour)
			p.send(`{"kind":"client.join","room_id":"room","presence":"enter"}`)
			p.want("room.joined", `"ann"`)
			return p
		}
		p := join()
		watcher.want("presence.joined", `"user_id":"ann"`)
		for range 3 { // dropped, and back before the 15 s are over
			_ = p.Close()
			<-time.After(14 * time.Second)
			p = join()
		}
		start := time.Now()
		_ = p.Close()
		watcher.want("presence.left", `"cause":"timeout"`)
		b.at(start, 15*time.Second)

		p = join()
		watcher.want("presence.joined")
		start = time.Now()
		if err := ws.WriteFrame(p.Conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))); err != nil {
			b.Fatal(err)
		}
		p.want("close 1000")
		_ = p.Close()
		watcher.want("presence.left", `"cause":"disconnect"`)
		b.at(start, 2*time.Second) // the policy's grace for a clean end
		_ = watcher.Close()
	})
}
