package gateway

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/edge/ws"
	"github.com/continuo-rt/continuo/internal/run/conn"
	"github.com/continuo-rt/continuo/internal/wire/feed"
)

// FeedKeys proves the API keys of the feed. Its methods may be called concurrently.
type FeedKeys interface {
	// Resolve gives what a key may do. Its faults are told to the client.
	Resolve(apiKey string) (feed.Entitlement, error)
	// Good reports whether a key that was resolved before has not been revoked since.
	Good(app, id string) bool
}

// FeedOptions are what the feed face needs beside what every face needs.
type FeedOptions struct {
	Keys FeedKeys // nil: no login succeeds
	// LoginTimeout is the time for the login frame; 0 = 10 s.
	LoginTimeout time.Duration
	// PingInterval is how long a client may be silent before it is pinged, PongTimeout how long it may take to answer;
	// 0 = 20 s each.
	PingInterval, PongTimeout time.Duration
}

// Feed accepts a session of the feed protocol: GET /feed. Whose it is comes with its first frame.
func (g *Gateway) Feed(w http.ResponseWriter, r *http.Request) {
	if g.unavailable(w) {
		return
	}
	c, err := ws.Upgrade(w, r, ws.Options{WriteTimeout: g.opts.WriteTimeout, ReadLimit: feed.MaxLogin})
	if err != nil {
		return
	}
	if g.full() {
		go end(c, feed.Busy())
		return
	}
	o := g.opts.Feed
	idle := o.PingInterval
	if idle == 0 {
		idle = 20 * time.Second
	}
	m := feed.New(&feed.Options{Epoch: g.opts.Node.Store().Info().Epoch, Resolve: g.resolve(r.Header.Get("Origin")), Intern: g.filters.intern,
		LoginTimeout: o.LoginTimeout, PongTimeout: o.PongTimeout})
	g.serve(c, rand.Text(), face{name: "feed", machine: m, idle: idle, admitted: g.recheck})
}

// resolve proves API keys for a connection, which a page of some origin may have opened.
func (g *Gateway) resolve(origin string) func(string) (feed.Entitlement, error) {
	return func(given string) (feed.Entitlement, error) {
		if g.opts.Feed.Keys == nil {
			return feed.Entitlement{}, fault.New(fault.AuthFailed, "the API key is not known")
		}
		key, err := g.opts.Feed.Keys.Resolve(given)
		if err == nil && origin != "" && !key.App.AllowsOrigin(origin) {
			return feed.Entitlement{}, fault.New(fault.Forbidden, "pages of this origin may not connect to the app")
		}
		return key, err
	}
}

// recheck ends a session whose key was revoked between its login and its registration: whoever revoked it did not find
// the session.
func (g *Gateway) recheck(c *conn.Conn, e session.Admit) {
	id, ok := feed.KeyOfUser(e.User)
	if ok && !g.opts.Feed.Keys.Good(e.App, id) {
		c.Post(session.Terminate{Cause: session.KeyRevoked})
	}
}

// end tells a connection why it cannot be.
func end(c *ws.Conn, why *feed.Refusal) {
	frame, last := why.Frames()
	if c.Write(Frame(false, frame)) == nil && c.Write(ws.CloseFrame(int(last.Code), last.Reason)) == nil {
		_ = c.Linger(time.Second)
		return
	}
	_ = c.Close()
}
