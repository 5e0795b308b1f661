package keyring

import (
	"context"
	"crypto/sha256"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/feed"
)

const start = 1_787_000_000_000

type world struct {
	*testing.T
	ring    *Ring
	node    *node.Node
	records *flaky
	now     int64
}

// flaky is a record store that can fail.
type flaky struct {
	record.Store
	err error
}

func (f *flaky) Put(ctx context.Context, space, key string, value []byte, v uint64) (uint64, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Store.Put(ctx, space, key, value, v)
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, now: start}
	store := memory.New(memory.Options{Now: func() int64 { return w.now }, Rules: func(stream.Ref) stream.Rules { return stream.Rules{} }})
	t.Cleanup(func() { _ = store.Close() })
	w.records = &flaky{Store: store}
	w.node = node.New(node.Options{Apps: w.registry(desk(), nightly())})
	w.load()
	return w
}

func (w *world) load() {
	ring, err := Load(w.Context(), Options{Records: w.records, Node: w.node, Now: func() int64 { return w.now }})
	if err != nil {
		w.Fatal(err)
	}
	w.ring = ring
}

func desk() app.FeedKey {
	return app.FeedKey{ID: "desk", Label: "desk-7", SecretHash: sha256.Sum256([]byte("plain-secret")), Channels: []string{"fixtures", "odds-*"},
		Filters: map[string][]string{"sportIds": {"1"}}, Connections: 2, Access: map[string]bool{"live": false}}
}

func nightly() app.FeedKey {
	return app.FeedKey{ID: "nightly", SecretHash: sha256.Sum256([]byte("nightly.secret")), Channels: []string{"*"}, Expires: time.UnixMilli(start + 1000)}
}

func (w *world) registry(keys ...app.FeedKey) *app.Registry {
	var all []*app.App
	for _, a := range []app.App{
		{ID: "prod", Enabled: true, Keys: []app.Key{{Key: "prod-key", Secret: "s", Enabled: true}}, FeedKeys: keys},
		{ID: "dev", Enabled: true, Mode: app.Development, Keys: []app.Key{{Key: "dev.key", Secret: "s", Enabled: true}, {Key: "off", Secret: "s"}}},
		{ID: "closed", Keys: []app.Key{{Key: "closed-key", Secret: "s", Enabled: true}}, FeedKeys: []app.FeedKey{{ID: "k", SecretHash: sha256.Sum256([]byte("closed")), Channels: []string{"*"}}}},
	} {
		made, err := app.New(a)
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, made)
	}
	r, faults := app.NewRegistry(all...)
	if len(faults) > 0 {
		w.Fatal(faults)
	}
	return r
}

func (w *world) refused(given string, kind fault.Kind, cause error) {
	w.Helper()
	e, err := w.ring.Resolve(given)
	if err == nil || fault.KindOf(err) != kind || e.App != nil || cause != nil && !errors.Is(err, cause) {
		w.Fatalf("%q: %+v, %v", given, e, err)
	}
}

func TestConfiguredKeys(t *testing.T) {
	w := newWorld(t)
	e, err := w.ring.Resolve("plain-secret")
	if err != nil || e.App.ID != "prod" || e.ID != "desk" || e.Label != "desk-7" || !e.Channels.Match("odds-1") || e.Channels.Match("scores") ||
		e.Connections != 2 || e.Filters["sportIds"][0] != "1" || e.Access["live"] || e.Expires != 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	if e, err = w.ring.Resolve("nightly.secret"); err != nil || e.Label != "nightly" || e.Expires != start+1000 {
		t.Fatalf("%+v, %v", e, err)
	}
	w.now += 1000
	w.refused("nightly.secret", fault.AuthFailed, auth.ErrExpired)
	w.refused("closed", fault.AppDisabled, nil)
	w.refused("", fault.AuthFailed, nil)
	w.refused("prod-key", fault.AuthFailed, nil) // not in development mode
	w.refused("nobody.secret", fault.AuthFailed, nil)
	w.refused("closed-key", fault.AuthFailed, nil)
	w.refused("off", fault.AuthFailed, nil)
	if e, err = w.ring.Resolve("dev.key"); err != nil || e.App.ID != "dev" || !e.Channels.Match("anything") || !w.ring.Good("dev", e.ID) {
		t.Fatalf("%+v, %v", e, err)
	}
}

func TestMadeKeysOutliveTheProcess(t *testing.T) {
	w := newWorld(t)
	given, k, err := w.ring.Create(t.Context(), Key{App: "prod", Label: "mobile", Channels: []string{"scores"}, Filters: map[string][]string{"sportIds": {"2"}},
		Connections: 3, Access: map[string]bool{"props": true}, Expires: start + 60_000})
	if err != nil || !strings.HasPrefix(given, k.ID+".") || k.Created != start {
		t.Fatalf("%q %+v %v", given, k, err)
	}
	rec, err := w.records.Get(t.Context(), space, k.ID)
	if err != nil || strings.Contains(string(rec.Value), strings.TrimPrefix(given, k.ID+".")) {
		t.Fatalf("the secret is stored: %s, %v", rec.Value, err)
	}
	for range 2 {
		e, err := w.ring.Resolve(given)
		if err != nil || e.ID != k.ID || e.Label != "mobile" || e.Connections != 3 || e.Expires != start+60_000 || !e.Access["props"] || e.Filters["sportIds"][0] != "2" ||
			!e.Channels.Match("scores") || e.Channels.Match("fixtures") || !w.ring.Good("prod", k.ID) || w.ring.Good("dev", k.ID) {
			t.Fatalf("%+v, %v", e, err)
		}
		w.refused(k.ID+".wrong", fault.AuthFailed, nil)
		w.load()
	}
	w.now += 60_000
	w.refused(given, fault.AuthFailed, auth.ErrExpired)
}

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	given, k, err := w.ring.Create(t.Context(), Key{App: "prod", ID: "mine", Channels: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	mine, other := &client{id: "1"}, &client{id: "2"}
	w.join(mine, "mine")
	w.join(other, "desk")
	w.now += 5
	if got, err := w.ring.Revoke(t.Context(), "prod", "mine"); err != nil || got.Revoked != start+5 {
		t.Fatalf("%+v, %v", got, err)
	}
	if mine.got != session.KeyRevoked || other.got != 0 {
		t.Fatal("the wrong sessions were ended")
	}
	if _, err := w.ring.Revoke(t.Context(), "prod", "desk"); err != nil || other.got != session.KeyRevoked {
		t.Fatalf("%v, %v", err, other.got)
	}
	for range 2 {
		w.refused(given, fault.AuthFailed, auth.ErrRevoked)
		w.refused("plain-secret", fault.AuthFailed, auth.ErrRevoked)
		if w.ring.Good("prod", k.ID) || w.ring.Good("prod", "desk") || w.ring.Good("prod", "nobody") {
			t.Fatal("a revoked key is good")
		}
		w.now++
		if got, err := w.ring.Revoke(t.Context(), "prod", "mine"); err != nil || got.Revoked != start+5 {
			t.Fatalf("again: %+v, %v", got, err)
		}
		w.load()
	}
	for _, id := range []string{"nobody", "k"} {
		if _, err := w.ring.Revoke(t.Context(), "prod", id); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", id, err)
		}
	}
	var shown []string
	for _, k := range w.ring.List("prod") {
		shown = append(shown, k.ID)
		if (k.Revoked != 0) != (k.ID != "nightly") || k.Configured != (k.ID != "mine") {
			t.Errorf("%+v", k)
		}
	}
	if !reflect.DeepEqual(shown, []string{"desk", "nightly", "mine"}) {
		t.Error(shown)
	}
}

func TestFailedWrites(t *testing.T) {
	w := newWorld(t)
	given, _, err := w.ring.Create(t.Context(), Key{App: "prod", ID: "mine", Channels: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	w.records.err = fault.New(fault.Unavailable, "no")
	if _, _, err := w.ring.Create(t.Context(), Key{App: "prod", ID: "second", Channels: []string{"*"}}); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
	if _, err := w.ring.Revoke(t.Context(), "prod", "mine"); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
	if _, err := w.ring.Resolve(given); err != nil {
		t.Error(err)
	}
	w.records.err = fault.New(fault.Unknown, "perhaps")
	if _, err := w.ring.Revoke(t.Context(), "prod", "mine"); fault.KindOf(err) != fault.Unknown {
		t.Error(err)
	}
	w.refused(given, fault.AuthFailed, auth.ErrRevoked)
}

func TestBadKeys(t *testing.T) {
	w := newWorld(t)
	all := []string{"*"}
	if _, _, err := w.ring.Create(t.Context(), Key{App: "prod", ID: "mine", Channels: all}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key   Key
		kind  fault.Kind
		field string
	}{
		"taken":             {Key{App: "prod", ID: "mine", Channels: all}, fault.Conflict, "id"},
		"taken elsewhere":   {Key{App: "dev", ID: "mine", Channels: all}, fault.Conflict, "id"},
		"configured":        {Key{App: "prod", ID: "desk", Channels: all}, fault.Conflict, "id"},
		"a dot":             {Key{App: "prod", ID: "a.b", Channels: all}, fault.Invalid, "id"},
		"long":              {Key{App: "prod", ID: strings.Repeat("a", 65), Channels: all}, fault.Invalid, "id"},
		"no app":            {Key{App: "none", Channels: all}, fault.AppNotFound, ""},
		"no channels":       {Key{App: "prod"}, fault.Invalid, "channels"},
		"many channels":     {Key{App: "prod", Channels: make([]string, 1001)}, fault.Invalid, "channels"},
		"a bad pattern":     {Key{App: "prod", Channels: []string{"a b"}}, fault.Invalid, "channels"},
		"a long label":      {Key{App: "prod", Channels: all, Label: strings.Repeat("l", 201)}, fault.Invalid, "label"},
		"a nameless filter": {Key{App: "prod", Channels: all, Filters: map[string][]string{"": nil}}, fault.Invalid, "filters"},
		"a long filter":     {Key{App: "prod", Channels: all, Filters: map[string][]string{"a": make([]string, 1001)}}, fault.Invalid, "filters"},
		"connections":       {Key{App: "prod", Channels: all, Connections: -1}, fault.Invalid, "connections"},
		"expired":           {Key{App: "prod", Channels: all, Expires: start}, fault.Invalid, "expires"},
		"long ago":          {Key{App: "prod", Channels: all, Expires: -1}, fault.Invalid, "expires"},
	} {
		_, _, err := w.ring.Create(t.Context(), c.key)
		if fault.KindOf(err) != c.kind || fault.Of(err).Field != c.field {
			t.Errorf("%s: %v in %q", name, err, fault.Of(err).Field)
		}
	}
}

// client is a session that notes how it was ended.
type client struct {
	id  string
	got session.Cause
}

func (c *client) ID() string { return c.id }
func (c *client) Post(in session.Input) {
	if t, ok := in.(session.Terminate); ok {
		c.got = t.Cause
	}
}

func (w *world) join(c *client, key string) {
	w.Helper()
	if err := w.node.Sessions().Admit("prod", c, 0, feed.KeyUser(key), 0); err != nil {
		w.Fatal(err)
	}
}

func TestReloaded(t *testing.T) {
	changed := desk()
	changed.Channels = []string{"fixtures"}
	relabeled := desk()
	relabeled.Label = "other"
	gone := desk()
	gone.Revoked = true
	for name, c := range map[string]struct {
		keys []app.FeedKey
		want session.Cause
	}{
		"same":      {[]app.FeedKey{desk()}, 0},
		"relabeled": {[]app.FeedKey{relabeled}, 0},
		"removed":   {nil, session.KeyRevoked},
		"revoked":   {[]app.FeedKey{gone}, session.KeyRevoked},
		"may other": {[]app.FeedKey{changed}, session.Reconnect},
	} {
		w := newWorld(t)
		one := &client{id: "1"}
		w.join(one, "desk")
		old := w.node.Apps()
		w.node.SetApps(w.registry(c.keys...))
		w.ring.Reloaded(old)
		if one.got != c.want {
			t.Errorf("%s: %v", name, one.got)
		}
	}
}

func TestSessionLimitOfAKey(t *testing.T) {
	w := newWorld(t)
	one, two := &client{id: "1"}, &client{id: "2"}
	s := w.node.Sessions()
	if err := s.Admit("prod", one, 0, "u", 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Admit("prod", two, 0, "u", 1); fault.KindOf(err) != fault.LimitExceeded || s.Len() != 1 {
		t.Fatal(err)
	}
	s.Remove("prod", one)
	if err := s.Admit("prod", two, 0, "u", 1); err != nil || len(s.OfUser("prod", "u")) != 1 {
		t.Fatal(err)
	}
}

func TestDamagedRecords(t *testing.T) {
	for _, bad := range []string{"", "null", "{", `{"hash":"zz"}`, `{"hash":"00"}`} {
		w := newWorld(t)
		if _, err := w.records.Put(t.Context(), space, "k", []byte(bad), record.Any); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(t.Context(), w.ring.opts); err == nil || !strings.Contains(err.Error(), `"k"`) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzDecodeKey(f *testing.F) {
	f.Add((&Key{App: "a", ID: "b", Channels: []string{"*"}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := DecodeKey(b)
		if err != nil {
			return
		}
		again, err := DecodeKey(k.encode())
		if err != nil || again.ID != k.ID || again.hash != k.hash || again.Revoked != k.Revoked {
			t.Fatalf("%+v, %+v, %v", k, again, err)
		}
	})
}
