package presence_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/continuo-rt/continuo/internal/core/app"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/run/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var room = stream.Ref{App: "app", Channel: "presence-room", Log: stream.Presence}

// world is a store, a register on it, and what the watchers on this node were told beside the log.
type world struct {
	t     testing.TB
	store *memory.Store
	log   interface { // what the register writes: store, unless a test says otherwise
		stream.Store
		record.Store
	}
	apps    *app.Registry
	reg     *presence.Register
	boot    int
	online  map[string]bool
	clients map[string]*client
	subs    atomic.Int64
	fail    atomic.Pointer[error] // what every append fails with
	syncs   atomic.Int64
	slow    time.Duration // what a sync takes, of the bubble's time

	mu     sync.Mutex
	beside []stream.Entry
}

// bubble runs f in a synctest bubble with a world of its own.
func bubble(t *testing.T, change func(*app.App), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change)
		f(w)
		w.reg.Close()
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

func newWorld(t testing.TB, change func(*app.App)) *world {
	t.Helper()
	a := app.App{ID: "app", Enabled: true, Keys: []app.Key{{Key: "k", Secret: "s", Enabled: true}}}
	p := app.Default(app.Production)
	p.Pattern = "presence-*"
	a.Policies = []app.Policy{p}
	if change != nil {
		change(&a)
	}
	made, err := app.New(a)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, online: map[string]bool{}, clients: map[string]*client{}}
	w.apps, _ = app.NewRegistry(made)
	w.store = memory.New(memory.Options{Now: now, Epoch: "0123456789abcdef0123456789abcdef", Boot: "boot",
		Rules: func(ref stream.Ref) stream.Rules { return node.Rules(w.apps, ref) },
		Folds: map[stream.Log]stream.Fold{stream.Presence: corepresence.Fold},
		Sync: func() error {
			w.syncs.Add(1)
			if w.slow > 0 {
				<-time.After(w.slow)
			}
			return nil
		},
		Admit: func() error {
			if err := w.fail.Load(); err != nil {
				return *err
			}
			return nil
		}})
	w.log = w.store
	w.start()
	return w
}

// start makes the register of another run of the node.
func (w *world) start() {
	w.boot++
	w.reg = presence.New(presence.Options{Store: w.log, Hub: w, Records: w.log, Apps: func() *app.Registry { return w.apps },
		Online: func(_, user string) bool { return w.online[user] }, Node: "n1", Boot: fmt.Sprint("boot", w.boot), Now: now})
}

// crash ends the register as if the process were killed: nothing more is written.
func (w *world) crash() {
	w.reg.Close()
	w.start()
}

func now() int64 { return time.Now().UnixMilli() }

// Ephemeral implements presence.Hub.
func (w *world) Ephemeral(_ stream.Ref, e stream.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.beside = append(w.beside, e)
}

// Subscribers implements presence.Hub.
func (w *world) Subscribers(stream.Ref) int { return int(w.subs.Load()) }

// client is a session of the test.
type client struct {
	w  *world
	id string

	mu sync.Mutex
	in []session.Input
}

// client is the session with an id.
func (w *world) client(id string) *client {
	if w.clients[id] == nil {
		w.clients[id] = &client{w: w, id: id}
	}
	return w.clients[id]
}

// ID implements presence.Session.
func (c *client) ID() string { return c.id }

// Post implements presence.Session.
func (c *client) Post(in session.Input) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = append(c.in, in)
}

// take gives what was posted and forgets it.
func (c *client) take() []session.Input {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	in := c.in
	c.in = nil
	return in
}

func (c *client) ask(user, info string) {
	e := session.Enter{Tag: 1, Ref: room, Member: session.Member{User: user}}
	if info != "" {
		e.Member.Info = []byte(info)
	}
	c.w.reg.Do("app", c, e)
}

// enter joins and gives the answer.
func (c *client) enter(user, info string) session.Entered {
	c.w.t.Helper()
	c.ask(user, info)
	in := c.take()
	if len(in) != 1 {
		c.w.t.Fatalf("%s entered as %s: %d answers", c.id, user, len(in))
	}
	return in[0].(session.Entered)
}

func (c *client) update(user, info string) {
	c.w.reg.Do("app", c, session.Enter{Tag: 1, Ref: room, Member: session.Member{User: user, Info: []byte(info)}, Update: true})
	synctest.Wait()
}

func (c *client) exit(grace time.Duration, cause string) {
	c.w.reg.Do("app", c, session.Exit{Tag: 1, Ref: room, Grace: grace, Cause: cause})
	synctest.Wait()
}

// log is the presence log as lines: serial, change, user, cause.
func (w *world) lines() []string {
	w.t.Helper()
	page, err := w.store.Read(context.Background(), stream.Query{Ref: room, Limit: 1 << 20})
	if err != nil {
		w.t.Fatal(err)
	}
	var lines []string
	for _, e := range page.Entries {
		lines = append(lines, fmt.Sprintf("%d %v %s %s", e.Serial, corepresence.ChangeOf(e), e.Key, e.Member.Cause))
	}
	return lines
}

func (w *world) wantLog(lines ...string) {
	w.t.Helper()
	if got := w.lines(); !slices.Equal(got, lines) {
		w.t.Fatalf("the log is\n%q\nwant\n%q", got, lines)
	}
}

func (w *world) users() []string {
	w.t.Helper()
	users, err := w.reg.Users(context.Background(), room.App, room.Channel)
	if err != nil {
		w.t.Fatal(err)
	}
	n, err := w.reg.Count(context.Background(), room.App, room.Channel)
	if err != nil || n != len(users) {
		w.t.Fatalf("%d users are counted, %d listed: %v", n, len(users), err)
	}
	return users
}

func names(members []session.Member) (list []string) {
	for _, m := range members {
		list = append(list, m.User+string(m.Info))
	}
	return list
}

// pass lets time go by.
func pass(d time.Duration) {
	t := time.NewTimer(d)
	<-t.C
	synctest.Wait()
}

// runFor is a context that ends after a while.
func runFor(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
