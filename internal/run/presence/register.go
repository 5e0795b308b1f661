package presence

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Session is one connected client. Post must not block.
type Session interface {
	ID() string
	Post(in session.Input)
}

// Hub is what the register needs to know of the followers on this node.
type Hub interface {
	// Ephemeral delivers an entry that could not be logged to live followers.
	Ephemeral(ref stream.Ref, e stream.Entry)
	// Subscribers is how many followers ref has.
	Subscribers(ref stream.Ref) int
}

// Options of a Register. Store, Hub, Apps and Now are required.
type Options struct {
	Store stream.Store
	Hub   Hub
	Apps  func() *app.Registry
	// Records remember which channels this node has members in, for its next run; nil: they are not looked for.
	Records record.Store
	// Online reports whether a user of an app is connected; nil: nobody is.
	Online func(app, user string) bool
	// Node names this server, the same over restarts; Boot names this run of it.
	Node, Boot string
	Now        func() int64 // unix ms
	Events     Events
}

// Events are called as things happen; nil funcs are skipped. They must be quick.
type Events struct {
	Change   func(change, cause string)         // a transition was written, by its names
	Turn     func(entries int, d time.Duration) // a turn of a roll was appended
	Degraded func(ref stream.Ref, err error)    // the log could not be written: membership goes on in memory
	Failed   func(what string, err error)       // something failed where nobody waits
}

// Register is who is where, as far as this node has part in it. All methods may be called concurrently.
type Register struct {
	opts     Options
	ctx      context.Context
	cancel   context.CancelFunc
	stopping atomic.Bool
	beside   atomic.Uint64 // transitions that were told beside the log
	workers  sync.WaitGroup

	mu     sync.Mutex // taken before that of a roll
	rolls  map[stream.Ref]*roll
	closed bool

	last     sync.Mutex // taken last
	ended    bool
	degraded map[stream.Ref]bool // logs that miss transitions

	counts  counts
	watches watches
}

// New makes a register. Run it, and Close it before its store.
func New(o Options) *Register {
	g := &Register{opts: o, rolls: map[stream.Ref]*roll{}, degraded: map[stream.Ref]bool{}}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.counts.init()
	g.watches.init()
	return g
}

// Enter joins a session's user to a channel, or changes the user's info; see session.Enter. It is answered by
// session.Entered, posted to the session.
func (g *Register) Enter(s Session, e session.Enter) {
	r := g.hold(e.Ref)
	if r == nil {
		s.Post(session.Entered{Tag: e.Tag, Err: fault.New(fault.Unavailable, "the server is stopping")})
		return
	}
	defer g.release(r)
	r.enter(s, e)
}

// Exit takes a session's user out again; see session.Exit. While the server stops nobody leaves: the next run gives
// the users time to come back.
func (g *Register) Exit(s Session, e session.Exit) {
	if g.stopping.Load() {
		return
	}
	g.mu.Lock()
	r := g.rolls[e.Ref]
	g.mu.Unlock()
	if r != nil {
		r.exit(s, e)
	}
}

// Do carries out an effect about members and returns the inputs that answer it at once; ok is false for any other.
func (g *Register) Do(app string, s Session, e session.Effect) (now []session.Input, ok bool) {
	switch e := e.(type) {
	case session.Enter:
		g.Enter(s, e)
	case session.Exit:
		g.Exit(s, e)
	case session.Count:
		return []session.Input{g.Subscriptions(s, e)}, true
	case session.Watch:
		return []session.Input{g.Watch(app, s, e)}, true
	case session.List:
		g.list(s, e)
	case session.Unfollow:
		g.Unfollowed(s, e.Tag)
	default:
		return nil, false
	}
	return nil, true
}

// hold returns the roll of a presence log, made if need be; nil when the register is closed.
func (g *Register) hold(ref stream.Ref) *roll {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	r := g.rolls[ref]
	if r == nil {
		r = newRoll(g, ref)
		g.rolls[ref] = r
	}
	r.held++
	return r
}

// release ends a hold: from now on the roll may be let go of when it is empty.
func (g *Register) release(r *roll) {
	g.mu.Lock()
	r.held--
	g.mu.Unlock()
}

// policy is the policy of a channel.
func (g *Register) policy(ref stream.Ref) *app.Policy {
	if a, ok := g.opts.Apps().ByID(ref.App); ok {
		return a.Policy(ref.Channel)
	}
	p := app.Default(app.Production)
	return &p
}

// Stop makes the register forget about leaving: from now on nobody is taken out. What comes after is the next run's.
func (g *Register) Stop() {
	g.stopping.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.rolls {
		r.stopTimers()
	}
}

// closeWithin is how long Close waits for a store that does not answer.
const closeWithin = 5 * time.Second

// Close stops the register and waits for what it is writing.
func (g *Register) Close() {
	g.Stop()
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.last.Lock()
	g.ended = true
	g.last.Unlock()
	impatient := time.AfterFunc(closeWithin, g.cancel)
	defer impatient.Stop()
	g.workers.Wait()
	g.cancel()
}

// start runs f on a goroutine that Close waits for; false when the register is closed.
func (g *Register) start(f func()) bool {
	g.last.Lock()
	defer g.last.Unlock()
	if g.ended {
		return false
	}
	g.workers.Add(1)
	go func() {
		defer g.workers.Done()
		f()
	}()
	return true
}

// Every how long Run looks after things.
const (
	countEvery = time.Second
	sweepEvery = 10 * time.Second
)

// Run tells subscription counts, lets go of empty rolls and notes signs of life until ctx ends: the last one then.
func (g *Register) Run(ctx context.Context) error {
	count, sweep := time.NewTicker(countEvery), time.NewTicker(sweepEvery)
	defer count.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), countEvery)
			defer cancel()
			g.SignOfLife(last)
			return ctx.Err()
		case <-count.C:
			g.tellCounts()
		case <-sweep.C:
			g.SignOfLife(ctx)
			g.Sweep()
		}
	}
}

// Sweep lets go of the rolls that have been empty since the sweep before.
func (g *Register) Sweep() {
	g.mu.Lock()
	idle := make([]*roll, 0, len(g.rolls))
	for _, r := range g.rolls {
		idle = append(idle, r)
	}
	g.mu.Unlock()
	for _, r := range idle {
		r.sweep()
	}
	g.mu.Lock()
	for ref, r := range g.rolls {
		if r.held == 0 && r.finished() {
			delete(g.rolls, ref)
		}
	}
	g.mu.Unlock()
}

func (g *Register) failed(what string, err error) {
	if err != nil && g.opts.Events.Failed != nil {
		g.opts.Events.Failed(what, err)
	}
}
