package gateway

import (
	"net/http/httptest"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/pusher"
)

// TestOrigins: pages are held to the app's origins; clients that are no browsers send none and are let in.
func TestOrigins(t *testing.T) {
	a, err := app.New(app.App{ID: "a", Enabled: true, Origins: []string{"https://*.example.com"},
		Keys: []app.Key{{Key: "k", Secret: "s", Enabled: true}}})
	if err != nil {
		t.Fatal(err)
	}
	apps, faults := app.NewRegistry(a)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	g := &Gateway{opts: Options{Node: node.New(node.Options{Apps: apps})}}
	for origin, want := range map[string]pusher.Refusal{
		"":                           0,
		"https://shop.example.com":   0,
		"https://example.org":        pusher.BadOrigin,
		"http://shop.example.com":    pusher.BadOrigin,
		"null":                       pusher.BadOrigin,
		"https://shop.example.com.x": pusher.BadOrigin,
	} {
		r := httptest.NewRequest("GET", "/app/k", nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if _, got := g.admit("k", r); got != want {
			t.Errorf("origin %q: %v, want %v", origin, got, want)
		}
	}
}
