// Package v2 holds whole servers to what Sockudo V2 clients are promised, over real sockets and on every engine.
package v2

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/edge/gateway"
	"github.com/continuo-rt/continuo/internal/edge/httpapi"
	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/conn"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/node"
)

const (
	appID, appKey, appSecret = "app-id", "app-key", "app-secret"
	otherID, otherSecret     = "other-id", "other-secret"
)

// engines are the stores that everything here holds for.
var engines = []string{"memory", "disk"}

// setup is what a test wants of its server. The zero value works.
type setup struct {
	engine string
	hot    int    // entries of the hot window; 0: the default
	outbox int    // bytes; 0: the default
	narrow bool   // its sockets send little ahead
	count  bool   // its writes and frames are counted
	fs     vfs.FS // of the disk engine; nil: in memory, and it can crash
	app    func(*app.App)
	// readable fails the reads of the memory engine; nil: never.
	readable func() error
}

// server is a whole server in this process: store, hub, node, gateway and HTTP API.
type server struct {
	testing.TB
	setup
	registry *app.Registry
	fs       *vfs.MemFS
	dir      string
	ahead    atomic.Int64 // ms that its clock is ahead of the real one

	counted counts

	store stream.Store
	hub   *hub.Hub
	node  *node.Node
	wheel *conn.Wheel
	gate  *gateway.Gateway
	url   string // http://…
	close func()
}

func newServer(t testing.TB, o setup) *server {
	t.Helper()
	s := &server{TB: t, setup: o, fs: vfs.NewCrashableMem(), dir: "data"}
	if o.fs != nil {
		s.dir = t.TempDir()
	}
	a := app.App{ID: appID, Enabled: true, Mode: app.Development, Features: app.DefaultFeatures(app.Development),
		Keys: []app.Key{{Key: appKey, Secret: appSecret, Enabled: true}}}
	a.Policies = policies()
	if o.app != nil {
		o.app(&a)
	}
	other := app.App{ID: otherID, Enabled: true, Mode: app.Development, Keys: []app.Key{{Key: "other-key", Secret: otherSecret, Enabled: true}}}
	registry, faults := app.NewRegistry(mustApp(t, a), mustApp(t, other))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	s.registry = registry
	s.open()
	t.Cleanup(func() { s.close() })
	return s
}

// policies: channels narrow-* may be resumed over 5 entries, nolog-* keep no log.
func policies() []app.Policy {
	narrow, nolog, plain := app.Default(app.Development), app.Default(app.Development), app.Default(app.Development)
	narrow.Pattern, narrow.Recovery.Entries = "narrow-*", 5
	nolog.Pattern, nolog.NoLog, nolog.Mutable = "nolog-*", true, false
	plain.Retention.Entries = 50_000
	return []app.Policy{narrow, nolog, plain}
}

func mustApp(t testing.TB, a app.App) *app.App {
	t.Helper()
	made, err := app.New(a)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (s *server) now() int64 { return time.Now().UnixMilli() + s.ahead.Load() }

func (s *server) openStore() (stream.Store, io.Closer) {
	s.Helper()
	rules := func(ref stream.Ref) stream.Rules { return node.Rules(s.registry, ref) }
	folds := map[stream.Log]stream.Fold{stream.Messages: message.Fold}
	if s.engine != "disk" {
		m := memory.New(memory.Options{Now: s.now, Rules: rules, Folds: folds, Readable: s.readable})
		return m, m
	}
	o := disk.Options{Now: s.now, Rules: rules, Folds: folds, Shards: 2, SweepEvery: -1, FreeReserve: -1, FS: s.fs}
	if s.setup.fs != nil {
		o.FS = s.setup.fs
	}
	d, err := disk.Open(s.dir, o)
	if err != nil {
		s.Fatal(err)
	}
	return d, d
}

// open starts everything over the store that is there.
func (s *server) open() {
	s.Helper()
	store, closer := s.openStore()
	s.store = store
	s.hub = hub.New(hub.Options{Store: store, Now: s.now, Frame: s.frame, Window: hub.WindowLimits{Entries: s.hot}})
	s.node = node.New(node.Options{Store: store, Hub: s.hub, Apps: s.registry, Now: s.now})
	s.wheel = conn.NewWheel(s.now)
	s.gate = gateway.New(gateway.Options{Node: s.node, Wheel: s.wheel, Now: s.now, OutboxBytes: s.outbox})
	mux := http.NewServeMux()
	mux.HandleFunc("/app/", s.gate.Pusher)
	mux.Handle("/apps/", httpapi.New(httpapi.Options{Node: s.node, Now: s.now}))
	web := httptest.NewUnstartedServer(mux)
	if s.narrow {
		web.Config.ConnState = func(c net.Conn, state http.ConnState) {
			if tcp, ok := c.(*net.TCPConn); ok && state == http.StateNew {
				_ = tcp.SetWriteBuffer(4 << 10)
			}
		}
	}
	if s.count {
		s.counted.writes = map[string]*atomic.Int64{}
		web.Listener = &listener{web.Listener, &s.counted}
	}
	web.Start()
	s.url = web.URL
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.wheel.Run(ctx) })
	s.close = func() {
		web.Close()
		for _, one := range s.node.Sessions().All() {
			one.Post(session.Terminate{Cause: session.Stopping})
		}
		last, stop := context.WithTimeout(context.Background(), 2*time.Second)
		defer stop()
		s.gate.Wait(last)
		cancel()
		running.Wait()
		s.hub.Close()
		_ = closer.Close()
	}
}

// frame makes the frames of entries, and counts them.
func (s *server) frame(binary bool, payload []byte) []byte {
	s.counted.frame()
	return gateway.Frame(binary, payload)
}

// crash ends the server as a power cut does and starts it again: what was not synced is gone.
func (s *server) crash() {
	s.Helper()
	clone := s.fs.CrashClone(vfs.CrashCloneCfg{})
	s.close()
	s.fs = clone
	s.open()
}

func refOf(channel string) stream.Ref { return stream.Ref{App: appID, Channel: channel} }

// publish appends events whose data are the numbers after the head.
func (s *server) publish(channel string, n int) {
	s.Helper()
	for range n {
		s.event(channel, "e", strconv.FormatUint(s.bounds(channel).Head+1, 10))
	}
}

// event appends one event and gives its serial.
func (s *server) event(channel, name, data string) uint64 {
	s.Helper()
	results, err := s.node.Publish(context.Background(), node.Publish{Ref: refOf(channel), Position: true,
		Entry: stream.Entry{Kind: stream.Create, Event: name, Data: stream.Data{Type: stream.Text, Bytes: []byte(data)}}})
	if err != nil || results[0].Err != nil {
		s.Fatal(err, results)
	}
	return results[0].Entry.Serial
}

// batch appends n events at once, whose data are numbers from first on and a pad.
func (s *server) batch(channel string, first, n int, pad string) {
	s.Helper()
	ps := make([]node.Publish, n)
	for i := range ps {
		data := strconv.Itoa(first+i) + " " + pad
		ps[i] = node.Publish{Ref: refOf(channel), Position: true,
			Entry: stream.Entry{Kind: stream.Create, Event: "e", Data: stream.Data{Type: stream.Text, Bytes: []byte(data)}}}
	}
	if _, err := s.node.Publish(context.Background(), ps...); err != nil {
		s.Fatal(err)
	}
}

func (s *server) bounds(channel string) stream.Bounds {
	s.Helper()
	p, err := s.store.Read(context.Background(), stream.Query{Ref: refOf(channel)})
	if err != nil {
		s.Fatal(err)
	}
	return p.Bounds
}

func (s *server) cut(channel string, kind stream.CutKind, through uint64) {
	s.Helper()
	if _, err := s.store.Cut(context.Background(), stream.Cut{Ref: refOf(channel), Kind: kind, Through: through}); err != nil {
		s.Fatal(err)
	}
}

// call makes a request of the HTTP API and decodes the answer.
func (s *server) call(method, path, body string) (status int, answer map[string]json.RawMessage) {
	s.Helper()
	r, err := http.NewRequest(method, s.url+"/apps/"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		s.Fatal(err)
	}
	secret := appKey + ":" + appSecret
	if strings.HasPrefix(path, otherID) {
		secret = "other-key:" + otherSecret
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		s.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, answer
}

// sign is an auth string of the app's key.
func sign(text string) string {
	mac := hmac.New(sha256.New, []byte(appSecret))
	_, _ = io.WriteString(mac, text)
	return appKey + ":" + hex.EncodeToString(mac.Sum(nil))
}

// each runs a test on every engine.
func each(t *testing.T, f func(t *testing.T, engine string)) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) { f(t, engine) })
	}
}

// numbers are the decimal strings from first to last.
func numbers(first, last uint64) []string {
	all := []string{}
	for n := first; n <= last; n++ {
		all = append(all, fmt.Sprint(n))
	}
	return all
}
