// Package server composes a running server: stores, hub, node, faces and listeners, and their orderly end.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/edge/gateway"
	"github.com/continuo-rt/continuo/internal/ops/config"
	"github.com/continuo-rt/continuo/internal/ops/metrics"
	"github.com/continuo-rt/continuo/internal/run/clock"
	"github.com/continuo-rt/continuo/internal/run/conn"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/keyring"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/run/presence"
)

// Options of a Server.
type Options struct {
	Config *config.Config
	Log    *slog.Logger
}

// Server is everything that runs. Make one with New, then Run it once.
type Server struct {
	config  *config.Config
	log     *slog.Logger
	apps    atomic.Pointer[app.Registry]
	clock   *clock.Clock
	metrics *metrics.Metrics
	stores  *stores
	hub     *hub.Hub
	node    *node.Node
	members *presence.Register
	keys    *keyring.Ring
	wheel   *conn.Wheel
	gateway *gateway.Gateway
	listen  net.Listener
	ready   atomic.Bool
}

// New opens the stores and the listener. What it opened is closed by Run, or by Close if Run is never called.
func New(o Options) (*Server, error) {
	c := o.Config
	s := &Server{config: c, log: o.Log, metrics: metrics.New()}
	s.apps.Store(c.Registry())
	s.clock = clock.New(clock.Options{Jump: func(by time.Duration) {
		s.log.Warn("the wall clock jumped forward; it is adopted after a minute", "by", by)
	}})
	var err error
	if s.stores, err = openStores(c, &s.apps, s.clock.Now, s.metrics.Disk(s.log)); err != nil {
		return nil, err
	}
	s.hub = hub.New(hub.Options{Store: s.stores.log, Now: s.clock.Now, Frame: gateway.Frame, Linger: c.Hot.Age,
		Window: hub.WindowLimits{Entries: c.Hot.Entries, Bytes: int(c.Hot.Bytes), Age: c.Hot.Age}, Events: s.metrics.Hub()})
	s.node = node.New(node.Options{Store: s.stores.log, Hub: s.hub, Apps: c.Registry(), Now: s.clock.Now})
	if s.keys, err = keyring.Load(context.Background(), keyring.Options{Records: s.stores.records, Node: s.node, Now: s.clock.Now}); err != nil {
		return nil, errors.Join(fmt.Errorf("load the API keys: %w", err), s.Close())
	}
	s.members = s.register()
	s.wheel = conn.NewWheel(s.clock.Now)
	s.gateway = gateway.New(gateway.Options{Node: s.node, Presence: s.members, Wheel: s.wheel, Now: s.clock.Now, Log: o.Log,
		OutboxBytes: int(c.WebSocket.Outbox), WriteTimeout: c.WebSocket.WriteTimeout, Activity: c.WebSocket.ActivityTimeout,
		Feed: gateway.FeedOptions{Keys: s.keys, LoginTimeout: c.Feed.LoginTimeout, PingInterval: c.Feed.PingInterval, PongTimeout: c.Feed.PongTimeout},
		MaxConnections: c.Limits.Connections, Opened: s.metrics.Opened, Closed: s.metrics.Closed})
	if s.listen, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", c.Listen, err), s.Close())
	}
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listen.Addr() }

// Node is the server's node, for commands that run inside the same process.
func (s *Server) Node() *node.Node { return s.node }

// Close releases what New opened.
func (s *Server) Close() error {
	if s.listen != nil {
		_ = s.listen.Close()
	}
	if s.members != nil {
		s.members.Close()
	}
	if s.hub != nil {
		s.hub.Close()
	}
	return s.stores.Close()
}

// Run serves until ctx ends, then stops in order: unready, tell clients to reconnect, drain, close.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{s.hub.Run, s.wheel.Run, s.clock.Run, s.members.Run, s.recoverMembers} {
		running.Add(1)
		go func() {
			defer running.Done()
			_ = run(background)
		}()
	}
	web := &http.Server{Handler: s.routes(), ReadHeaderTimeout: s.config.HTTP.HeaderTimeout, ReadTimeout: s.config.HTTP.BodyTimeout,
		IdleTimeout: s.config.HTTP.IdleTimeout, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	served := make(chan error, 1)
	go func() { served <- web.Serve(s.listen) }()
	s.ready.Store(true)
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		err = s.drain(web)
	}
	stop()
	running.Wait()
	return errors.Join(err, s.Close())
}

// drain ends sessions over the configured time.
func (s *Server) drain(web *http.Server) error {
	s.ready.Store(false)
	s.members.Stop()
	s.gateway.Draining()
	limit := s.config.Drain
	s.log.Info("stopping: clients are told to reconnect", "sessions", s.node.Sessions().Len(), "drain", limit)
	all := s.node.Sessions().All()
	for i, one := range all {
		one.Post(session.Draining{AfterMS: limit.Milliseconds() * int64(i) / int64(len(all))})
	}
	end, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := web.Shutdown(end)
	s.gateway.Wait(end)
	for _, one := range s.node.Sessions().All() {
		one.Post(session.Terminate{Cause: session.Stopping})
	}
	last, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s.gateway.Wait(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = web.Close()
	}
	return err
}
