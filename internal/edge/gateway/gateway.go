// Package gateway turns WebSocket requests into sessions: it upgrades, chooses the face's machine and hands both to a
// connection.
package gateway

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/edge/ws"
	"github.com/continuo-rt/continuo/internal/run/conn"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/run/presence"
)

// Options of a Gateway.
type Options struct {
	Node *node.Node
	// Presence answers effects about members; nil: nobody does.
	Presence *presence.Register
	Wheel    *conn.Wheel
	Now      func() int64
	Log      *slog.Logger
	// OutboxBytes bounds what waits for one socket; 0 = 256 KiB.
	OutboxBytes int
	// WriteTimeout is how long a socket may take nothing; 0 = 30 s.
	WriteTimeout time.Duration
	// Activity is the activity timeout that Pusher clients are told; 0 = 120 s.
	Activity time.Duration
	// MaxConnections bounds the sessions of this node; 0 = unlimited.
	MaxConnections int
	Feed           FeedOptions
	Rooms          RoomsOptions
	// Opened and Closed are told of every session, by face; nil funcs are skipped.
	Opened, Closed func(face string)
}

// Gateway accepts sessions. All methods may be called concurrently.
type Gateway struct {
	opts     Options
	draining atomic.Bool
	open     crowd
	lobby    lobby
	filters  interner
	rings    sync.Map // *app.App → auth.Lookup
	rooms    sync.Map // *app.App → *rooms.Options
}

// New makes a gateway.
func New(o Options) *Gateway {
	if o.OutboxBytes == 0 {
		o.OutboxBytes = 256 << 10
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.Activity == 0 {
		o.Activity = 120 * time.Second
	}
	return &Gateway{opts: o}
}

// face is what a protocol wants of its sessions.
type face struct {
	name    string
	machine session.Machine
	app     *app.App      // nil until the machine asks for admission
	limit   int           // sessions that the app may have; 0 = unlimited
	idle    time.Duration // how long the client may be silent before the machine hears of it
	refused func()        // called when the app has too many sessions, instead of serving
	other   func(ctx context.Context, c *conn.Conn, e session.Effect) []session.Input
	// admitted is called when a session has been registered under its user; nil: nobody asks.
	admitted func(c *conn.Conn, e session.Admit)
	// alias is the id that the session goes by when that is not the connection's own; nil: it never is.
	alias    func() string
	tooLarge int // close code for a message beyond the read limit; 0: RFC 6455's
}

// serve runs a session on a goroutine of its own and returns at once, so that net/http lets go of its buffers.
func (g *Gateway) serve(w *ws.Conn, id string, f face) {
	t := &transport{Conn: w, tooLarge: f.tooLarge}
	b := &backend{gateway: g, face: f, deflate: w.Compression()}
	c := conn.New(&conn.Options{ID: id, Remote: w.RemoteAddr().String(), Machine: f.machine, Transport: t, Backend: b,
		Wheel: g.opts.Wheel, OutboxBytes: g.opts.OutboxBytes, IdleEvery: f.idle, Now: g.opts.Now})
	w.Bind(c)
	if f.app == nil {
		g.lobby.enter(c)
	} else if err := g.opts.Node.Admit(f.app.ID, c, f.limit, "", 0); err != nil {
		go f.refused()
		return
	}
	if g.opts.Opened != nil {
		g.opts.Opened(f.name)
	}
	g.open.enter()
	go func() {
		defer g.open.leave()
		c.Serve()
	}()
}

// keys are the keys of an app that auth strings are checked with, prepared once.
func (g *Gateway) keys(a *app.App) auth.Lookup {
	if ring, ok := g.rings.Load(a); ok {
		return ring.(auth.Lookup)
	}
	byID := make(map[string]*auth.Key, len(a.Keys))
	for _, k := range a.Keys {
		if made, err := auth.NewKey(a.ID, k.Key, k.Secret, k.Enabled); err == nil {
			byID[k.Key] = made
		}
	}
	ring := auth.Lookup(func(id string) *auth.Key { return byID[id] })
	g.rings.Store(a, ring)
	return ring
}

// Draining refuses new sessions from now on, and ends those that have not said yet whose they are.
func (g *Gateway) Draining() {
	g.draining.Store(true)
	for _, c := range g.lobby.all() {
		c.Post(session.Draining{})
	}
}

// Wait returns when every session has ended, or ctx has.
func (g *Gateway) Wait(ctx context.Context) { g.open.wait(ctx) }

// unavailable answers requests while the server drains.
func (g *Gateway) unavailable(w http.ResponseWriter) bool {
	if !g.draining.Load() {
		return false
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, "the server is stopping", http.StatusServiceUnavailable)
	return true
}

// socketID makes the id of a Pusher connection: two random integers below 10^10, joined by a dot.
func socketID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	const below = 10_000_000_000
	return strconv.FormatUint(binary.BigEndian.Uint64(b[:8])%below, 10) + "." + strconv.FormatUint(binary.BigEndian.Uint64(b[8:])%below, 10)
}
