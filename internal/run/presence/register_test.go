package presence_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func TestThreeTabsTwoUsers(t *testing.T) {
	bubble(t, nil, func(w *world) {
		a1, a2, b := w.client("a1"), w.client("a2"), w.client("b1")
		got := a1.enter("ann", `{"n": 1}`)
		if got.Err != nil || got.Serial != 1 || got.Count != 1 || got.Tag != 1 || !slices.Equal(names(got.Members), []string{`ann{"n":1}`}) {
			w.t.Fatalf("%+v", got)
		}
		if got = a2.enter("ann", `{"n":1}`); got.Serial != 2 || got.Count != 1 {
			w.t.Fatalf("%+v", got)
		}
		if got = b.enter("bob", ""); got.Serial != 3 || !slices.Equal(names(got.Members), []string{`ann{"n":1}`, "bob"}) {
			w.t.Fatalf("%+v", got)
		}
		a1.exit(0, corepresence.Disconnect)
		b.update("bob", `"away"`)
		a2.exit(0, corepresence.Disconnect)
		a2.exit(0, corepresence.Disconnect) // a second exit finds nobody
		w.wantLog("1 member_added ann join", "2 none ann join", "3 member_added bob join", "4 none ann disconnect",
			"5 member_updated bob join", "6 member_removed ann disconnect")
		if got := w.users(); !slices.Equal(got, []string{"bob"}) {
			w.t.Fatal(got)
		}
		if in := b.take(); len(in) != 0 {
			w.t.Fatalf("an update that went well was answered: %+v", in)
		}
	})
}

func TestGraceTimes(t *testing.T) {
	bubble(t, nil, func(w *world) {
		a1, a2 := w.client("a1"), w.client("a2")
		a1.enter("ann", "")
		pass(time.Second)
		a1.exit(15*time.Second, corepresence.Timeout)
		pass(14 * time.Second)
		a2.enter("ann", "") // back in time, on another connection: nobody is told anything
		pass(time.Hour)
		w.wantLog("1 member_added ann join", "2 none ann join")
		a2.exit(15*time.Second, corepresence.Timeout)
		pass(14 * time.Second)
		a2.enter("ann", "") // the same connection: nothing is even written
		pass(time.Hour)
		w.wantLog("1 member_added ann join", "2 none ann join")
		gone := now()
		a2.exit(15*time.Second, corepresence.Timeout)
		pass(14 * time.Second)
		w.wantLog("1 member_added ann join", "2 none ann join")
		pass(time.Second)
		w.wantLog("1 member_added ann join", "2 none ann join", "3 member_removed ann timeout")
		page, _ := w.store.Read(w.t.Context(), stream.Query{Ref: room, From: 3, Limit: 1})
		e := page.Entries[0]
		if n := corepresence.NoteOf(e); n.ObservedAt != gone || e.Time != gone+15_000 {
			w.t.Fatalf("last seen %d, gone %d: note %+v, entry at %d", gone, gone+15_000, n, e.Time)
		}
	})
}

// A dropped tab keeps the user there for its own grace time, also when the other tab is closed cleanly meanwhile.
func TestGraceOutlivesCleanClose(t *testing.T) {
	bubble(t, nil, func(w *world) {
		a1, a2 := w.client("a1"), w.client("a2")
		a1.enter("ann", "")
		a2.enter("ann", "")
		a1.exit(15*time.Second, corepresence.Timeout)
		pass(time.Second)
		a2.exit(0, corepresence.Disconnect)
		if got := w.users(); len(got) != 1 {
			w.t.Fatal(got)
		}
		pass(14 * time.Second)
		w.wantLog("1 member_added ann join", "2 none ann join", "3 none ann disconnect", "4 member_removed ann timeout")
	})
}

func TestLimits(t *testing.T) {
	limited := func(a *app.App) {
		a.Limits.PresenceMembers = 3
		a.Policies[0].Presence.ListLimit = 2
		a.Policies[0].Presence.BroadcastLimit = 1
	}
	bubble(t, limited, func(w *world) {
		for i, user := range []string{"u3", "u1", "u2"} {
			got := w.client(fmt.Sprint("c", i)).enter(user, "")
			if got.Err != nil || got.Count != i+1 || len(got.Members) != min(2, i+1) {
				w.t.Fatalf("%+v", got)
			}
		}
		full := w.client("c9")
		got := full.enter("u9", "")
		if fault.KindOf(got.Err) != fault.LimitExceeded {
			w.t.Fatalf("a fourth member: %v", got.Err)
		}
		full.exit(0, corepresence.Disconnect)
		if got := w.client("c4").enter("u1", ""); got.Err != nil || got.Count != 3 {
			w.t.Fatalf("another connection of a member takes no room: %+v", got)
		}
		page, _ := w.store.Read(w.t.Context(), stream.Query{Ref: room, Limit: 9})
		for i, e := range page.Entries {
			quiet := i == 1 || i == 2
			if corepresence.IsQuiet(e) != quiet || quiet && corepresence.NoteOf(e).Count != i+1 {
				w.t.Errorf("entry %d: quiet %v, note %+v", e.Serial, corepresence.IsQuiet(e), corepresence.NoteOf(e))
			}
		}
		if len(page.Entries) != 4 {
			w.t.Fatalf("%q", w.lines())
		}
	})
}

func TestBadRequests(t *testing.T) {
	bubble(t, nil, func(w *world) {
		a := w.client("a")
		if got := a.enter("ann", `{"n":`); fault.KindOf(got.Err) != fault.Invalid {
			w.t.Fatal(got.Err)
		}
		a.update("ann", `1`)
		if in := a.take(); len(in) != 1 || fault.KindOf(in[0].(session.Entered).Err) != fault.Conflict {
			w.t.Fatalf("an update of somebody who is not there: %+v", in)
		}
		a.exit(0, corepresence.Disconnect)
		w.wantLog()
		a.enter("ann", "")
		for i := range corepresence.MaxConns {
			if got := w.client(fmt.Sprint("c", i)).enter("ann", ""); (got.Err != nil) != (i == corepresence.MaxConns-1) {
				w.t.Fatalf("connection %d: %v", i+2, got.Err)
			}
		}
	})
}

// While the log cannot be written members come and go in memory; afterwards the log says what came of it.
func TestWithoutAWritableLog(t *testing.T) {
	bubble(t, nil, func(w *world) {
		a, b, c := w.client("a"), w.client("b"), w.client("c")
		a.enter("ann", "")
		c.enter("cid", "")
		var full error = fault.New(fault.Full, "no room")
		w.fail.Store(&full)
		got := b.enter("bob", `{"x":1}`)
		if got.Err != nil || got.Serial != 2 || got.Count != 3 || !slices.Equal(names(got.Members), []string{"ann", `bob{"x":1}`, "cid"}) {
			w.t.Fatalf("%+v", got)
		}
		a.exit(0, corepresence.Disconnect)
		if got := w.users(); !slices.Equal(got, []string{"bob", "cid"}) {
			w.t.Fatal(got)
		}
		pass(time.Minute)
		w.mu.Lock()
		if len(w.beside) != 2 || corepresence.ChangeOf(&w.beside[0]) != corepresence.Added || corepresence.ChangeOf(&w.beside[1]) != corepresence.Removed {
			w.t.Fatalf("beside the log watchers were told %+v", w.beside)
		}
		w.mu.Unlock()
		w.wantLog("1 member_added ann join", "2 member_added cid join")
		w.fail.Store(nil)
		pass(2 * time.Second)
		if got := w.users(); !slices.Equal(got, []string{"bob", "cid"}) {
			w.t.Fatal(got)
		}
		if lines := w.lines(); len(lines) != 4 || !slices.Contains(lines[2:], lines[2][:1]+" member_removed ann disconnect") && !slices.Contains(lines[2:], lines[3][:1]+" member_removed ann disconnect") {
			w.t.Fatalf("%q", lines)
		}
		if !w.reg.Degraded(room) {
			w.t.Fatal("the history does not say that it misses something")
		}
		b.exit(0, corepresence.Disconnect)
		if got := w.users(); !slices.Equal(got, []string{"cid"}) {
			w.t.Fatal(got)
		}
		if res, err := w.reg.Reset(w.t.Context(), room); err != nil || res.Before.Head != 5 {
			w.t.Fatalf("%+v %v", res, err)
		}
		if got := w.users(); !slices.Equal(got, []string{"cid"}) || w.reg.Degraded(room) {
			w.t.Fatalf("after a reset: %q, degraded %v", got, w.reg.Degraded(room))
		}
		c.exit(0, corepresence.Disconnect)
		if got := w.users(); len(got) != 0 {
			w.t.Fatal(got)
		}
	})
}

// A user who was written by somebody else meanwhile is read, and nothing of theirs is lost.
func TestAnotherWriter(t *testing.T) {
	bubble(t, nil, func(w *world) {
		foreign := corepresence.Member{Conns: []corepresence.Conn{{ID: "f1", Node: "n2", Boot: "x"}}}
		put := func(m corepresence.Member) {
			res, err := w.store.Append(w.t.Context(), []stream.Op{{Ref: room, Entry: stream.Entry{Kind: stream.Put, Key: "ann",
				Data: m.Data(), Member: &stream.Member{User: "ann", Cause: "join"}}}})
			if err = errors.Join(err, res[0].Err); err != nil {
				w.t.Fatal(err)
			}
		}
		put(foreign)
		a := w.client("a")
		a.enter("ann", "")
		w.wantLog("1 member_added ann join", "2 none ann join")
		foreign, _ = foreign.With(corepresence.Conn{ID: "a", Node: "n1", Boot: "boot1"}, nil)
		foreign, _ = foreign.With(corepresence.Conn{ID: "f2", Node: "n2", Boot: "x"}, nil)
		put(foreign)
		a.exit(0, corepresence.Disconnect)
		w.wantLog("1 member_added ann join", "2 none ann join", "3 none ann join", "4 none ann disconnect")
		page, _ := w.store.Read(w.t.Context(), stream.Query{Ref: room, From: 4, Limit: 1})
		if m, err := corepresence.Of("ann", page.Entries[0].Data); err != nil || len(m.Conns) != 2 || m.Has("a") {
			w.t.Fatalf("%+v %v", m, err)
		}
	})
}

// A session that took over another's id is the same member: the end of the first takes nobody out.
func TestSessionThatTookOver(t *testing.T) {
	bubble(t, nil, func(w *world) {
		old, fresh := w.client("a"), &client{w: w, id: "a"}
		old.enter("ann", "")
		fresh.enter("ann", "")
		old.exit(time.Second, corepresence.Timeout)
		pass(time.Minute)
		w.wantLog("1 member_added ann join")
		fresh.exit(0, corepresence.Disconnect)
		w.wantLog("1 member_added ann join", "2 member_removed ann disconnect")
	})
}

// While a server stops nobody leaves, whatever its sessions say.
func TestShutdownWritesNoLeaves(t *testing.T) {
	bubble(t, nil, func(w *world) {
		a, b := w.client("a"), w.client("b")
		a.enter("ann", "")
		b.enter("bob", "")
		b.exit(time.Second, corepresence.Timeout)
		w.reg.Stop()
		a.exit(0, corepresence.Disconnect)
		pass(time.Minute)
		w.wantLog("1 member_added ann join", "2 member_added bob join")
	})
}

func TestCountsAndWatchlists(t *testing.T) {
	bubble(t, nil, func(w *world) {
		ended := make(chan struct{})
		a, b := w.client("a"), w.client("b")
		w.subs.Store(1)
		if in, _ := w.reg.Do("app", a, session.Count{Tag: 7, Ref: stream.Ref{App: "app", Channel: "news"}}); in[0] != (session.Counted{Tag: 7, N: 1}) {
			w.t.Fatal(in)
		}
		go func() { _ = w.reg.Run(runFor(w.t, 2500*time.Millisecond)); close(ended) }()
		w.subs.Store(3)
		pass(1100 * time.Millisecond)
		if in := a.take(); len(in) != 1 || in[0] != (session.Counted{Tag: 7, N: 3}) {
			w.t.Fatal(in)
		}
		w.reg.Do("app", a, session.Unfollow{Tag: 7})
		w.subs.Store(4)
		<-ended
		if in := a.take(); len(in) != 0 {
			w.t.Fatal(in)
		}
		w.online["ann"] = true
		in, _ := w.reg.Do("app", b, session.Watch{Users: []string{"bob", "ann", "ann"}})
		if got := in[0].(session.Watched); !slices.Equal(got.Online, []string{"ann"}) || got.Offline != nil {
			w.t.Fatalf("%+v", got)
		}
		w.online["bob"] = true
		w.reg.Changed("app", "bob")
		w.reg.Changed("app", "bob")
		w.reg.Changed("other", "bob")
		delete(w.online, "ann")
		w.reg.Changed("app", "ann")
		got := b.take()
		if len(got) != 2 || !slices.Equal(got[0].(session.Watched).Online, []string{"bob"}) || !slices.Equal(got[1].(session.Watched).Offline, []string{"ann"}) {
			w.t.Fatalf("%+v", got)
		}
		w.reg.Gone(b)
		w.online["ann"] = true
		w.reg.Changed("app", "ann")
		if got := b.take(); len(got) != 0 {
			w.t.Fatalf("%+v", got)
		}
	})
}
