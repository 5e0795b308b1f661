package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/outbox"
)

// denied is a store that refuses whole calls when told to.
type denied struct {
	stream.Store
	err error
	ops []stream.Op // of the newest call
}

func (d *denied) Append(ctx context.Context, ops []stream.Op) ([]stream.Result, error) {
	d.ops = ops
	if d.err != nil {
		return nil, d.err
	}
	return d.Store.Append(ctx, ops)
}

// verbs makes a node whose app has a channel for each kind of policy.
func verbs(t *testing.T) (*Node, *denied) {
	t.Helper()
	policy := func(pattern string, change func(*app.Policy)) app.Policy {
		p := app.Default(app.Production)
		p.Pattern = pattern
		change(&p)
		return p
	}
	a, err := app.New(app.App{ID: "app", Enabled: true, Keys: []app.Key{{Key: "k", Secret: "s", Enabled: true}}, Idempotency: time.Minute,
		Policies: []app.Policy{
			policy("mutable", func(p *app.Policy) { p.Mutable, p.MaxMessage, p.MaxVersion = true, 11_000, 3 }),
			policy("fleeting", func(p *app.Policy) { p.NoLog = true }),
			policy("clients", func(p *app.Policy) { p.Publish = []string{app.PublishClient} }),
			policy("backends", func(p *app.Policy) { p.Publish = []string{app.PublishServer} }),
			policy("hidden", func(p *app.Policy) { p.Subscribe = nil }),
			policy("short", func(p *app.Policy) { p.Recovery.Entries = 2 }),
		}})
	if err != nil {
		t.Fatal(err)
	}
	r, faults := app.NewRegistry(a)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	now := clock()
	s := &denied{Store: memory.New(memory.Options{Now: now, Rules: func(ref stream.Ref) stream.Rules { return Rules(r, ref) },
		Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold}})}
	h := hub.New(hub.Options{Store: s, Now: now, Frame: func(_ bool, b []byte) []byte { return b }})
	t.Cleanup(h.Close)
	return New(Options{Store: s, Hub: h, Apps: r, Now: now}), s
}

func in(channel string) stream.Ref { return stream.Ref{App: "app", Channel: channel} }

func created(s string) stream.Entry { return stream.Entry{Kind: stream.Create, Data: text(s)} }

// What a policy forbids is refused by itself; the rest of the call goes on.
func TestPublishObeysPolicies(t *testing.T) {
	n, _ := verbs(t)
	change := stream.Entry{Kind: stream.Update, Message: 1, Set: stream.FieldData, Data: text("new")}
	tests := []struct {
		name string
		p    Publish
		want fault.Kind // Internal: it is applied
	}{
		{"a backend", Publish{Ref: in("any"), Entry: created("a")}, fault.Internal},
		{"a client", Publish{Ref: in("any"), Entry: created("a"), Client: true}, fault.Internal},
		{"a backend where clients publish", Publish{Ref: in("clients"), Entry: created("a")}, fault.Forbidden},
		{"a client where clients publish", Publish{Ref: in("clients"), Entry: created("a"), Client: true}, fault.Internal},
		{"a client where backends publish", Publish{Ref: in("backends"), Entry: created("a"), Client: true}, fault.Forbidden},
		{"a change where nothing changes", Publish{Ref: in("any"), Entry: change}, fault.Disabled},
		{"a reaction where nothing changes", Publish{Ref: in("any"), Entry: stream.Entry{Kind: stream.Annotate, Message: 1, Annot: &stream.Annotation{Type: "r"}}}, fault.Disabled},
		{"a change of what keeps no log", Publish{Ref: in("fleeting"), Entry: change}, fault.Disabled},
		{"what keeps no log", Publish{Ref: in("fleeting"), Entry: created("a")}, fault.Internal},
		{"a message", Publish{Ref: in("mutable"), Entry: created("a")}, fault.Internal},
		{"a change", Publish{Ref: in("mutable"), Entry: change}, fault.Internal},
		{"a change that is too large", Publish{Ref: in("mutable"), Entry: stream.Entry{Kind: stream.Append, Message: 1, Data: text(strings.Repeat("x", 11_000))}}, fault.TooLarge},
		{"a change to the third version", Publish{Ref: in("mutable"), Entry: change}, fault.Internal},
		{"a change too many", Publish{Ref: in("mutable"), Entry: change}, fault.LimitExceeded},
		{"a guard that does not hold", Publish{Ref: in("any"), Entry: stream.Entry{Kind: stream.Put, Key: "k", Data: text("a")}, Guard: stream.Guard{IfVersion: 2}}, fault.Conflict},
	}
	var all []Publish
	for _, test := range tests {
		all = append(all, test.p)
	}
	results, err := n.Publish(context.Background(), all...)
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range tests {
		r := results[i]
		if test.want == fault.Internal {
			if r.Outcome != stream.Applied {
				t.Errorf("%s: %+v", test.name, r)
			}
		} else if r.Outcome != stream.Refused || fault.KindOf(r.Err) != test.want {
			t.Errorf("%s: %+v, want %v", test.name, r, test.want)
		}
	}
	if _, err := n.Publish(context.Background(), Publish{Ref: stream.Ref{App: "none", Channel: "c"}, Entry: created("a")}); fault.KindOf(err) != fault.AppNotFound {
		t.Errorf("an app that is not there: %v", err)
	}
}

// Receipts live for the app's time unless the caller says otherwise, and only an answer that names no position may come
// early.
func TestPublishAsksTheStore(t *testing.T) {
	n, s := verbs(t)
	tests := []struct {
		p     Publish
		early bool
		ttl   time.Duration
	}{
		{Publish{}, true, 0},
		{Publish{Position: true}, false, 0},
		{Publish{Key: "a"}, false, time.Minute},
		{Publish{Key: "b", TTL: time.Hour, Position: true}, false, time.Hour},
	}
	for i, test := range tests {
		test.p.Ref, test.p.Entry = in("any"), created("x")
		if _, err := n.Publish(context.Background(), test.p); err != nil {
			t.Fatal(err)
		}
		op := s.ops[0]
		if op.Early != test.early || (op.Receipt == nil) != (test.ttl == 0) || op.Receipt != nil && op.Receipt.TTL != test.ttl {
			t.Errorf("publish %d asked for %+v", i, op)
		}
		if op.Guard.MaxBytes != 1<<20 {
			t.Errorf("publish %d may grow to %d bytes", i, op.Guard.MaxBytes)
		}
	}
}

// listener is a session that keeps what it was sent.
type listener struct {
	out outbox.Outbox
	mu  sync.Mutex
	got strings.Builder
}

func (l *listener) CanTryWrite() bool { return true }
func (l *listener) TryWrite(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got.Write(p)
}
func (l *listener) WriteSome(p []byte) (int, error) { return l.TryWrite(p) }
func (l *listener) Pump() bool                      { return false }
func (l *listener) Ended(error)                     {}
func (l *listener) ReplayEnded(*hub.Follower)       {}
func (l *listener) Lost(*hub.Follower)              {}
func (l *listener) String() string                  { l.mu.Lock(); defer l.mu.Unlock(); return l.got.String() }
func (l *listener) follow(n *Node, req session.Follow) (*hub.Follower, session.Followed) {
	l.out.Init(l, l, 1<<16)
	return n.Follow(context.Background(), hub.Session{Owner: l, Out: &l.out, Conn: "1.1"}, req)
}

// plain shows entries by their text.
type plain struct{}

func (plain) Entry(dst []byte, d session.Delivery) ([]byte, bool) {
	return append(append(dst, d.Entry.Data.Bytes...), ' '), true
}
func (plain) State(stream.Kind) bool                                          { return false }
func (plain) Binary() bool                                                    { return false }
func (plain) Whole() bool                                                     { return false }
func (plain) Position(dst []byte, _ stream.Ref, _ stream.ID, _ uint64) []byte { return nil }

// What is not logged is delivered if the call was decided, and not at all if it was not.
func TestEphemeralPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := verbs(t)
		var l listener
		f, res := l.follow(n, session.Follow{Tag: 1, Ref: in("fleeting"), Encoder: plain{}})
		if res.Err != nil || res.Bounds.Logged {
			t.Fatalf("%+v", res)
		}
		f.Release()
		defer f.Unfollow()
		typing := Publish{Ref: in("fleeting"), Entry: created("typing"), Ephemeral: true}
		logged := Publish{Ref: in("any"), Entry: created("news")}
		s.err = errors.New("the disk is away")
		if _, err := n.Publish(context.Background(), typing, logged); err == nil {
			t.Error("a call that was not decided was answered")
		}
		synctest.Wait()
		if got := l.String(); got != "" {
			t.Errorf("of a call that was not decided %q was delivered", got)
		}
		s.err = nil
		results, err := n.Publish(context.Background(), typing, logged)
		if err != nil || results[0].Outcome != stream.Applied || results[0].Entry.Serial != 0 || results[1].Entry.Serial != 1 {
			t.Errorf("%+v, %v", results, err)
		}
		if _, err := n.Publish(context.Background(), Publish{Ref: in("fleeting"), Entry: created("unlogged")}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := l.String(); got != "typing unlogged " {
			t.Errorf("delivered %q", got)
		}
	})
}

func TestFollowObeysPolicies(t *testing.T) {
	n, _ := verbs(t)
	for range 4 {
		if _, err := n.Publish(context.Background(), Publish{Ref: in("short"), Entry: created("x")}, Publish{Ref: in("any"), Entry: created("x")}); err != nil {
			t.Fatal(err)
		}
	}
	start := func(serial uint64) session.Start {
		return session.Start{Resume: true, Cursor: stream.Cursor{Serial: serial}}
	}
	tests := []struct {
		ref    stream.Ref
		start  session.Start
		reason stream.Reason
		err    fault.Kind // Internal: none
	}{
		{in("any"), session.Start{}, stream.Proven, fault.Internal},
		{in("any"), start(0), stream.Proven, fault.Internal},
		{in("short"), start(2), stream.Proven, fault.Internal},
		{in("short"), start(1), stream.WindowExceeded, fault.Internal},
		{in("fleeting"), start(0), stream.NotLogged, fault.Internal},
		{in("hidden"), session.Start{}, stream.Proven, fault.Forbidden},
		{stream.Ref{App: "none", Channel: "c"}, session.Start{}, stream.Proven, fault.AppNotFound},
	}
	for _, test := range tests {
		var l listener
		f, res := l.follow(n, session.Follow{Tag: 7, Ref: test.ref, Start: test.start, Encoder: plain{}})
		if f != nil {
			f.Unfollow()
		}
		switch {
		case res.Tag != 7 || res.Reason != test.reason:
			t.Errorf("%v from %d: %+v, want %v", test.ref, test.start.Cursor.Serial, res, test.reason)
		case (test.err == fault.Internal) != (res.Err == nil), res.Err != nil && fault.KindOf(res.Err) != test.err:
			t.Errorf("%v: %v, want %v", test.ref, res.Err, test.err)
		}
	}
}

func TestHistory(t *testing.T) {
	n, _ := verbs(t)
	c := context.Background()
	for _, e := range []stream.Entry{created("a"), created("b"), {Kind: stream.Append, Message: 1, Data: text("+")}, created("c")} {
		if _, err := n.Publish(c, Publish{Ref: in("mutable"), Entry: e}); err != nil {
			t.Fatal(err)
		}
	}
	shown := func(h History) string {
		var all []string
		for _, r := range h.Rows {
			all = append(all, fmt.Sprintf("%d%s", r.Entry.Serial, r.State.Data.Bytes))
		}
		return strings.Join(all, " ")
	}
	h, err := n.History(c, HistoryQuery{Ref: in("mutable"), Limit: 10})
	if err != nil || shown(h) != "1a+ 2b 4c" || h.AsOf != 4 || h.More || h.Oldest.Serial != 1 {
		t.Errorf("%s %+v %v", shown(h), h, err)
	}
	h, err = n.History(c, HistoryQuery{Ref: in("mutable"), Limit: 1, Reverse: true, AsOf: 2})
	if err != nil || shown(h) != "2b" || !h.More || h.Oldest.Serial != 1 {
		t.Errorf("%s %+v %v", shown(h), h, err)
	}
	if h, err = n.History(c, HistoryQuery{Ref: in("mutable"), Limit: 10, AsOf: 2}); err != nil || shown(h) != "1a 2b" {
		t.Errorf("%s %v", shown(h), err)
	}
	if _, err = n.History(c, HistoryQuery{Ref: in("mutable"), Limit: 10, Stream: "another"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a cursor of another stream: %v", err)
	}
	if _, err = n.History(c, HistoryQuery{Ref: in("fleeting"), Limit: 10}); fault.KindOf(err) != fault.Disabled {
		t.Errorf("a channel without a log: %v", err)
	}
	if _, err = n.Cut(c, stream.Cut{Ref: in("mutable"), Kind: stream.Trim, Through: 1}); err != nil {
		t.Fatal(err)
	}
	if h, err = n.History(c, HistoryQuery{Ref: in("mutable"), Limit: 10}); err != nil || shown(h) != "2b 4c" || h.Oldest.Serial != 2 || !h.Bounds.Truncated() {
		t.Errorf("%s %+v %v", shown(h), h, err)
	}
	s, _, err := n.Message(c, in("mutable"), 2, "", 0)
	if err != nil || string(s.Data.Bytes) != "b" {
		t.Errorf("%+v %v", s, err)
	}
	if _, _, err = n.Message(c, in("mutable"), 1, "", 0); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a message that was trimmed: %v", err)
	}
	if b, oldest, err := n.Bounds(c, in("mutable")); err != nil || b.Head != 4 || oldest.Serial != 2 {
		t.Errorf("%+v %v %v", b, oldest, err)
	}
	if _, err = n.Cut(c, stream.Cut{Ref: stream.Ref{App: "none"}, Kind: stream.Reset}); fault.KindOf(err) != fault.AppNotFound {
		t.Errorf("a cut in an app that is not there: %v", err)
	}
}

type somebody string

func (s somebody) ID() string       { return string(s) }
func (somebody) Post(session.Input) {}

func TestSessions(t *testing.T) {
	s := NewSessions()
	for _, id := range []string{"1", "2"} {
		if err := s.Add("app", somebody(id), 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Add("app", somebody("3"), 2); fault.KindOf(err) != fault.LimitExceeded {
		t.Errorf("a session too many: %v", err)
	}
	if err := s.Add("other", somebody("1"), 2); err != nil || s.Len() != 3 || len(s.All()) != 3 {
		t.Errorf("%v, %d sessions", err, s.Len())
	}
	if !s.Identify("app", somebody("1"), "u") || s.Identify("app", somebody("2"), "u") || s.Identify("app", somebody("9"), "u") {
		t.Error("who is first is wrong")
	}
	if got := s.OfUser("app", "u"); len(got) != 2 || s.User("app", "1") != "u" || s.User("other", "1") != "" {
		t.Errorf("the user has %v", got)
	}
	if !s.Identify("app", somebody("2"), "w") || len(s.OfUser("app", "u")) != 1 || !s.Online("app", "w") {
		t.Error("a session that changed its user stayed")
	}
	s.Remove("app", somebody("1"))
	s.Remove("app", somebody("1"))
	if _, ok := s.ByID("app", "1"); ok || s.Online("app", "u") || s.Len() != 2 {
		t.Error("a session that was removed is there")
	}
	if one, ok := s.ByID("other", "1"); !ok || one.ID() != "1" {
		t.Error("another app's session is gone")
	}
}

func TestRulesOfAnAppThatHasGone(t *testing.T) {
	n, _ := verbs(t)
	if got := Rules(n.Apps(), stream.Ref{App: "none", Channel: "c"}); got.Durability != stream.Sync || got.Retention != stream.DefaultRetention() {
		t.Errorf("%+v", got)
	}
}
