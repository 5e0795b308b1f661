package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

func parseName(s string) (channel.Name, error) { return channel.Parse(s, 0) }

func TestFeedKey(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	channels, err := channel.ParsePatterns([]string{"fixtures", "odds-*"})
	if err != nil {
		t.Fatal(err)
	}
	base := FeedKeyRecord{App: "3", ID: "desk", Hash: HashSecret("s3cret"), Channels: channels}
	revoked, expired, later := base, base, base
	revoked.Revoked = true
	expired.Expires = now
	later.Expires = now.Add(time.Second)
	records := map[string]FeedKeyRecord{"desk": base, "revoked": revoked, "expired": expired, "later": later}
	lookup := func(id string) (FeedKeyRecord, bool) { r, ok := records[id]; return r, ok }

	g, err := VerifyFeedKey("desk.s3cret", lookup, now)
	if err != nil || g.Kind() != FeedKey || !g.Proven() || g.App() != "3" || g.Key() != "desk" || !g.Expires().IsZero() {
		t.Fatalf("%+v, %v", g, err)
	}
	for name, want := range map[string]Right{"fixtures": Join | History, "odds-1": Join | History, "scores": 0} {
		if got := g.Rights(name); got != want {
			t.Errorf("Rights(%q) = %v", name, got)
		}
	}
	if g, err := VerifyFeedKey("later.s3cret", lookup, now); err != nil || !g.Expires().Equal(later.Expires) {
		t.Errorf("%+v, %v", g, err)
	}
	for given, says := range map[string]string{
		"":                                 "malformed",
		"desk":                             "malformed",
		"desk.":                            "malformed",
		".s3cret":                          "malformed",
		"desk." + strings.Repeat("x", 300): "malformed",
		"desk.wrong":                       "is not known",
		"nobody.s3cret":                    "is not known",
		"revoked.wrong":                    "is not known",
		"expired.wrong":                    "is not known",
		"revoked.s3cret":                   "revoked",
		"expired.s3cret":                   "expired",
	} {
		g, err := VerifyFeedKey(given, lookup, now)
		refused(t, g, err, fault.AuthFailed, says)
		if errors.Is(err, ErrRevoked) != (given == "revoked.s3cret") || errors.Is(err, ErrExpired) != (given == "expired.s3cret") {
			t.Errorf("%q: the cause is not the right one: %v", given, err)
		}
	}
}

func TestInsecureAppKey(t *testing.T) {
	g, err := InsecureAppKey(docKey, ring(t))
	if err != nil || g.Proven() || g.App() != "3" || !g.Can("any", Join|History) || g.Can("any", Send) {
		t.Errorf("%+v, %v", g, err)
	}
	for _, given := range []string{"", "nobody", "old"} {
		g, err := InsecureAppKey(given, ring(t))
		refused(t, g, err, fault.AuthFailed, "is not known")
	}
}

func FuzzParseFeedKey(f *testing.F) {
	f.Add("desk.s3cret")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, s string) {
		id, secret, err := ParseFeedKey(s)
		if err == nil && (id+"."+secret != s || strings.Contains(id, ".") || id == "" || secret == "") {
			t.Fatalf("%q: %q %q", s, id, secret)
		}
	})
}
