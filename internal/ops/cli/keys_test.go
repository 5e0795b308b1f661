package cli

import (
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/edge/httpapi"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/ops/client"
	"github.com/continuo-rt/continuo/internal/ops/demo/season"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/keyring"
	"github.com/continuo-rt/continuo/internal/run/node"
)

// keyServer is the HTTP API of a server in memory.
type keyServer struct {
	url   string
	store *memory.Store
	ring  *keyring.Ring
}

func newKeyServer(t *testing.T) *keyServer {
	t.Helper()
	now := func() int64 { return time.Now().UnixMilli() }
	a, err := app.New(app.App{ID: "app-id", Mode: app.Development, Enabled: true, Keys: []app.Key{{Key: "app-key", Secret: "app-secret", Enabled: true}}})
	if err != nil {
		t.Fatal(err)
	}
	registry, faults := app.NewRegistry(a)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	store := memory.New(memory.Options{Now: now, Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold},
		Rules: func(ref stream.Ref) stream.Rules { return node.Rules(registry, ref) }})
	h := hub.New(hub.Options{Store: store, Now: now, Frame: func(_ bool, b []byte) []byte { return b }})
	n := node.New(node.Options{Store: store, Hub: h, Apps: registry, Now: now})
	ring, err := keyring.Load(t.Context(), keyring.Options{Records: store, Node: n, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(httpapi.New(httpapi.Options{Node: n, Now: now, FeedKeys: ring}))
	t.Cleanup(func() {
		s.Close()
		h.Close()
		_ = store.Close()
	})
	return &keyServer{s.URL, store, ring}
}

func TestKeys(t *testing.T) {
	a := newKeyServer(t)
	code, stdout, stderr := run(t, "keys", "create", "scores", "odds-*", "--id", "desk", "--label", "desk-7", "--filter", "sportIds=1,2", "--filter", "sportIds=7",
		"--access", "live=false", "--connections", "5", "--expires", "30d", "--url", a.url)
	if code != ExitOK || !regexp.MustCompile(`^desk\.\S+\n$`).MatchString(stdout) || !strings.Contains(stderr, "not shown again") {
		t.Fatal(code, stdout, stderr)
	}
	e, err := a.ring.Resolve(strings.TrimSpace(stdout))
	if err != nil || e.Label != "desk-7" || e.Connections != 5 || strings.Join(e.Filters["sportIds"], " ") != "1 2 7" || e.Access["live"] || !e.Channels.Match("odds-1") ||
		time.Until(time.UnixMilli(e.Expires)) < 29*24*time.Hour {
		t.Fatalf("%+v, %v", e, err)
	}
	code, stdout, _ = run(t, "keys", "create", "*", "--json", "--url", a.url)
	var made client.FeedKey
	if code != ExitOK || json.Unmarshal([]byte(stdout), &made) != nil || made.APIKey == "" {
		t.Fatal(code, stdout)
	}
	code, stdout, _ = run(t, "keys", "list", "--url", a.url)
	if code != ExitOK || !strings.Contains(stdout, "desk-7") || !strings.Contains(stdout, "sportIds=1,2,7") || !strings.Contains(stdout, "good until ") || !strings.Contains(stdout, "unlimited") {
		t.Fatal(code, stdout)
	}
	code, stdout, stderr = run(t, "keys", "revoke", "desk", "nobody", "--url", a.url)
	if code != ExitFailed || !strings.Contains(stdout, "desk is revoked") || !strings.Contains(stderr, "nobody") {
		t.Fatal(code, stdout, stderr)
	}
	code, stdout, _ = run(t, "keys", "list", "--json", "--url", a.url)
	var list []client.FeedKey
	if code != ExitOK || json.Unmarshal([]byte(stdout), &list) != nil || len(list) != 2 || !list[0].Revoked || list[0].RevokedAt == 0 || list[1].Revoked {
		t.Fatal(code, stdout)
	}
	for part, args := range map[string][]string{
		"--filter":            {"create", "a", "--filter", "sportIds"},
		"--access":            {"create", "a", "--access", "live=perhaps"},
		"--expires":           {"create", "a", "--expires", "yesterday"},
		"2020":                {"create", "a", "--expires", "2020-01-01"},
		"' '":                 {"create", "a b"},
		"taken":               {"create", "a", "--id", "desk"},
		"CONTINUO_APP_SECRET": {"list", "--secret", "wrong"},
	} {
		code, _, stderr := run(t, append(append([]string{"keys"}, args...), "--url", a.url)...)
		if code != ExitFailed || !strings.Contains(stderr, part) {
			t.Errorf("%v: %d %s", args, code, stderr)
		}
	}
	code, _, stderr = run(t, "keys", "list", "--url", "http://127.0.0.1:1")
	if code != ExitFailed || !strings.Contains(stderr, "continuo serve") {
		t.Error(code, stderr)
	}
}

func TestWhen(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{"36h": "2026-01-02T12:00:00Z", "2d": "2026-01-03T00:00:00Z", "2030-01-31": "2030-01-31T00:00:00Z", "2030-01-31T12:00:00Z": "2030-01-31T12:00:00Z"} {
		if at, err := when(text, now); err != nil || at.Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v", text, at, err)
		}
	}
	for _, text := range []string{"", "0s", "-1h", "0d", "2025-12-31", "soon"} {
		if at, err := when(text, now); err == nil {
			t.Errorf("%s: %v", text, at)
		}
	}
}

func TestDemoFeed(t *testing.T) {
	code, stdout, _ := run(t, "demo", "feed", "--print", "--events", "500", "--seed", "9")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != ExitOK || len(lines) != 500 || !strings.Contains(lines[0], `"channel":"fixtures"`) {
		t.Fatal(code, len(lines), lines[0])
	}
	_, again, _ := run(t, "demo", "feed", "--print", "--events", "500", "--seed", "9")
	if again != stdout {
		t.Error("the same seed printed another season")
	}
	a := newKeyServer(t)
	code, stdout, stderr := run(t, "demo", "feed", "--events", "2000", "--rate", "1000000", "--json", "--url", a.url)
	if code != ExitOK || !strings.Contains(stdout, `"events": 2000`) && !strings.Contains(stdout, `"events":2000`) {
		t.Fatal(code, stdout, stderr)
	}
	entries := 0
	for _, channel := range season.Channels() {
		page, err := a.store.Read(t.Context(), stream.Query{Ref: stream.Ref{App: "app-id", Channel: channel}})
		if err != nil {
			t.Fatal(err)
		}
		entries += int(page.Bounds.Head)
	}
	if entries != 2000 {
		t.Errorf("%d entries", entries)
	}
	if code, stdout, _ := run(t, "demo", "feed", "--speed", "60", "--for", "50ms", "--url", a.url); code != ExitOK || !strings.Contains(stdout, "of the season") {
		t.Error(code, stdout)
	}
	if code, _, stderr := run(t, "demo", "feed", "--print"); code != ExitFailed || !strings.Contains(stderr, "--events") {
		t.Error(code, stderr)
	}
	if code, _, stderr := run(t, "demo", "feed", "--speed", "0"); code != ExitFailed || !strings.Contains(stderr, "--speed") {
		t.Error(code, stderr)
	}
}
