package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"

	"github.com/continuo-rt/continuo/examples/chat"
	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/edge/console"
	"github.com/continuo-rt/continuo/internal/edge/gateway"
	"github.com/continuo-rt/continuo/internal/edge/httpapi"
	"github.com/continuo-rt/continuo/internal/ops/config"
)

// live is what a reload replaces, as a whole: a request sees one configuration from its beginning to its end.
type live struct {
	config  *config.Config
	proxies []netip.Prefix
	prefix  string // of every path, without the slash at its end; empty: none
	api     *httpapi.API
	gateway *gateway.Gateway
	guests  map[string]http.Handler
}

// replace puts a configuration in force. Sessions that are connected stay with the gateway that accepted them.
func (s *Server) replace(old *live, c *config.Config) {
	l := &live{config: c, proxies: c.Proxies(), prefix: trimPrefix(c.PathPrefix), guests: s.guests(c)}
	l.api = httpapi.New(httpapi.Options{Node: s.node, Now: s.clock.Now, Log: s.log, BodyLimit: int64(c.HTTP.BodyLimit), Presence: s.members, FeedKeys: s.keys,
		Origins: c.HTTP.CORSOrigins, PlainBearer: c.HTTP.PlainBearer, Development: c.Development()})
	if old != nil && sameGateway(old.config, c) {
		l.gateway = old.gateway
	} else {
		l.gateway = gateway.New(s.gatewayOptions(c))
		s.gates.add(l.gateway)
	}
	s.live.Store(l)
}

func (s *Server) gatewayOptions(c *config.Config) gateway.Options {
	return gateway.Options{Node: s.node, Presence: s.members, Wheel: s.wheel, Now: s.clock.Now, Log: s.log,
		OutboxBytes: int(c.WebSocket.Outbox), WriteTimeout: c.WebSocket.WriteTimeout, Activity: c.WebSocket.ActivityTimeout,
		MaxConnections: c.Limits.Connections, Opened: s.metrics.Opened, Closed: s.metrics.Closed,
		Feed:  gateway.FeedOptions{Keys: s.keys, LoginTimeout: c.Feed.LoginTimeout, PingInterval: c.Feed.PingInterval, PongTimeout: c.Feed.PongTimeout},
		Rooms: gateway.RoomsOptions{Keys: s.issuers.Keys, TokenWarning: c.Rooms.TokenWarning, RetryBase: c.Rooms.RetryBase, RetryMax: c.Rooms.RetryMax}}
}

// sameGateway reports that nothing which a gateway was made from has changed.
func sameGateway(a, b *config.Config) bool {
	return a.WebSocket == b.WebSocket && a.Feed == b.Feed && reflect.DeepEqual(a.Rooms, b.Rooms) && a.Limits.Connections == b.Limits.Connections
}

// guests are what development mode serves to a newcomer, by path: the pages, the auth endpoints and
// what a backend would do.
func (s *Server) guests(c *config.Config) map[string]http.Handler {
	all := map[string]http.Handler{}
	if !c.Development() {
		return all
	}
	first := func() *app.App {
		for a := range s.node.Apps().All() {
			return a
		}
		return nil
	}
	g := &console.Guests{App: first}
	for _, path := range console.Paths() {
		all[path] = g
	}
	page := &console.Page{App: first}
	all["/"], all["/page.js"] = page, page
	all[console.TokenPath] = &console.Tokens{App: first, Now: s.clock.Now}
	chatPage := demo{chat.Files()}
	for _, path := range chatPage.paths() {
		all[path] = chatPage
	}
	all[devProxyPath] = &devProxy{app: first, api: func() http.Handler { return s.live.Load().api }}
	return all
}

// Reload puts what can be changed while the server runs in force, and lists all that differs: changes that are not
// live wait for a restart. next must be free of faults and, if it needs one, have the kept app.
func (s *Server) Reload(next *config.Config) ([]config.Change, error) {
	s.reload.Lock()
	defer s.reload.Unlock()
	old := s.live.Load()
	if next.NeedsApp() {
		return nil, fmt.Errorf("the new configuration has no app")
	}
	changes := config.Diff(old.config, next)
	c := config.Reload(old.config, next)
	if (old.config.TLS.Cert == "") != (next.TLS.Cert == "") { // a listener is one or the other for life
		c.TLS = old.config.TLS
		for i := range changes {
			if changes[i].Key == "tls.cert" || changes[i].Key == "tls.key" {
				changes[i].Live = false
			}
		}
	}
	before := s.node.Apps()
	s.apps.Store(c.Registry())
	s.node.SetApps(c.Registry())
	s.keys.Reloaded(before)
	s.replace(old, c)
	if d := s.stores.disk; d != nil {
		d.SetLimits(reserve(c), int64(c.Store.MaxBytes))
	}
	if s.opts.Level != nil {
		s.opts.Level.Set(Level(c.Log.Level))
	}
	return changes, s.listeners.certificate.renew(c.TLS.Cert, c.TLS.Key)
}

// Level is the log level of a word of the configuration.
func Level(word string) slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(word)) != nil {
		return slog.LevelInfo
	}
	return level
}
