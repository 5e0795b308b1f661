package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/wire/token"
)

// TestRoomsRefusalsAreReadable: a page cannot see why its handshake was refused, so it asks again by a plain GET, whose
// answer the pages of allowed origins may read.
func TestRoomsRefusalsAreReadable(t *testing.T) {
	r := newRig(t, nil)
	r.node.SetApps(production(t, func(a *app.App) { a.Origins = []string{"https://good.example"} }))
	good, bad := "https://good.example", "https://bad.example"
	raw := makeToken(t, "ann", time.Hour)
	late, err := token.Make(auth.Claims{App: "app", Subject: "ann", Expires: time.Now().Add(-time.Hour), Rooms: all}, "s")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path, bearer, origin string
		status                     int
		shared                     bool
	}{
		{"no token", "/rooms", "", good, 401, true},
		{"expired", "/rooms", late, good, 401, true},
		{"welcome", "/rooms", raw, good, 426, true},
		{"the token in the query", "/rooms?token=" + raw, "", good, 426, true},
		{"no page", "/rooms", raw, "", 426, false},
		{"an origin that is not allowed", "/rooms", raw, bad, 403, false},
		{"the same without a token", "/rooms", "", bad, 401, false},
		{"snapshot without a token", "/rooms/room/snapshot", "", good, 401, true},
		{"snapshot elsewhere", "/rooms/room/snapshot", late, bad, 401, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := ""
			if test.shared {
				want = test.origin
			}
			if status, header := ask(r.gate, http.MethodGet, test.path, test.bearer, test.origin); status != test.status || header.Get("Access-Control-Allow-Origin") != want {
				t.Errorf("%d, shared with %q; want %d and %q", status, header.Get("Access-Control-Allow-Origin"), test.status, want)
			}
		})
	}
	status, header := ask(r.gate, http.MethodOptions, "/rooms", "", good, "Access-Control-Request-Method", "GET")
	if status != http.StatusNoContent || header.Get("Access-Control-Allow-Headers") == "" {
		t.Errorf("preflight: %d %v", status, header)
	}
	r.gate.Draining()
	if status, header := ask(r.gate, http.MethodGet, "/rooms", raw, good); status != 503 || header.Get("Access-Control-Allow-Origin") != good {
		t.Errorf("while stopping: %d %v", status, header)
	}
}

// ask sends a request without a connection.
func ask(g *Gateway, method, path, bearer, origin string, headers ...string) (int, http.Header) {
	req := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	w := httptest.NewRecorder()
	if req.URL.Path == "/rooms" {
		g.Rooms(w, req)
	} else {
		g.RoomsSnapshot(w, req)
	}
	return w.Code, w.Header()
}
