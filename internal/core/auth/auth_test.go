package auth

import (
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// The credentials of the examples in Pusher's documentation.
const (
	docKey    = "278d425bdf160c739803"
	docSecret = "7ad3773142a6692b25b8"
)

func newKey(t testing.TB, app, id, secret string, enabled bool) *Key {
	t.Helper()
	k, err := NewKey(app, id, secret, enabled)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ring is the keys of three apps: app 3 of the documentation with a second key and a disabled one, and app 4.
func ring(t testing.TB) Lookup {
	keys := map[string]*Key{}
	for _, k := range []*Key{
		newKey(t, "3", docKey, docSecret, true),
		newKey(t, "3", "second", "second-secret", true),
		newKey(t, "3", "old", "old-secret", false),
		newKey(t, "4", "other", "other-secret", true),
	} {
		keys[k.ID()] = k
	}
	return func(id string) *Key { return keys[id] }
}

func name(t testing.TB, s string) channel.Name {
	t.Helper()
	n, err := channel.Parse(s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// refused checks that nothing was proven, with a fault of this kind whose message has these words.
func refused(t *testing.T, g Grant, err error, kind fault.Kind, says string) {
	t.Helper()
	if err == nil {
		t.Errorf("accepted; want %v %q", kind, says)
		return
	}
	if fault.KindOf(err) != kind || !strings.Contains(err.Error(), says) {
		t.Errorf("refused with %v %q; want %v %q", fault.KindOf(err), err, kind, says)
	}
	if g.Kind() != Nothing || g.Proven() || g.App() != "" || g.Rights("x") != 0 {
		t.Errorf("a refusal gave %+v", g)
	}
}

func TestZeroGrant(t *testing.T) {
	var g Grant
	if g.Proven() || g.Kind() != Nothing || g.Rights("a") != 0 || g.Can("a", Join) || g.Can("a", 0) {
		t.Error("the zero grant allows something")
	}
	if g.Kind().String() != "nothing" || Token.String() != "token" || Kind(200).String() != "unknown" {
		t.Error("kind names")
	}
}

func TestAnonymous(t *testing.T) {
	g := NewAnonymous("3", func(channel string) Right {
		if channel == "lobby" {
			return Join | Send
		}
		return 0
	})
	if g.Proven() || g.Kind() != Anonymous || g.App() != "3" {
		t.Error("anonymous proves something")
	}
	if !g.Can("lobby", Join|Send) || g.Can("lobby", Join|History) || g.Can("x", Join) {
		t.Error("rights are not the policy's")
	}
	if NewAnonymous("3", nil).Can("lobby", Join) {
		t.Error("no policy allows something")
	}
}

func TestNewKey(t *testing.T) {
	for _, c := range []struct{ app, id, secret string }{
		{"", "k", "s"}, {"a", "", "s"}, {"a", "k", ""}, {"a", "k:", "s"}, {"a", "k x", "s"}, {"a", "k\n", "s"},
	} {
		if k, err := NewKey(c.app, c.id, c.secret, true); k != nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("NewKey(%q) = %v, %v", c, k, err)
		}
	}
	k := newKey(t, "a", "k", "s", false)
	if k.App() != "a" || k.ID() != "k" || k.Enabled() {
		t.Errorf("%+v", k)
	}
}

func TestSign(t *testing.T) {
	// RFC 4231, test case 2.
	k := newKey(t, "a", "k", "Jefe", true)
	const want = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	if got := k.Sign([]byte("what do ya want for nothing?")); got != want {
		t.Errorf("Sign = %s", got)
	}
	k.keyed = nil // the way for modules that cannot clone
	if got := k.Sign([]byte("what do ya want for nothing?")); got != want {
		t.Errorf("Sign without a clone = %s", got)
	}
}

func TestRights(t *testing.T) {
	all, err := ParseRights(All.Names())
	if err != nil || all != All {
		t.Errorf("ParseRights(%v) = %v, %v", All.Names(), all, err)
	}
	if len(All.Names()) != len(rightNames) {
		t.Error("a right has no name")
	}
	r, err := ParseRights([]string{"join", "edit_own", "join"})
	if err != nil || r != Join|EditOwn || r.String() != "join,edit_own" {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := ParseRights(nil); r != 0 || err != nil {
		t.Errorf("%v, %v", r, err)
	}
	for _, bad := range []string{"", "Join", "edit-own", "all", "*"} {
		if r, err := ParseRights([]string{"join", bad}); r != 0 || fault.KindOf(err) != fault.Invalid {
			t.Errorf("ParseRights(%q) = %v, %v", bad, r, err)
		}
	}
}

func FuzzParseRight(f *testing.F) {
	f.Add("join")
	f.Add("edit_any")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRight(s); err == nil && (r.String() != s || r&All != r) {
			t.Fatalf("ParseRight(%q) = %v", s, r)
		}
	})
}

func FuzzParseRights(f *testing.F) {
	f.Add("join,send")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRights(strings.Split(s, ",")); err == nil {
			if again, err := ParseRights(r.Names()); err != nil || again != r {
				t.Fatalf("%q: %v, then %v %v", s, r, again, err)
			}
		}
	})
}

type fixed struct {
	claims Claims
	err    error
}

func (f fixed) Verify(string, time.Time) (Claims, error) { return f.claims, f.err }

func TestVerifyToken(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	good := func() Claims {
		return Claims{App: "3", Key: "k1", Subject: "u1", Expires: now.Add(time.Hour), Info: `{"n":"A"}`, Rooms: []RoomClaim{
			{Pattern: "room-*", Can: []string{"join", "send"}},
			{Pattern: "room-1", Can: []string{"edit_own"}},
		}}
	}
	g, err := VerifyToken("raw", fixed{claims: good()}, now)
	if err != nil {
		t.Fatal(err)
	}
	if g.Kind() != Token || !g.Proven() || g.App() != "3" || g.Key() != "k1" || g.Subject() != "u1" || g.Data() != `{"n":"A"}` || !g.Expires().Equal(now.Add(time.Hour)) {
		t.Errorf("%+v", g)
	}
	for room, want := range map[string]Right{"room-1": Join | Send | EditOwn, "room-2": Join | Send, "x": 0, "": 0} {
		if got := g.Rights(room); got != want {
			t.Errorf("Rights(%q) = %v, want %v", room, got, want)
		}
	}
	for says, spoil := range map[string]func(*Claims){
		"claim app is missing":   func(c *Claims) { c.App = "" },
		"claim sub is missing":   func(c *Claims) { c.Subject = "" },
		"claim exp is missing":   func(c *Claims) { c.Expires = time.Time{} },
		"rooms[1] is wrong":      func(c *Claims) { c.Rooms[1].Pattern = "a b" },
		`no right called "read"`: func(c *Claims) { c.Rooms[0].Can = []string{"join", "read"} },
		"101 room patterns":      func(c *Claims) { c.Rooms = make([]RoomClaim, maxTokenRules+1) },
	} {
		c := good()
		spoil(&c)
		g, err := VerifyToken("raw", fixed{claims: c}, now)
		refused(t, g, err, fault.AuthFailed, says)
	}
	g, err = VerifyToken("raw", fixed{err: fault.New(fault.Unavailable, "no keys")}, now)
	refused(t, g, err, fault.Unavailable, "no keys")
}
