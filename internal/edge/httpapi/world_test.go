package httpapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/edge/httpapi"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/run/outbox"
)

// world is a server of the API over a memory store, with a clock that tests move.
type world struct {
	t     testing.TB
	node  *node.Node
	store *memory.Store
	hub   *hub.Hub
	api   http.Handler
	// remote, if set, is where requests seem to come from.
	remote *atomic.Pointer[string]
	http   *httptest.Server
	key    *auth.Key
	clock  *atomic.Int64
}

type setup struct {
	app     func(*app.App)
	other   *app.App // a second tenant
	memory  func(*memory.Options)
	wrap    func(stream.Store) stream.Store
	options func(*httpapi.Options)
}

func newWorld(t testing.TB, s setup) *world {
	t.Helper()
	w := &world{t: t, clock: &atomic.Int64{}, remote: &atomic.Pointer[string]{}}
	w.clock.Store(1_766_414_833_000)
	a := app.App{ID: "app-id", Mode: app.Development, Enabled: true,
		Keys: []app.Key{{Key: "app-key", Secret: "app-secret", Enabled: true}, {Key: "off-key", Secret: "off-secret"}}}
	if s.app != nil {
		s.app(&a)
	}
	apps := []*app.App{mustApp(t, a)}
	if s.other != nil {
		apps = append(apps, mustApp(t, *s.other))
	}
	registry, faults := app.NewRegistry(apps...)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	m := memory.Options{Now: w.clock.Load, Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold},
		Rules: func(ref stream.Ref) stream.Rules { return node.Rules(registry, ref) }}
	if s.memory != nil {
		s.memory(&m)
	}
	w.store = memory.New(m)
	var store stream.Store = w.store
	if s.wrap != nil {
		store = s.wrap(store)
	}
	h := hub.New(hub.Options{Store: store, Now: w.clock.Load, Frame: func(_ bool, b []byte) []byte { return b }})
	w.hub = h
	t.Cleanup(h.Close)
	w.node = node.New(node.Options{Store: store, Hub: h, Apps: registry, Now: w.clock.Load})
	o := httpapi.Options{Node: w.node, Now: w.clock.Load}
	if s.options != nil {
		s.options(&o)
	}
	w.api = httpapi.New(o)
	w.http = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if remote := w.remote.Load(); remote != nil {
			r.RemoteAddr = *remote
		}
		w.api.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.http.Close)
	key, err := auth.NewKey("app-id", "app-key", "app-secret", true)
	if err != nil {
		t.Fatal(err)
	}
	w.key = key
	return w
}

func mustApp(t testing.TB, a app.App) *app.App {
	t.Helper()
	made, err := app.New(a)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// send sends a request as it is.
func (w *world) send(method, target, body string, header ...string) answer {
	w.t.Helper()
	r, err := http.NewRequest(method, w.http.URL+"/", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.URL.Opaque = target // as it is: no cleaning, no encoding
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res, err := w.http.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{w.t, res.StatusCode, res.Header, string(b)}
}

// do sends a request with a Bearer credential.
func (w *world) do(method, target, body string, header ...string) answer {
	w.t.Helper()
	return w.send(method, "/apps/app-id/"+target, body, append(header, "Authorization", "Bearer app-key:app-secret")...)
}

// signed sends a signed request.
func (w *world) signed(method, path, query, body string) answer {
	w.t.Helper()
	q, err := w.key.SignQuery(method, path, query, []byte(body), time.UnixMilli(w.clock.Load()))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.send(method, path+"?"+q, body)
}

// is checks the status and, unless it is empty, the body, without its white space.
func (a answer) is(status int, body string) answer {
	a.t.Helper()
	if a.status != status || body != "" && !same(a.body, body) {
		a.t.Fatalf("answer %d %s\n  want %d %s", a.status, a.body, status, body)
	}
	return a
}

// fails checks an error answer: its status, its code, and a part of its message.
func (a answer) fails(status int, code, part string) answer {
	a.t.Helper()
	var e struct {
		Error  string `json:"error"`
		Code   string `json:"code"`
		Status int    `json:"status"`
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		a.t.Fatalf("answer %d is no JSON: %q", a.status, a.body)
	}
	if a.status != status || e.Status != status || e.Code != code || !strings.Contains(e.Error, part) {
		a.t.Fatalf("answer %d %s\n  want %d %s …%s…", a.status, a.body, status, code, part)
	}
	return a
}

func (w *world) now() time.Time { return time.UnixMilli(w.clock.Load()) }

func same(a, b string) bool {
	if a == b {
		return true
	}
	var x, y bytes.Buffer
	if json.Compact(&x, []byte(a)) != nil || json.Compact(&y, []byte(b)) != nil {
		return false
	}
	return x.String() == y.String()
}

// into decodes the body.
func (a answer) into(v any) answer {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		a.t.Fatalf("%v in %s", err, a.body)
	}
	return a
}

// entries are all entries of a channel's log.
func (w *world) entries(channel string) []*stream.Entry {
	w.t.Helper()
	p, err := w.store.Read(w.t.Context(), stream.Query{Ref: stream.Ref{App: "app-id", Channel: channel}, Limit: 10_000})
	if err != nil {
		w.t.Fatal(err)
	}
	return p.Entries
}

// follow makes held followers of channels.
func (w *world) follow(channels ...string) {
	w.t.Helper()
	for _, name := range channels {
		out := &outbox.Outbox{}
		out.Init(nil, nil, 1<<10)
		_, res := w.hub.Follow(w.t.Context(), hub.Session{Out: out, Conn: "9.9"}, session.Follow{Ref: stream.Ref{App: "app-id", Channel: name}})
		if res.Err != nil {
			w.t.Fatal(res.Err)
		}
	}
}
