package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/message"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/conn"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/run/presence"
	"github.com/continuo-rt/continuo/internal/run/route"
	"github.com/continuo-rt/continuo/internal/wire/pusher"
)

func now() int64 { return time.Now().UnixMilli() }

var folds = map[stream.Log]stream.Fold{stream.Messages: message.Fold, stream.Presence: corepresence.Fold}

// server is one process: everything but the durable store dies with it.
type server struct {
	world   *world
	durable *memory.Store
	hub     *hub.Hub
	node    *node.Node
	wheel   *conn.Wheel
	members *presence.Register
	stop    context.CancelFunc
	running sync.WaitGroup
	number  int

	degraded atomic.Bool // members were told of beside the log

	mu       sync.Mutex
	dead     bool
	links    map[*link]struct{}
	sessions int
}

// boot starts a process over a durable store.
func (w *world) boot(durable *memory.Store) *server {
	s := &server{world: w, durable: durable, number: w.boots, links: map[*link]struct{}{}}
	w.ledger.boot(durable) // before the hub hears of anything
	w.hall.boot(durable, s.number)
	rules := func(ref stream.Ref) stream.Rules { return node.Rules(w.apps, ref) }
	volatile := memory.New(memory.Options{Now: now, Rules: rules, Folds: folds, Volatile: true})
	var log stream.Store = route.New(durable, volatile, rules)
	log = slowStore{log, w.slow}
	if w.opts.Wrap != nil {
		log = w.opts.Wrap(log)
	}
	s.hub = hub.New(hub.Options{Store: log, Now: now, Frame: messageFrame, Window: w.window, Budget: w.budget, Linger: 2 * time.Second})
	s.node = node.New(node.Options{Store: log, Hub: s.hub, Apps: w.apps, Now: now})
	s.wheel = conn.NewWheel(now)
	s.members = presence.New(presence.Options{Store: log, Hub: s.hub, Records: durable, Apps: s.node.Apps, Node: "node", Boot: fmt.Sprint(s.number), Now: now,
		Events: presence.Events{Degraded: func(stream.Ref, error) { s.degraded.Store(true) }}})
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.running.Go(func() { _ = s.hub.Run(ctx) })
	s.running.Go(func() { _ = s.wheel.Run(ctx) })
	s.running.Go(func() { _ = s.members.Run(ctx) })
	s.running.Go(func() { _ = s.members.Recover(ctx) })
	s.running.Go(func() {
		for _, m := range []*memory.Store{durable, volatile} {
			tick := time.NewTicker(300 * time.Millisecond)
			defer tick.Stop()
			s.running.Go(func() { _ = m.Run(ctx, tick.C) })
		}
		<-ctx.Done()
	})
	return s
}

// dial opens a session of the Pusher protocols over a link; nil when the server is down.
func (s *server) dial(query pusher.Query, room int, tls bool, outbox int) *link {
	a, _ := s.world.apps.ByID(appID)
	keys := func(string) *auth.Key { return s.world.key }
	return s.connect(pusher.New(&pusher.Options{App: a, Keys: keys, Query: query}), 30*time.Second, room, tls, outbox)
}

// connect opens a session of a face.
func (s *server) connect(m session.Machine, idle time.Duration, room int, tls bool, outbox int) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return nil
	}
	l := newLink(room, tls)
	s.links[l] = struct{}{}
	s.sessions++
	c := conn.New(&conn.Options{ID: fmt.Sprintf("%d.%d", s.world.boots, s.sessions), Remote: "sim", Transport: l,
		Machine: slowMachine{m, s.world.slow}, Backend: backend{s}, Wheel: s.wheel, OutboxBytes: outbox, IdleEvery: idle, Now: now})
	l.pong = c.OnPong
	s.running.Go(func() {
		c.Serve()
		_ = l.Close()
		s.mu.Lock()
		delete(s.links, l)
		s.mu.Unlock()
	})
	return l
}

// call begins a call of the server's API, to be ended by done.
func (s *server) call() (done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return nil, errors.New("sim: connection refused")
	}
	s.running.Add(1)
	return s.running.Done, nil
}

func (s *server) publish(ctx context.Context, ps ...node.Publish) ([]stream.Result, error) {
	done, err := s.call()
	if err != nil {
		return nil, err
	}
	defer done()
	return s.node.Publish(ctx, ps...)
}

// pin and snapshot are what the API does for a page of a snapshot.
func (s *server) pin() (node.Pinned, error) {
	done, err := s.call()
	if err != nil {
		return node.Pinned{}, err
	}
	defer done()
	return s.node.Pin(context.Background(), node.Pin{Ref: stateRef})
}

func (s *server) snapshot(q node.SnapshotQuery) (node.Snapshot, error) {
	done, err := s.call()
	if err != nil {
		return node.Snapshot{}, err
	}
	defer done()
	return s.node.Snapshot(context.Background(), q)
}

// die ends the process: of what is on its way to clients a part may still arrive.
func (s *server) die(keep func() int) {
	s.members.Stop() // nobody leaves because the server does
	s.mu.Lock()
	s.dead = true
	for l := range s.links {
		l.sever(keep())
	}
	s.mu.Unlock()
	s.stop()
	s.members.Close()
	s.hub.Close()
}

// backend is what a session asks of the node.
type backend struct{ server *server }

func (b backend) Follow(ctx context.Context, c *conn.Conn, req session.Follow) (*hub.Follower, session.Followed) {
	return b.server.node.Follow(ctx, hub.Session{Owner: c, Out: c.Outbox(), Conn: c.ID()}, req)
}

func (b backend) Publish(ctx context.Context, c *conn.Conn, ops []stream.Op) ([]stream.Result, error) {
	return b.server.node.Store().Append(ctx, ops)
}

func (b backend) Ephemeral(c *conn.Conn, ref stream.Ref, e stream.Entry) {
	b.server.hub.Ephemeral(ref, e)
}

func (b backend) Other(_ context.Context, c *conn.Conn, e session.Effect) []session.Input {
	if _, ok := e.(session.Admit); ok {
		return []session.Input{session.Admitted{}}
	}
	in, _ := b.server.members.Do(appID, c, e)
	return in
}

func (b backend) Gone(c *conn.Conn) { b.server.members.Gone(c) }

// appID is the only app of a world, keySecret the secret of its only key.
const (
	appID     = "app"
	keySecret = "secret-of-sixteen"
)

func apps(policies []app.Policy) *app.Registry {
	a, err := app.New(app.App{ID: appID, Enabled: true, Keys: []app.Key{{Key: "key", Secret: keySecret, Enabled: true}}, Policies: policies})
	if err != nil {
		panic(err)
	}
	r, faults := app.NewRegistry(a)
	if len(faults) > 0 {
		panic(faults[0])
	}
	return r
}
