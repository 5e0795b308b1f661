package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/edge/ws"
	"github.com/continuo-rt/continuo/internal/wire/pusher"
)

// Pusher accepts a session of the Pusher protocols: GET /app/{key}. Who is refused is told by an error frame after the
// upgrade, since a browser cannot read the answer to a WebSocket request.
func (g *Gateway) Pusher(w http.ResponseWriter, r *http.Request) {
	if g.unavailable(w) {
		return
	}
	key, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/app/"))
	if err != nil || key == "" || strings.Contains(key, "/") {
		http.Error(w, "404 NOT FOUND: connect to /app/{key}", http.StatusNotFound)
		return
	}
	query, err := pusher.ParseQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a, refusal := g.admit(key, r)
	o := ws.Options{WriteTimeout: g.opts.WriteTimeout}
	if a != nil {
		o.ReadLimit, o.Compression = a.Limits.FrameBytes, a.Features.Compression
	}
	c, err := ws.Upgrade(w, r, o)
	if err != nil {
		return
	}
	name := "pusher-v1"
	if query.Protocol == pusher.V2 {
		name = "pusher-v2"
	}
	f := face{name: name, app: a, idle: query.IdleEvery(g.opts.Activity)}
	if refusal != 0 {
		go refuse(c, query.Protocol, refusal)
		return
	}
	f.machine = pusher.New(&pusher.Options{App: a, Keys: g.keys(a), Query: query, Activity: g.opts.Activity})
	f.limit = a.Limits.Connections
	f.refused = func() { refuse(c, query.Protocol, pusher.OverQuota) }
	g.serve(c, socketID(), f)
}

// admit finds the app of a key and says why a session of it cannot be.
func (g *Gateway) admit(key string, r *http.Request) (*app.App, pusher.Refusal) {
	a, k, ok := g.opts.Node.Apps().ByKey(key)
	switch {
	case !ok:
		return nil, pusher.UnknownApp
	case a.Usable(k) != nil:
		return a, pusher.DisabledApp
	case r.Header.Get("Origin") != "" && !a.AllowsOrigin(r.Header.Get("Origin")): // only browsers send one
		return a, pusher.BadOrigin
	case g.full():
		return a, pusher.NodeFull
	}
	return a, 0
}

// refuse tells a connection why it cannot be, and ends it.
func refuse(c *ws.Conn, p pusher.Protocol, why pusher.Refusal) {
	frame, end := pusher.Refuse(p, why)
	if c.Write(Frame(false, frame)) == nil && c.Write(ws.CloseFrame(int(end.Code), end.Reason)) == nil {
		_ = c.Linger(time.Second)
		return
	}
	_ = c.Close()
}
