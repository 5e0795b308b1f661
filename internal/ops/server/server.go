// Package server composes a running server: stores, hub, node, faces and listeners, and their orderly end.
//
//	New: stores → hub → node → members → gateway, API (what a reload replaces: live) → listeners
//	Run: serve until the context ends; then unready → stop accepting → tell clients → flush → close
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
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/edge/gateway"
	"github.com/continuo-rt/continuo/internal/edge/jwks"
	"github.com/continuo-rt/continuo/internal/edge/lane"
	"github.com/continuo-rt/continuo/internal/ops/config"
	"github.com/continuo-rt/continuo/internal/ops/metrics"
	"github.com/continuo-rt/continuo/internal/ops/trace"
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
	// Level is what Log's level is read from, so that a reload can change it; nil: it stays.
	Level *slog.LevelVar
	// Version names the build in answers to the command line.
	Version string
}

// Server is everything that runs. Make one with New, then Run it once.
type Server struct {
	opts    Options
	log     *slog.Logger
	apps    atomic.Pointer[app.Registry]
	clock   *clock.Clock
	metrics *metrics.Metrics
	tracer  *trace.Tracer // nil: nothing is traced
	stores  *stores
	hub     *hub.Hub
	node    *node.Node
	members *presence.Register
	keys    *keyring.Ring
	issuers *jwks.Cache
	wheel   *conn.Wheel
	live    atomic.Pointer[live]
	gates   gates
	reload  sync.Mutex // one at a time
	state   atomic.Int32
	started time.Time

	visitors  visitors
	listeners listeners
	lane      *lane.Lane // of the public listener
}

// The states of a server.
const (
	starting int32 = iota
	ready
	draining
)

// New opens the stores and the listeners. What it opened is closed by Run, or by Close if Run is never called.
func New(o Options) (*Server, error) {
	c := o.Config
	s := &Server{opts: o, log: o.Log, metrics: metrics.New(), started: time.Now()}
	s.apps.Store(c.Registry())
	s.clock = clock.New(clock.Options{Jump: func(by time.Duration) {
		s.log.Warn("the wall clock jumped forward; it is adopted after a minute", "by", by)
	}})
	var err error
	if s.stores, err = openStores(c, &s.apps, s.clock.Now, s.metrics.Disk(s.log)); err != nil {
		return nil, err
	}
	if err := s.compose(c); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.listen(c); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// compose makes everything between the stores and the listeners.
func (s *Server) compose(c *config.Config) (err error) {
	if s.tracer, err = trace.New(trace.Options{Endpoint: c.Trace.Endpoint, Sample: c.Trace.Sample, Version: s.opts.Version, Failed: func(err error) {
		s.log.Warn("traces could not be delivered", "err", err)
	}}); err != nil {
		return err
	}
	var log stream.Store = s.stores.log
	if s.tracer != nil {
		log = trace.Store(log, s.tracer)
	}
	s.hub = hub.New(hub.Options{Store: log, Now: s.clock.Now, Frame: gateway.Frame, Linger: c.Hot.Age, Budget: int64(c.Hot.Budget),
		Window: hub.WindowLimits{Entries: c.Hot.Entries, Bytes: int(c.Hot.Bytes), Age: c.Hot.Age}, Events: s.metrics.Hub()})
	s.node = node.New(node.Options{Store: log, Hub: s.hub, Apps: c.Registry(), Now: s.clock.Now})
	s.members = s.register()
	if s.keys, err = keyring.Load(context.Background(), keyring.Options{Records: s.stores.records, Node: s.node, Now: s.clock.Now}); err != nil {
		return fmt.Errorf("read the API keys: %w", err)
	}
	s.issuers = jwks.New(jwks.Options{Now: func() time.Time { return time.UnixMilli(s.clock.Now()) }, Failed: func(source string, err error) {
		s.log.Warn("the keys of a token issuer could not be read", "source", source, "err", err)
	}})
	s.wheel = conn.NewWheel(s.clock.Now)
	s.metrics.Watch(metrics.Sources{Sessions: s.node.Sessions(), Hub: s.hub, Disk: s.stores.disk})
	s.replace(nil, c)
	return nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listeners.public.Addr() }

// AdminAddr is where operators find it; nil without a listener for them.
func (s *Server) AdminAddr() net.Addr {
	if s.listeners.admin == nil {
		return nil
	}
	return s.listeners.admin.Addr()
}

// Node is the server's node, for commands that run inside the same process.
func (s *Server) Node() *node.Node { return s.node }

// Config is the configuration in force.
func (s *Server) Config() *config.Config { return s.live.Load().config }

// Close releases what New opened.
func (s *Server) Close() error {
	s.listeners.close()
	if s.members != nil {
		s.members.Close()
	}
	if s.hub != nil {
		s.hub.Close()
	}
	return s.stores.Close()
}

// Run serves until ctx ends, then stops in order: unready, stop accepting, tell clients to reconnect, flush, close.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{s.hub.Run, s.wheel.Run, s.clock.Run, s.members.Run, s.recoverMembers, s.visitors.Run, s.tracer.Run} {
		running.Go(func() { _ = run(background) })
	}
	failed := make(chan error, 4)
	s.state.Store(ready) // before anybody is answered: whoever was told the address may ask
	web, admin, local := s.webServer(), s.adminServer(), s.controlServer()
	for _, one := range s.listeners.serving(web, admin, local, s.lane.Listener()) {
		running.Go(func() {
			if err := one(); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		err = s.drain(web)
	}
	err = errors.Join(err, web.Close(), s.lane.Close(), admin.Close(), local.Close())
	stop()
	running.Wait()
	return errors.Join(err, s.Close())
}
