package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/node"
)

// Options of a world.
type Options struct {
	Seed uint64
	// Wrap stands between the server and its store, to plant a fault in a test of the oracle.
	Wrap func(stream.Store) stream.Store
}

// Report is what came of a world.
type Report struct {
	Counts
	Violations []string
}

// world is everything that one seed makes.
type world struct {
	opts   Options
	apps   *app.Registry
	oracle *Oracle
	key    *auth.Key
	ledger *ledger // judges the channel whose messages change
	hall   *hall   // judges the channel that has members
	kinds  []kind
	window hub.WindowLimits
	budget int64
	end    time.Time // when the faults stop
	slow   *slow
	rooms  []*roomsClient
	tick   time.Duration // of every actor's clock: with a coarse one they wake at the same instants

	mu     sync.Mutex
	server *server // nil while it is down
	boots  int
	live   map[string]bool // sessions that publishers may name

	faults sync.Mutex // of the store
	rnd    *rand.Rand // under faults
	calm   bool       // no more faults
}

// The actors' random sources are numbered apart.
const (
	rndWorld = iota
	rndStore
	rndChaos
	rndSlow
	rndClients    = 1000
	rndPublishers = 2000
	rndFeeds      = 3000
	rndRooms      = 4000
	rndState      = 5000
	rndHall       = 6000
)

func (o Options) random(actor uint64) *rand.Rand { return rand.New(rand.NewPCG(o.Seed, actor)) }

// Run makes the world of a seed, lets it live, heals it and judges it. Call it in a synctest bubble.
func Run(o Options) Report {
	rnd := o.random(rndWorld)
	w := &world{opts: o, rnd: o.random(rndStore), live: map[string]bool{}}
	w.window = hub.WindowLimits{Entries: 1 << rnd.IntN(9)}
	w.budget = 1 << (11 + rnd.IntN(12))
	w.slow = &slow{rnd: o.random(rndSlow), max: []int{0, 300, 3000, 20_000}[rnd.IntN(4)]}
	w.tick = []time.Duration{1, time.Millisecond, 10 * time.Millisecond}[rnd.IntN(3)]
	w.design()
	w.end = time.Now().Add(time.Duration(1500+rnd.IntN(2500)) * time.Millisecond)
	w.start(memory.New(memory.Options{Epoch: fmt.Sprintf("%032x", o.Seed), Boot: fmt.Sprintf("%032x", o.Seed), Now: now, Folds: folds,
		Rules: func(ref stream.Ref) stream.Rules { return node.Rules(w.apps, ref) },
		Sync:  w.sync, Survive: w.survive, Readable: w.readable}))
	var clients, others sync.WaitGroup
	stop := make(chan struct{})
	var all []*client
	for i := range 6 + rnd.IntN(8) {
		c := newClient(w, i)
		all = append(all, c)
		clients.Go(func() { c.live(stop) })
	}
	feeds := w.feedClients()
	for _, c := range feeds {
		clients.Go(func() { c.live(stop) })
	}
	w.rooms = w.roomsClients()
	for _, c := range w.rooms {
		clients.Go(func() { c.live(stop) })
	}
	for i := range 3 + rnd.IntN(3) {
		p := &publisher{world: w, number: i, rnd: o.random(rndPublishers + uint64(i))}
		others.Go(p.live)
	}
	state := w.stateClients()
	for _, c := range state {
		clients.Go(func() { c.live(stop) })
	}
	for _, e := range w.editors() {
		others.Go(e.live)
	}
	w.openTabs()
	for _, t := range w.hall.tabs {
		clients.Go(func() { t.live(stop) })
	}
	others.Go((&usher{w, o.random(rndHall + 2)}).live)
	others.Go(func() { w.disturbState(o.random(rndState + 200)) })
	others.Go(func() { w.disturb(o.random(rndChaos)) })
	others.Wait()
	w.heal()
	time.Sleep(2 * time.Minute) // more than any pause of a client
	synctest.Wait()             // what clients know is settled
	w.judgeFeeds(feeds)
	w.judge(all)
	w.judgeState(state)
	w.judgeHall()
	close(stop)
	w.down(func() int { return 0 }, false)
	clients.Wait()
	return Report{w.oracle.counts, w.oracle.wrong}
}

// design makes the channels.
func (w *world) design() {
	policy := func(pattern string) app.Policy {
		p := app.Default(app.Production)
		p.Pattern, p.Mutable = pattern, true
		return p
	}
	calm, sync, interval, volatile, tiny := policy("calm*"), policy("sync*"), policy("interval*"), policy("volatile*"), policy("tiny*")
	interval.Durability = stream.Interval
	volatile.Durability = stream.Volatile
	tiny.Retention = stream.Retention{Entries: 20}
	hall := hallPolicy(policy(hallChannel), w.opts.random(rndHall))
	w.apps = apps([]app.Policy{calm, sync, interval, volatile, tiny, statePolicy(policy(stateChannel)), hall})
	w.key, _ = auth.NewKey(appID, "key", keySecret, true)
	w.kinds = []kind{{name: "calm"}, {name: "sync"}, {name: "interval", early: true}, {name: "volatile", volatile: true}, {name: "tiny", bounded: true}}
	w.oracle = NewOracle(w.kinds)
	w.ledger, w.hall = newLedger(w.oracle), newHall(w.oracle, hall.Presence)
}

func (w *world) start(durable *memory.Store) {
	w.boots++
	s := w.boot(durable)
	w.mu.Lock()
	w.server = s
	w.mu.Unlock()
}

// running is the server, nil while it is down.
func (w *world) running() *server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.server
}

// down ends the server's process and gives the store that the next one finds.
func (w *world) down(keep func() int, orderly bool) *memory.Store {
	w.mu.Lock()
	s := w.server
	w.server = nil
	w.live = map[string]bool{}
	w.mu.Unlock()
	var next *memory.Store
	if orderly {
		s.die(keep)
		next = s.durable.Reopen()
	} else {
		next = s.durable.Crash()
		s.die(keep)
	}
	s.running.Wait()
	return next
}

// sync is the disk: it takes its time, and now and then it fails.
func (w *world) sync() error {
	w.faults.Lock()
	pause, fail := time.Duration(w.rnd.IntN(4000))*time.Microsecond, !w.calm && w.rnd.IntN(150) == 0
	if !w.calm && w.rnd.IntN(100) == 0 {
		pause += time.Duration(w.rnd.IntN(300)) * time.Millisecond
	}
	w.faults.Unlock()
	w.nap(pause)
	if fail {
		w.oracle.count(func(c *Counts) { c.FailedSyncs++ })
		return errors.New("the disk failed")
	}
	return nil
}

func (w *world) survive(n int) int {
	w.faults.Lock()
	defer w.faults.Unlock()
	return w.rnd.IntN(n + 1)
}

func (w *world) readable() error {
	w.faults.Lock()
	defer w.faults.Unlock()
	if !w.calm && w.rnd.IntN(300) == 0 {
		return errors.New("the disk does not answer")
	}
	return nil
}

// heal ends all faults, and sees that a server runs.
func (w *world) heal() {
	w.faults.Lock()
	w.calm = true
	w.faults.Unlock()
}

// healed reports whether clients and the network are to behave.
func (w *world) healed() bool { return time.Now().After(w.end) }

// judge reads every log, and compares where the clients are.
func (w *world) judge(clients []*client) {
	for _, k := range w.kinds {
		ref := stream.Ref{App: appID, Channel: k.name}
		var log []entry
		var head place
		floor, from := uint64(0), uint64(0)
		for more := true; more; {
			page, err := w.running().node.Store().Read(context.Background(), stream.Query{Ref: ref, From: from, Limit: 100})
			if err != nil {
				w.oracle.mu.Lock()
				w.oracle.violated("%s: the log cannot be read at the end: %v", k.name, err)
				w.oracle.mu.Unlock()
				return
			}
			for _, e := range page.Entries {
				p, _ := parse(string(e.Data.Bytes))
				log = append(log, entry{e.Serial, p})
				from = e.Serial + 1
			}
			floor, head, more = page.Bounds.Floor, place{string(page.Bounds.Stream), page.Bounds.Head}, page.More
		}
		for _, c := range clients {
			if f := c.follows[k.name]; f != nil && !c.v1 {
				w.oracle.arrived(k.name, f, head)
			}
		}
		for _, c := range w.rooms {
			w.oracle.arrived(k.name, c.follows[k.name], head)
		}
		w.oracle.audit(k.name, head.stream, floor, head.serial, log)
	}
}

func (c *Counts) add(other Counts) {
	c.Publishes += other.Publishes
	c.Acknowledged += other.Acknowledged
	c.Repeated += other.Repeated
	c.Sessions += other.Sessions
	c.Resumes += other.Resumes
	c.Refused += other.Refused
	c.Delivered += other.Delivered
	c.Ephemeral += other.Ephemeral
	c.Restarts += other.Restarts
	c.FailedSyncs += other.FailedSyncs
	c.Cuts += other.Cuts
	c.Snapshots += other.Snapshots
	c.Transitions += other.Transitions
	c.Lists += other.Lists
}

// nap waits for a whole number of ticks.
func (w *world) nap(d time.Duration) {
	if d > 0 {
		time.Sleep((d + w.tick - 1) / w.tick * w.tick)
	}
}
