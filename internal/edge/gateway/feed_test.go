package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/filter"
	"github.com/continuo-rt/continuo/internal/core/message"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/conn"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/keyring"
	"github.com/continuo-rt/continuo/internal/run/node"
)

// rig is a server with the feed face alone, over a real socket.
type rig struct {
	*testing.T
	node  *node.Node
	gate  *Gateway
	ring  *keyring.Ring
	store *memory.Store
	url   string
	// encoded counts the frames that the hub has made in its turns.
	encoded atomic.Int64
}

func newRig(t *testing.T, change func(*Options)) *rig {
	now := func() int64 { return time.Now().UnixMilli() }
	a := app.App{ID: "app", Enabled: true, Mode: app.Development, Features: app.DefaultFeatures(app.Development), Keys: []app.Key{{Key: "app-key", Secret: "s", Enabled: true}}, Origins: []string{"https://good.example"}}
	p := app.Default(app.Development)
	p.Feed.Filters = map[string]app.FeedFilter{"sportIds": {Path: "/sportId"}}
	a.Policies = []app.Policy{p}
	made, err := app.New(a)
	if err != nil {
		t.Fatal(err)
	}
	registry, faults := app.NewRegistry(made)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	r := &rig{T: t}
	store := memory.New(memory.Options{Now: now, Rules: func(ref stream.Ref) stream.Rules { return node.Rules(r.node.Apps(), ref) },
		Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold, stream.Presence: corepresence.Fold}})
	h := hub.New(hub.Options{Store: store, Now: now, Frame: Frame, Events: hub.Events{Turn: func(i hub.TurnInfo) { r.encoded.Add(int64(i.Encoded)) }}})
	r.store, r.node = store, node.New(node.Options{Store: store, Hub: h, Apps: registry, Now: now})
	if r.ring, err = keyring.Load(t.Context(), keyring.Options{Records: store, Node: r.node, Now: now}); err != nil {
		t.Fatal(err)
	}
	wheel := conn.NewWheel(now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = wheel.Run(ctx)
	}()
	o := Options{Node: r.node, Wheel: wheel, Now: now, Feed: FeedOptions{Keys: r.ring}}
	if change != nil {
		change(&o)
	}
	r.gate = New(o)
	server := httptest.NewServer(httpHandler(r.gate))
	r.url = "ws" + strings.TrimPrefix(server.URL, "http")
	t.Cleanup(func() {
		server.Close()
		for _, one := range r.node.Sessions().All() {
			one.Post(session.Terminate{Cause: session.Stopping})
		}
		r.gate.Wait(context.Background())
		cancel()
		<-done
		h.Close()
		_ = store.Close()
	})
	return r
}

func (r *rig) publish(channel, key, data string) {
	r.Helper()
	e := stream.Entry{Kind: stream.Create, Event: "UPDATE", Key: key, Data: stream.Data{Type: stream.JSON, Bytes: []byte(data)}}
	if key != "" {
		e.Kind = stream.Put
	}
	results, err := r.node.Publish(r.Context(), node.Publish{Ref: stream.Ref{App: "app", Channel: channel}, Entry: e, Position: true})
	if err != nil || results[0].Err != nil {
		r.Fatal(err, results)
	}
}

// peer is a raw WebSocket client.
type peer struct {
	*testing.T
	net.Conn
	in io.Reader
}

func (r *rig) dial(headers ...string) *peer {
	r.Helper()
	h := map[string][]string{}
	for i := 0; i < len(headers); i += 2 {
		h[headers[i]] = []string{headers[i+1]}
	}
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(h)}
	c, buffered, _, err := d.Dial(r.Context(), r.url+"/feed")
	if err != nil {
		r.Fatal(err)
	}
	p := &peer{T: r.T, Conn: c, in: c}
	if buffered != nil {
		p.in = buffered
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r.Cleanup(func() { _ = c.Close() })
	return p
}

func (p *peer) send(text string) {
	p.Helper()
	if err := ws.WriteFrame(p.Conn, ws.MaskFrame(ws.NewTextFrame([]byte(text)))); err != nil {
		p.Fatal(err)
	}
}

// read gives the next data frame; a close frame as "close CODE".
func (p *peer) read() (string, ws.OpCode) {
	p.Helper()
	for {
		f, err := readFeedFrame(p.in)
		if err != nil {
			p.Fatalf("read: %v", err)
		}
		switch f.Header.OpCode {
		case ws.OpPing:
			_ = ws.WriteFrame(p.Conn, ws.MaskFrame(ws.NewPongFrame(f.Payload)))
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(f.Payload)
			_ = ws.WriteFrame(p.Conn, ws.MaskFrame(ws.NewCloseFrame(f.Payload)))
			return fmt.Sprintf("close %d %s", code, reason), ws.OpClose
		default:
			return string(f.Payload), f.Header.OpCode
		}
	}
}

func (p *peer) want(parts ...string) string {
	p.Helper()
	got, _ := p.read()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			p.Fatalf("got\n%s\nwithout %s", got, part)
		}
	}
	return got
}

type loginOK struct {
	ConnID string
	Resume struct {
		ServerEpoch    string
		ServerEntryIDs map[string]string `json:"serverEntryIds"`
	}
}

func (p *peer) login(frame string) loginOK {
	p.Helper()
	p.send(frame)
	var ok loginOK
	if err := json.Unmarshal([]byte(p.want(`"type":"login_ok"`)), &ok); err != nil {
		p.Fatal(err)
	}
	return ok
}

func TestFeedOverASocket(t *testing.T) {
	r := newRig(t, nil)
	r.publish("scores", "f-1", `{"sportId":1}`)
	first := r.dial()
	ok := first.login(`{"type":"login","apiKey":"app-key","channels":["scores"]}`)
	if ok.ConnID == "" || ok.Resume.ServerEpoch != r.store.Info().Epoch {
		t.Fatalf("%+v", ok)
	}
	r.publish("scores", "f-1", `{"sportId":2}`)
	first.want(`{"channel":"scores","type":"UPDATE","key":"f-1","payload":{"sportId":2},"ts":`, `-2"}`)
	_ = first.Close()
	r.publish("scores", "f-2", `{"sportId":1}`)
	r.publish("scores", "f-2", `{"sportId":2}`)
	again := fmt.Sprintf(`"serverEpoch":%q,"lastSeenId":{"scores":%q}`, ok.Resume.ServerEpoch, ok.Resume.ServerEntryIDs["scores"])
	second := r.dial()
	second.login(`{"type":"login","apiKey":"app-key",` + again + `}`)
	second.want(`"payload":{"sportId":2}`, `-2"`)
	second.want(`"payload":{"sportId":1}`, `-3"`)
	second.want(`"payload":{"sportId":2}`, `-4"`)
	second.want(`{"type":"resume_complete"`, `"replayed":{"scores":3}`)
	filtered := r.dial()
	filtered.login(`{"type":"login","apiKey":"app-key","sportIds":[1],` + again + `}`)
	filtered.want(`"payload":{"sportId":1}`, `-3"`)
	filtered.want(`"replayed":{"scores":1}`)
	r.publish("scores", "f-3", `{"sportId":2}`)
	r.publish("scores", "f-4", `{"sportId":1}`)
	filtered.want(`"key":"f-4"`)
}

func TestFeedBinaryOverASocket(t *testing.T) {
	r := newRig(t, nil)
	text, binary := r.dial(), r.dial()
	text.login(`{"type":"login","apiKey":"app-key","channels":["scores"]}`)
	binary.login(`{"type":"login","apiKey":"app-key","channels":["scores"],"receiveType":"binary"}`)
	r.publish("scores", "f-1", `{"sportId":1,"odds":[1.85,3]}`)
	a, op := text.read()
	if op != ws.OpText {
		t.Fatal(op)
	}
	b, op := binary.read()
	if op != ws.OpBinary {
		t.Fatal(op)
	}
	var m map[string]any
	if err := msgpack.Unmarshal([]byte(b), &m); err != nil {
		t.Fatal(err)
	}
	x, _ := json.Marshal(m)
	var y any
	_ = json.Unmarshal([]byte(a), &y)
	z, _ := json.Marshal(y)
	if !bytes.Equal(x, z) {
		t.Errorf("%s\n%s", x, z)
	}
}

func TestFeedCloses(t *testing.T) {
	hasty := newRig(t, func(o *Options) { o.Feed.LoginTimeout = 20 * time.Millisecond })
	silent := hasty.dial()
	silent.want("login_timeout")
	silent.want("close 4000")
	r := newRig(t, nil)
	for frame, want := range map[string][]string{
		`hello`:                               {`first_message_must_be_login`, "close 4000"},
		`{"type":"login","apiKey":"app-key"}`: {`login_failed`, "close 4000"},
		`{"type":"login","apiKey":"nobody","channels":["a"]}`: {`login_failed`, "close 4000"},
		`{"type":"login","apiKey":7}`:                         {`invalid_login`, "close 4000"},
		`{"type":"login","x":"` + strings.Repeat("x", 70<<10): {"close 1009"},
	} {
		p := r.dial()
		p.send(frame)
		for _, part := range want {
			p.want(part)
		}
	}
	p := r.dial()
	p.login(`{"type":"login","apiKey":"app-key","channels":["a"]}`)
	p.send(`{"type":"ping"}`)
	p.want("unexpected_message")
	p.want("close 4000")
	bad := r.dial("Origin", "https://bad.example")
	bad.send(`{"type":"login","apiKey":"app-key","channels":["a"]}`)
	bad.want("login_failed", "origin")
	good := r.dial("Origin", "https://good.example")
	good.login(`{"type":"login","apiKey":"app-key","channels":["a"]}`)
}

func TestFeedKeysOverASocket(t *testing.T) {
	r := newRig(t, nil)
	given, key, err := r.ring.Create(t.Context(), keyring.Key{App: "app", Channels: []string{"a", "b"}, Connections: 2})
	if err != nil {
		t.Fatal(err)
	}
	frame := fmt.Sprintf(`{"type":"login","apiKey":%q}`, given)
	one, two, three := r.dial(), r.dial(), r.dial()
	one.login(frame)
	two.login(frame)
	three.send(frame)
	three.want("too_many_connections")
	three.want("close 4003")
	if _, err := r.ring.Revoke(t.Context(), "app", key.ID); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*peer{one, two} {
		p.want(`"error":"key_revoked"`)
		p.want("close 4001")
	}
	late := r.dial()
	late.send(frame)
	late.want("key_revoked")
	late.want("close 4001")
}

// unsteady revokes a key between its login and its registration.
type unsteady struct{ FeedKeys }

func (unsteady) Good(string, string) bool { return false }

func TestFeedKeyRevokedDuringTheLogin(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Feed.Keys = unsteady{o.Feed.Keys} })
	p := r.dial()
	p.login(`{"type":"login","apiKey":"app-key","channels":["a"]}`)
	p.want("key_revoked")
	p.want("close 4001")
}

func TestFeedLimitsAndDraining(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxConnections = 2 })
	one := r.dial()
	one.login(`{"type":"login","apiKey":"app-key","channels":["a"]}`)
	waiting := r.dial()
	for r.gate.lobby.count() != 1 { // the upgrade is answered before the session is in the lobby
		runtime.Gosched()
	}
	busy := r.dial()
	busy.want("server_busy")
	busy.want("close 1013")
	r.gate.Draining()
	waiting.want("close 1012")
	for _, s := range r.node.Sessions().All() {
		s.Post(session.Draining{AfterMS: 77})
	}
	one.want(`{"type":"reconnect","reason":"server_upgrade","afterMs":77}`)
	r.publish("a", "k", `1`)
	one.want(`"payload":1`)
}

func TestFeedWithoutKeys(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Feed.Keys = nil })
	p := r.dial()
	p.send(`{"type":"login","apiKey":"app-key","channels":["a"]}`)
	p.want("login_failed")
}

func TestInternForgets(t *testing.T) {
	var i interner
	compile := func(v string) *filter.Set {
		s, err := filter.Compile(filter.Spec{Clauses: []filter.Clause{{Path: "/a", Values: []string{v}}}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a := i.intern(compile("1"))
	if i.intern(compile("1")) != a || i.intern(compile("2")) == a {
		t.Fatal("equal sets must be one")
	}
	runtime.KeepAlive(a)
	for left := -1; left != 0; {
		runtime.GC()
		i.mu.Lock()
		left = len(i.sets)
		i.mu.Unlock()
	}
	i.intern(compile("1"))
}

// A client that never reads costs the server a cursor, and is cut off when its socket has taken nothing for the write
// timeout; the others do not notice.
func TestFeedClientThatNeverReads(t *testing.T) {
	r := newRig(t, func(o *Options) { o.WriteTimeout, o.OutboxBytes = 200*time.Millisecond, 4<<10 })
	stalled, reads := r.dial(), r.dial()
	_ = stalled.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	stalled.send(`{"type":"login","apiKey":"app-key","channels":["a"]}`)
	reads.login(`{"type":"login","apiKey":"app-key","channels":["a"]}`)
	for r.node.Sessions().Len() != 2 {
		runtime.Gosched()
	}
	payload := `"` + strings.Repeat("x", 8<<10) + `"`
	for n := 1; r.node.Sessions().Len() > 1; n++ {
		r.publish("a", "", payload)
		reads.want(fmt.Sprintf(`-%d"}`, n))
		if n > 100_000 {
			t.Fatal("it was never cut off")
		}
	}
}

// readFeedFrame reads one frame, of at most 16 MiB.
func readFeedFrame(in io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(in)
	if err != nil {
		return ws.Frame{}, err
	}
	if h.Length > 16<<20 {
		return ws.Frame{}, fmt.Errorf("a frame of %d bytes", h.Length)
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(in, f.Payload)
	return f, err
}
