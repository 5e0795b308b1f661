package app

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// good is an app with policies of the given patterns; each remembers its pattern.
func good(patterns ...string) App {
	a := App{ID: "a", Enabled: true, Keys: []Key{{Key: "k", Secret: "s", Enabled: true}}, Features: DefaultFeatures(Production)}
	for _, s := range patterns {
		p := Default(Production)
		p.Pattern = s
		a.Policies = append(a.Policies, p)
	}
	return a
}

func TestPolicyFirstMatchWins(t *testing.T) {
	tests := []struct {
		patterns []string
		channel  string
		want     string
	}{
		{nil, "x", "*"},
		{[]string{"x"}, "x", "x"},
		{[]string{"x"}, "y", "*"},
		{[]string{"a:*", "a:1"}, "a:1", "a:*"},
		{[]string{"a:1", "a:*"}, "a:1", "a:1"},
		{[]string{"a:1", "a:*"}, "a:2", "a:*"},
		{[]string{"b", "*:1", "a:1", "*"}, "a:1", "*:1"},
		{[]string{"b", "c*", "a:1", "*1"}, "a:1", "a:1"},
		{[]string{"b", "c*", "a:1", "*1"}, "z1", "*1"},
		{[]string{"private-*-x", "private-*"}, "private-a-b-x", "private-*-x"},
		{[]string{"private-*-x", "private-*"}, "private-a", "private-*"},
		{[]string{"private-*"}, "presence-a", "*"},
	}
	for _, tt := range tests {
		a, err := New(good(tt.patterns...))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Policy(tt.channel).Pattern; got != tt.want {
			t.Errorf("%v: %s has the policy %q, want %q", tt.patterns, tt.channel, got, tt.want)
		}
		if n := testing.AllocsPerRun(10, func() { a.Policy(tt.channel) }); n > 0 {
			t.Errorf("%v: %g allocations", tt.patterns, n)
		}
	}
}

func TestDefaultByMode(t *testing.T) {
	production, development := Default(Production), Default(Development)
	if production.Mutable || len(production.Anonymous) > 0 || !development.Mutable || len(development.Anonymous) != len(RoomRights()) {
		t.Error("development is the generous one")
	}
	a := good()
	a.Mode = Development
	if made, err := New(a); err != nil || !made.Policy("x").Mutable {
		t.Error("an app's default follows its mode")
	}
	if !a.Policy("x").Mutable {
		t.Error("an app that New did not make has the default")
	}
	if Production.String() != "production" || Development.String() != "development" {
		t.Error("names of the modes")
	}
}

func TestPolicyAnswers(t *testing.T) {
	p := Default(Production)
	if !p.ClientsSubscribe() || !p.ServerPublishes() || !p.ClientsPublish() || p.AnonymousMay("join") {
		t.Error("the default lets everyone follow and publish, and nobody in without a token")
	}
	p.Anonymous, p.Publish, p.Subscribe = []string{"join"}, []string{PublishServer}, nil
	if p.ClientsSubscribe() || p.ClientsPublish() || !p.AnonymousMay("join") || p.AnonymousMay("send") {
		t.Error("rights are taken by name")
	}
	if r := p.Rules(); r.Durability != stream.Sync || r.Retention != stream.DefaultRetention() {
		t.Errorf("%+v", r)
	}
	p.Presence.Retention.Entries, p.Durability = 7, stream.Volatile
	if r := p.PresenceRules(); r.Durability != stream.Volatile || r.Retention.Entries != 7 {
		t.Errorf("%+v", r)
	}
}

func TestResumeAge(t *testing.T) {
	tests := []struct {
		retention, recovery time.Duration
		noLog               bool
		want                time.Duration
	}{
		{24 * time.Hour, 0, false, 24 * time.Hour}, {24 * time.Hour, time.Hour, false, time.Hour}, {time.Hour, 24 * time.Hour, false, time.Hour},
		{0, time.Hour, false, time.Hour}, {0, 0, false, 0}, {time.Hour, 0, true, 0},
	}
	for _, tt := range tests {
		p := Default(Production)
		p.Retention.Age, p.Recovery.Age, p.NoLog = tt.retention, tt.recovery, tt.noLog
		if got := p.ResumeAge(); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
		if got := p.Window(true); got.CursorAge != tt.want || got.Age != tt.recovery {
			t.Errorf("%+v: window %+v", tt, got)
		}
		if got := p.Window(false); got != p.Recovery {
			t.Errorf("%+v: window %+v", tt, got)
		}
	}
}

func TestLimits(t *testing.T) {
	if got := (Limits{}).Effective(); got != DefaultLimits() {
		t.Errorf("%+v", got)
	}
	l := Limits{BatchSize: 50, Connections: 3}.Effective()
	if l.BatchSize != 50 || l.Connections != 3 || l.PayloadBytes != 10<<10 || l.PublishesPerSecond != 0 {
		t.Errorf("%+v", l)
	}
	if n := reflect.TypeFor[Limits]().NumField(); n != len(limitKeys) {
		t.Errorf("%d limits and %d keys", n, len(limitKeys))
	}
	seen := map[*int]bool{}
	for _, f := range l.fields() {
		if seen[f.value] {
			t.Errorf("%s stands for the same limit as another key", f.key)
		}
		seen[f.value] = true
	}
}

func TestValidateReportsEverything(t *testing.T) {
	a := App{ID: "a b", Idempotency: -1, Limits: Limits{BatchSize: -1, PayloadBytes: 1 << 30}, Origins: []string{"https://a b"},
		Keys:     []Key{{Key: "k", Secret: ""}, {Key: "k", Secret: "x y"}},
		FeedKeys: []FeedKey{{ID: "f", Connections: -1}},
		Rooms:    RoomsAuth{JWKSURL: "ftp://a"}}
	p := Default(Production)
	p.Pattern, p.MaxVersion, p.Cache, p.NoLog, p.Conflate = "", -1, -time.Second, true, true
	p.Retention.MaxKeys, p.Presence.ListLimit, p.Presence.Retention.KeepLatest = 1, -1, true
	p.Subscribe, p.Publish, p.SnapshotURL = []string{"all"}, []string{"server", "server"}, "x/{room_id}"
	p.Feed.Filters = map[string]FeedFilter{"type": {Path: "a", Exempt: []string{""}}}
	p.LogClientEvents, p.ClientEvents = true, false
	a.Policies = []Policy{p}
	want := []string{
		"id", "keys[0].secret", "keys[1].key", "keys[1].secret", "origins[0]", "limits.payload_bytes", "limits.batch_size", "limits.frame_bytes", "idempotency",
		"channels[0].pattern", "channels[0].retention.max_keys", "channels[0].presence.retention.keep", "channels[0].max_message_bytes", "channels[0].max_versions",
		"channels[0].log_client_events", "channels[0].log_client_events", "channels[0].log_client_events", "channels[0].conflate", "channels[0].presence.list_limit", "channels[0].cache_ttl",
		"channels[0].subscribe[0]", "channels[0].publish[1]", "channels[0].snapshot_url", "channels[0].feed.filters.type", "channels[0].feed.filters.type.path",
		"channels[0].feed.filters.type.exempt[0]", "feed_keys[0].secret", "feed_keys[0].channels", "feed_keys[0].connections", "rooms.jwks_url",
	}
	got := map[string]int{}
	for _, f := range a.Validate() {
		if f.Kind != fault.Invalid || f.Msg == "" {
			t.Errorf("%+v", f)
		}
		got[f.Field]++
	}
	for _, key := range want {
		if got[key] == 0 {
			t.Errorf("nothing was said about %s", key)
		}
		got[key]--
	}
	for key, n := range got {
		if n > 0 {
			t.Errorf("too much was said about %s", key)
		}
	}
	if _, err := New(a); fault.KindOf(err) != fault.Invalid || strings.Count(err.Error(), "\n") != len(want)-1 {
		t.Errorf("New: %v", err)
	}
}

func TestShadowed(t *testing.T) {
	tests := []struct {
		patterns string
		want     string // fields of the shadowed
	}{
		{"a b c", ""}, {"a a", "channels[1].pattern"}, {"a:* a:b", "channels[1].pattern"}, {"a:b a:*", ""}, {"* a b*", "channels[1].pattern channels[2].pattern"},
		{"a* *a", ""}, {"a*c a*b*c", "channels[1].pattern"}, {"a*b*c a*c", ""}, {"*b* ab*", "channels[1].pattern"}, {"a** a*", "channels[1].pattern"},
	}
	for _, tt := range tests {
		got := []string{}
		for _, f := range Shadowed(good(strings.Fields(tt.patterns)...).Policies) {
			got = append(got, f.Field)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.patterns, got, tt.want)
		}
	}
}

func TestOrigins(t *testing.T) {
	tests := []struct {
		pattern, origin string
		want            bool
	}{
		{"*", "null", true}, {"*", "https://a", true},
		{"https://a.com", "https://a.com", true}, {"https://a.com", "HTTPS://A.com", true}, {"https://a.com", "https://a.com:443", true},
		{"https://a.com", "http://a.com", false}, {"https://a.com", "https://b.a.com", false}, {"https://a.com", "https://a.com:444", false}, {"https://a.com", "null", false},
		{"https://*.a.com", "https://b.a.com", true}, {"https://*.a.com", "https://c.b.a.com", true}, {"https://*.a.com", "https://a.com", false},
		{"https://*.a.com", "https://xa.com", false}, {"https://*.a.com", "https://.a.com", false},
		{"http://localhost:*", "http://localhost:5173", true}, {"http://localhost:*", "http://localhost", true}, {"http://localhost:3000", "http://localhost:3001", false},
		{"a.com", "http://a.com", true}, {"a.com", "https://a.com", true}, {"a.com", "https://a.com:8443", false}, {"a.com:*", "https://a.com:8443", true},
		{"http://[::1]:3000", "http://[::1]:3000", true}, {"http://[::1]", "http://[::1]", true}, {"http://[::1]", "http://[::1]:81", false},
	}
	for _, tt := range tests {
		a := good()
		a.Origins = []string{tt.pattern}
		made, err := New(a)
		if err != nil {
			t.Fatal(err)
		}
		if got := made.AllowsOrigin(tt.origin); got != tt.want {
			t.Errorf("%s allows %s: %t", tt.pattern, tt.origin, got)
		}
	}
	if made, err := New(good()); err != nil || !made.AllowsOrigin("https://anywhere") {
		t.Error("no origins mean all")
	}
	unmade := good()
	unmade.Origins = []string{"https://a.com"}
	if unmade.AllowsOrigin("https://a.com") {
		t.Error("an app that New did not check allows nothing")
	}
	for _, bad := range []string{"", "https://", "https://a.com/x", "https://a.*.com", "https://*", "https://a.com:x", "://a", "ht*p://a"} {
		if CheckOrigin(bad) == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add("https://*.a.com:*", "https://b.a.com:1")
	f.Add("http://[::1]", "http://[::1]:80")
	f.Fuzz(func(t *testing.T, pattern, header string) {
		o, err := parseOrigin(pattern)
		if err != nil {
			return
		}
		a := good()
		a.Origins = []string{pattern}
		made, err := New(a)
		if err != nil {
			t.Fatalf("%q was parsed and is refused: %v", pattern, err)
		}
		if !made.AllowsOrigin(header) && o.any {
			t.Errorf("the pattern for everyone refuses %q", header)
		}
	})
}

func TestKeys(t *testing.T) {
	a := good()
	a.Keys = append(a.Keys, Key{Key: "old", Secret: "o"})
	k, ok := a.FindKey("k")
	if !ok || a.Usable(k) != nil {
		t.Error("k is good")
	}
	old, ok := a.FindKey("old")
	if !ok || fault.KindOf(a.Usable(old)) != fault.AppDisabled {
		t.Error("old is disabled")
	}
	if _, ok := a.FindKey("K"); ok {
		t.Error("keys are exact")
	}
	a.Enabled = false
	if fault.KindOf(a.Usable(k)) != fault.AppDisabled {
		t.Error("the app is disabled")
	}
}

func TestRegistry(t *testing.T) {
	one, two := good("x"), good()
	two.ID, two.Keys = "b", []Key{{Key: "k2", Secret: "s"}, {Key: "k3", Secret: "s"}}
	two.FeedKeys = []FeedKey{{ID: "f", SecretHash: [32]byte{1}, Channels: []string{"*"}}}
	r, faults := NewRegistry(&one, &two)
	if len(faults) > 0 || r.Len() != 2 {
		t.Fatal(faults)
	}
	if a, k, ok := r.ByKey("k3"); !ok || a.ID != "b" || k.Key != "k3" {
		t.Error("k3 is b's")
	}
	if _, _, ok := r.ByKey("nobody"); ok {
		t.Error("nobody has this key")
	}
	if a, ok := r.ByID("a"); !ok || a != &one {
		t.Error("a is there")
	}
	if a, k, ok := r.FeedKey([32]byte{1}); !ok || a.ID != "b" || k.ID != "f" {
		t.Error("the feed key is b's")
	}
	if _, ok := r.Policy("c", "x"); ok {
		t.Error("there is no c")
	}
	if p, ok := r.Policy("a", "x"); !ok || p == nil {
		t.Error("there is a")
	}
	ids := ""
	for a := range r.All() {
		ids += a.ID
	}
	if ids != "ab" {
		t.Error(ids)
	}
	if _, faults := NewRegistry(&one, &one, &two, &two); len(faults) != 6 {
		t.Errorf("%d faults: two ids, three keys, one feed key", len(faults))
	}
	var none Registry
	if _, _, ok := none.ByKey("k"); ok || none.Len() != 0 {
		t.Error("the zero registry has nothing")
	}
}

func TestNewFillsIn(t *testing.T) {
	a := good("x", "x")
	made, err := New(a)
	if err != nil {
		t.Fatal("shadowed policies do no harm", err)
	}
	if made.Limits != DefaultLimits() || made.Idempotency != DefaultIdempotency {
		t.Errorf("%+v", made)
	}
	if a.Limits != (Limits{}) {
		t.Error("the argument was changed")
	}
	a.ID = ""
	var f *fault.Error
	if _, err := New(a); !errors.As(err, &f) || f.Field != "id" {
		t.Error(err)
	}
}

func BenchmarkPolicy(b *testing.B) {
	a, err := New(good("prices:*", "scores:*", "private-chat-*", "presence-room-*", "news", "*-live", "a:*:b", "c:*:d"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		a.Policy("presence-room-42")
	}
}
