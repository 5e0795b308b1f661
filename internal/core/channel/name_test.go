package channel

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in    string
		kind  Kind
		cache bool
	}{
		{"news", Public, false},
		{"ticker:BTC", Public, false},
		{":", Public, false},
		{"#a", Public, false},
		{"base#userA,userB", Public, false},
		{"A_z-0=@,;.:#9", Public, false},
		{"cache-x", Public, true},
		{"cache-private-x", Public, true},
		{"x-private-y", Public, false},
		{"my-cache-x", Public, false},
		{"Private-x", Public, false},
		{"private", Public, false},
		{"private-", Private, false},
		{"private-x", Private, false},
		{"private-x-cache-y", Private, false},
		{"private-cache-x", Private, true},
		{"private-encrypted", Private, false},
		{"private-encryptedx", Private, false},
		{"private-encrypted-x", Encrypted, false},
		{"private-encrypted-cache-x", Encrypted, true},
		{"private-presence-x", Private, false},
		{"presence-x", Presence, false},
		{"presence-cache-x", Presence, true},
		{"#server-to-user-u1", User, false},
		{"#server-to-user-auth0|a b*é", User, false},
		{"#server-to-user-" + strings.Repeat("u", DefaultMax), User, false},
		{"#server-to-use", Public, false},
		{strings.Repeat("a", DefaultMax), Public, false},
	} {
		n, err := Parse(c.in, 0)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		if n.Kind() != c.kind || n.Cache() != c.cache || n.String() != c.in {
			t.Errorf("Parse(%q) = %v cache=%v %q", c.in, n.Kind(), n.Cache(), n)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		in   string
		max  int
		says string
	}{
		{"", 0, "empty"},
		{"a b", 0, `has ' ' at byte 1`},
		{"a/b", 0, `has '/' at byte 1`},
		{"café", 0, `has 'é' at byte 3`},
		{"a\xff", 0, "byte 0xff at byte 1"},
		{"a\x00", 0, `'\x00'`},
		{"a*", 0, `'*'`},
		{"[meta]x", 0, `'['`},
		{"abcd", 3, "4 bytes, more than the 3 allowed"},
		{strings.Repeat("a", DefaultMax+1), 0, "201 bytes"},
		{"#server-to-user-", 0, "names no user"},
		{"#server-to-user-\xff", 0, "not valid UTF-8"},
		{"#server-to-user-a\nb", 0, "control character at byte 1"},
		{"#server-to-user-" + strings.Repeat("u", DefaultMax+1), 0, "201 bytes"},
	} {
		n, err := Parse(c.in, c.max)
		if err == nil {
			t.Errorf("Parse(%q) = %v, want an error", c.in, n)
			continue
		}
		if f := fault.Of(err); f.Kind != fault.Invalid || f.Field != "channel" || !strings.Contains(f.Msg, c.says) {
			t.Errorf("Parse(%q): %v %q in %q, want %q", c.in, f.Kind, f.Msg, f.Field, c.says)
		}
		if len(err.Error()) > 400 {
			t.Errorf("Parse(%q): the message has %d bytes", Quote(c.in), len(err.Error()))
		}
		if n != (Name{}) {
			t.Errorf("Parse(%q) gave a name with its error", c.in)
		}
	}
}

func TestPredicates(t *testing.T) {
	for _, c := range []struct {
		in                         string
		auth, pres, encr, clientEv bool
	}{
		{"news", false, false, false, false},
		{"cache-x", false, false, false, false},
		{"private-x", true, false, false, true},
		{"private-cache-x", true, false, false, true},
		{"private-encrypted-x", true, false, true, false},
		{"private-encrypted-cache-x", true, false, true, false},
		{"presence-x", true, true, false, true},
		{"presence-cache-x", true, true, false, true},
		{"#server-to-user-u1", false, false, false, false},
	} {
		n, err := Parse(c.in, 0)
		if err != nil {
			t.Fatal(err)
		}
		if n.NeedsAuth() != c.auth || n.Presence() != c.pres || n.Encrypted() != c.encr || n.ClientEvents() != c.clientEv {
			t.Errorf("%s: auth %v presence %v encrypted %v client events %v", c.in, n.NeedsAuth(), n.Presence(), n.Encrypted(), n.ClientEvents())
		}
	}
}

func TestSpecialNames(t *testing.T) {
	n, _ := Parse(ForUser("u:1"), 0)
	if id, ok := n.ServerToUser(); !ok || id != "u:1" {
		t.Errorf("ServerToUser = %q %v", id, ok)
	}
	if _, ok := (Name{}).ServerToUser(); ok {
		t.Error("the zero name is a user's")
	}
	if name, ok := Meta("[meta]news"); !ok || name != "news" {
		t.Errorf("Meta = %q %v", name, ok)
	}
	if _, ok := Meta("news"); ok {
		t.Error("news is no meta channel")
	}
	for in, want := range map[string]bool{"a*": true, "*": true, "news": false, "#server-to-user-a*": false, "[meta]a*": false} {
		if Wildcard(in) != want {
			t.Errorf("Wildcard(%q) = %v", in, !want)
		}
	}
	for in, want := range map[string]bool{"a*": true, "[meta]a": true, "#server-to-user-u": true, "a": false, "#x": false} {
		if Hidden(in) != want {
			t.Errorf("Hidden(%q) = %v", in, !want)
		}
	}
	if Kind(99).String() != "kind(99)" || Presence.String() != "presence" {
		t.Error("kind names")
	}
}

func TestNameBytes(t *testing.T) {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=@,;.:#"
	for c := range 256 {
		if want := strings.IndexByte(allowed, byte(c)) >= 0; NameByte(byte(c)) != want {
			t.Errorf("NameByte(%q) = %v", byte(c), !want)
		}
	}
}

func TestEventNames(t *testing.T) {
	for _, c := range []struct {
		in              string
		kind            EventKind
		publish, client bool
	}{
		{"hello", AppEvent, true, false},
		{`App\Events\Shipped`, AppEvent, true, false},
		{"pusherx", AppEvent, true, false},
		{"chat.message", AppEvent, true, false},
		{"client-typing", ClientEvent, true, true},
		{"client-", ClientEvent, true, true},
		{"pusher:x", ProtocolEvent, false, false},
		{"pusher_internal:member_added", ProtocolEvent, false, false},
		{"sockudo:message.update", ProtocolEvent, false, false},
		{"sockudo_internal:", ProtocolEvent, false, false},
		{"", AppEvent, false, false},
		{"client-\xff", ClientEvent, false, false},
		{"client-" + strings.Repeat("x", EventMax), ClientEvent, false, false},
	} {
		if got := ClassifyEvent(c.in); got != c.kind {
			t.Errorf("ClassifyEvent(%q) = %v", c.in, got)
		}
		if err := CheckPublish(c.in, 0); (err == nil) != c.publish {
			t.Errorf("CheckPublish(%q): %v", c.in, err)
		}
		if err := CheckClient(c.in, 0); (err == nil) != c.client {
			t.Errorf("CheckClient(%q): %v", c.in, err)
		}
	}
	if err := CheckPublish("abcd", 3); fault.KindOf(err) != fault.Invalid {
		t.Errorf("CheckPublish over its limit: %v", err)
	}
	if err := CheckPublish("pusher:x", 0); !strings.Contains(err.Error(), "begin with pusher:") {
		t.Errorf("the reserved prefix is not named: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"news", "private-encrypted-cache-x", "#server-to-user-ü", "a b", "", "\xff", "presence-cache-:"} {
		f.Add(s, 0)
	}
	f.Fuzz(func(t *testing.T, s string, max int) {
		n, err := Parse(s, max)
		if (err == nil) == (n == Name{}) {
			t.Fatalf("Parse(%q) = %v, %v", s, n, err)
		}
		if err != nil {
			if !utf8.ValidString(err.Error()) {
				t.Fatalf("the message is not valid UTF-8: %q", err)
			}
			return
		}
		kind, cache := Classify(n.String())
		if n.String() != s || kind != n.Kind() || cache != n.Cache() {
			t.Fatalf("Parse(%q) = %v %v %v, Classify %v %v", s, n, n.Kind(), n.Cache(), kind, cache)
		}
		if p := Exactly(n); !p.Match(s) || p.Match(s+"x") {
			t.Fatalf("Exactly(%q) does not match exactly it", s)
		}
	})
}
