package console

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/wire/token"
)

const now = 1_787_000_000_123

func post(method, body string) *httptest.ResponseRecorder {
	a := &app.App{ID: "app", Enabled: true, Keys: []app.Key{{Key: "off", Secret: "x"}, {Key: "k", Secret: "s", Enabled: true}}}
	w := httptest.NewRecorder()
	t := &Tokens{App: func() *app.App { return a }, Now: func() int64 { return now }}
	t.ServeHTTP(w, httptest.NewRequest(method, TokenPath, strings.NewReader(body)))
	return w
}

// TestTokens: what is made is what the rooms face accepts, with just the rights that were asked for.
func TestTokens(t *testing.T) {
	verifier := token.Verifier{Source: func(id string) (token.Source, bool) {
		return token.Source{Secrets: map[string]string{"k": "s"}}, id == "app"
	}}
	for _, test := range []struct {
		name, body string
		expires    int64 // unix seconds
		send       bool  // in the room "lobby"
	}{
		{"as usual", `{"user":"ann"}`, 1_787_003_601, true},
		{"short", `{"user":"ann","ttl_seconds":1}`, 1_787_000_002, true},
		{"reading", `{"user":"ann","ttl_seconds":60,"rooms":[{"pattern":"l*","can":["join","history"]}]}`, 1_787_000_061, false},
		{"nowhere", `{"user":"ann","rooms":[]}`, 1_787_003_601, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := post("POST", test.body)
			var got struct {
				Token   string `json:"token"`
				Expires int64  `json:"expires_at"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); w.Code != 200 || err != nil || w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Fatal(w.Code, w.Body, w.Header())
			}
			if got.Expires != test.expires*1000 {
				t.Errorf("ends at %d, want %d s", got.Expires, test.expires)
			}
			grant, err := auth.VerifyToken(got.Token, verifier, time.UnixMilli(now))
			if err != nil {
				t.Fatal(err)
			}
			if grant.Subject() != "ann" || grant.Can("lobby", auth.Send) != test.send {
				t.Errorf("%+v", grant)
			}
		})
	}
}

func TestTokenRefusals(t *testing.T) {
	for _, test := range []struct {
		method, body string
		status       int
		says         string
	}{
		{"GET", ``, 405, "POST"},
		{"OPTIONS", ``, 204, ""},
		{"POST", ``, 400, "JSON"},
		{"POST", `[]`, 400, "JSON"},
		{"POST", `{}`, 400, "user"},
		{"POST", `{"user":"` + strings.Repeat("x", 161) + `"}`, 400, "user"},
		{"POST", `{"user":"a\u0000b"}`, 400, "user"},
		{"POST", `{"user":"ann","ttl_seconds":0}`, 400, "86400 seconds"},
		{"POST", `{"user":"ann","ttl_seconds":86401}`, 400, "86400 seconds"},
		{"POST", `{"user":"ann","ttl_seconds":1.5}`, 400, "JSON"},
		{"POST", `{"user":"ann","rooms":[{"pattern":"*","can":["fly"]}]}`, 400, "fly"},
		{"POST", `{"user":"` + strings.Repeat("x", maxForm) + `"}`, 400, "large"},
	} {
		w := post(test.method, test.body)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
			t.Errorf("%s %.60s: %d %s", test.method, test.body, w.Code, w.Body)
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s %.60s: a page cannot read it", test.method, test.body)
		}
	}
	off := &app.App{ID: "app", Enabled: true, Keys: []app.Key{{Key: "off", Secret: "x"}}}
	w := httptest.NewRecorder()
	(&Tokens{App: func() *app.App { return off }, Now: func() int64 { return now }}).ServeHTTP(w, httptest.NewRequest("POST", TokenPath, strings.NewReader(`{"user":"ann"}`)))
	if w.Code < 400 || strings.Contains(w.Body.String(), "token\":") {
		t.Error(w.Code, w.Body)
	}
}
