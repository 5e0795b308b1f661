package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/token"
)

var all = []auth.RoomClaim{{Pattern: "*", Can: app.RoomRights()}}

// makeToken signs a token of the rig's app.
func makeToken(t *testing.T, user string, ttl time.Duration) string {
	t.Helper()
	raw, err := token.Make(auth.Claims{App: "app", Subject: user, Expires: time.Now().Add(ttl), Rooms: all}, "s")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// visit opens a session of the rooms face; the handshake's status is returned when it fails.
func (r *rig) visit(query string, headers ...string) (*peer, int, string) {
	r.Helper()
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	var body bytes.Buffer
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(h), OnStatusError: func(_ int, _ []byte, resp io.Reader) {
		parsed, err := http.ReadResponse(bufio.NewReader(resp), nil)
		if err == nil {
			_, _ = io.Copy(&body, parsed.Body)
			_ = parsed.Body.Close()
		}
	}}
	if p := h.Get("Sec-WebSocket-Protocol"); p != "" {
		h.Del("Sec-WebSocket-Protocol")
		d.Protocols = strings.Split(p, ", ")
	}
	c, buffered, _, err := d.Dial(r.Context(), r.url+"/rooms"+query)
	var status ws.StatusError
	if errors.As(err, &status) {
		return nil, int(status), body.String()
	}
	if err != nil {
		r.Fatal(err)
	}
	p := &peer{T: r.T, Conn: c, in: c}
	if buffered != nil {
		p.in = buffered
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r.Cleanup(func() { _ = c.Close() })
	return p, 0, ""
}

// enter opens a session of a user and reads its greeting.
func (r *rig) enter(user string) (*peer, greeting) {
	r.Helper()
	p, status, body := r.visit("", "Authorization", "Bearer "+makeToken(r.T, user, time.Hour))
	if p == nil {
		r.Fatalf("%d %s", status, body)
	}
	return p, p.greeted()
}

type greeting struct {
	Session string `json:"session_id"`
	Secret  string `json:"session_secret"`
	User    string `json:"user_id"`
}

func (p *peer) greeted() (g greeting) {
	p.Helper()
	if err := json.Unmarshal([]byte(p.want(`"kind":"server.hello"`)), &g); err != nil {
		p.Fatal(err)
	}
	return g
}

func TestRoomsCredentials(t *testing.T) {
	r := newRig(t, nil)
	raw := makeToken(t, "ann", time.Hour)
	for name, open := range map[string]func() (*peer, int, string){
		"subprotocol": func() (*peer, int, string) {
			return r.visit("?token=ignored", "Sec-WebSocket-Protocol", "continuo.rooms.v1, continuo.token."+raw)
		},
		"header": func() (*peer, int, string) { return r.visit("?token=ignored", "Authorization", "bearer "+raw) },
		"query":  func() (*peer, int, string) { return r.visit("?token=" + raw) },
	} {
		t.Run(name, func(t *testing.T) {
			p, status, body := open()
			if p == nil {
				t.Fatalf("%d %s", status, body)
			}
			if g := p.greeted(); g.User != "ann" || len(g.Session) != 32 || len(g.Secret) != 32 {
				t.Fatalf("%+v", g)
			}
		})
	}
	p, _, _ := r.visit("")
	if g := p.greeted(); !strings.HasPrefix(g.User, "anon-") {
		t.Fatalf("%+v", g)
	}
}

// production is the rig's app as it would be on the open net: its policies give anonymous sessions nothing.
func production(t *testing.T, change func(*app.App)) *app.Registry {
	t.Helper()
	a := app.App{ID: "app", Enabled: true, Keys: []app.Key{{Key: "app-key", Secret: "s", Enabled: true}, {Key: "old", Secret: "x"}}}
	if change != nil {
		change(&a)
	}
	made, err := app.New(a)
	if err != nil {
		t.Fatal(err)
	}
	registry, _ := app.NewRegistry(made)
	return registry
}

func signed(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	base := jwt.MapClaims{"app": "app", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range claims {
		base[k] = v
	}
	raw, err := jwt.NewWithClaims(method, base).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRoomsRefusedTokens(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	down := false
	r := newRig(t, func(o *Options) {
		o.Node.SetApps(production(t, func(a *app.App) { a.Rooms = app.RoomsAuth{JWKSURL: "https://issuer.example/keys", Issuer: "issuer"} }))
		o.Rooms.Keys = func(of app.RoomsAuth, h token.Header) ([]crypto.PublicKey, error) {
			if down {
				return nil, errors.New("the issuer is down")
			}
			return []crypto.PublicKey{public}, nil
		}
	})
	hs := func(c jwt.MapClaims) string { return signed(t, jwt.SigningMethodHS256, []byte("s"), c) }
	ed := func(c jwt.MapClaims) string { return signed(t, jwt.SigningMethodEdDSA, private, c) }
	none := signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil)
	for _, test := range []struct {
		name, raw string
		status    int
		says      string
	}{
		{"nothing", "", 401, "a token is missing"},
		{"garbage", "garbage", 401, "malformed"},
		{"another key", signed(t, jwt.SigningMethodHS256, []byte("another"), nil), 401, "signature is wrong"},
		{"the secret of a disabled key", signed(t, jwt.SigningMethodHS256, []byte("x"), nil), 401, "signature is wrong"},
		{"the public key as a secret", signed(t, jwt.SigningMethodHS256, []byte(public), jwt.MapClaims{"iss": "issuer"}), 401, "signature is wrong"},
		{"alg none", none, 401, "algorithm"},
		{"another algorithm", signed(t, jwt.SigningMethodHS512, []byte("s"), nil), 401, "algorithm"},
		{"another app", hs(jwt.MapClaims{"app": "other"}), 401, "not known"},
		{"no app", hs(jwt.MapClaims{"app": ""}), 401, "names no app"},
		{"no subject", hs(jwt.MapClaims{"sub": ""}), 401, "claim sub is missing"},
		{"a subject with a zero byte", hs(jwt.MapClaims{"sub": "a\x00b"}), 401, "zero byte"},
		{"a subject too long", hs(jwt.MapClaims{"sub": strings.Repeat("x", 161)}), 401, "161 bytes"},
		{"expired", hs(jwt.MapClaims{"exp": time.Now().Add(-time.Second).Unix()}), 401, "expired"},
		{"for ever", hs(jwt.MapClaims{"exp": nil}), 401, "exp"},
		{"not yet valid", hs(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()}), 401, "not valid yet"},
		{"huge", hs(jwt.MapClaims{"info": strings.Repeat("x", token.MaxBytes)}), 401, "more than"},
		{"unknown rights", hs(jwt.MapClaims{"rooms": []any{map[string]any{"pattern": "*", "can": []string{"rule"}}}}), 401, "no right called"},
		{"rooms of another form", hs(jwt.MapClaims{"rooms": "*"}), 401, "wrong type"},
		{"another issuer", ed(jwt.MapClaims{"iss": "elsewhere"}), 401, "issuer"},
		{"keys that are down", ed(jwt.MapClaims{"iss": "issuer", "down": true}), 503, "cannot be read now"},
		{"good", hs(nil), 0, ""},
		{"good, by a public key", ed(jwt.MapClaims{"iss": "issuer"}), 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			down = test.status == 503
			query := ""
			if test.raw != "" {
				query = "?token=" + test.raw
			}
			_, status, body := r.visit(query)
			var v struct {
				Error, Code string
				Status      int
			}
			if status != test.status || status != 0 && (json.Unmarshal([]byte(body), &v) != nil || v.Status != status || !strings.Contains(v.Error, test.says)) {
				t.Errorf("%d %s, want %d … %s", status, body, test.status, test.says)
			}
		})
	}
}

func TestRoomsOriginsAndApps(t *testing.T) {
	r := newRig(t, nil)
	if _, status, body := r.visit("", "Origin", "https://bad.example"); status != 403 || !strings.Contains(body, `"forbidden"`) {
		t.Errorf("another origin: %d %s", status, body)
	}
	if p, status, body := r.visit("", "Origin", "https://good.example"); p == nil {
		t.Errorf("the app's origin: %d %s", status, body)
	}
	if _, status, body := r.visit("?app=other"); status != 401 || !strings.Contains(body, "there is no app") {
		t.Errorf("an app that is none: %d %s", status, body)
	}
	r.node.SetApps(production(t, func(a *app.App) { a.Enabled = false }))
	if _, status, body := r.visit("?token=" + makeToken(t, "ann", time.Hour)); status != 403 || !strings.Contains(body, "app_disabled") {
		t.Errorf("a disabled app: %d %s", status, body)
	}
	r.node.SetApps(production(t, func(a *app.App) {
		p := app.Default(app.Production)
		p.Pattern, p.Anonymous = "lobby-*", []string{"join"}
		a.Policies = []app.Policy{p}
	}))
	p, status, body := r.visit("")
	if p == nil {
		t.Fatalf("%d %s", status, body)
	}
	p.greeted()
	p.send(`{"kind":"client.join","room_id":"lobby-1"}`)
	p.want(`"kind":"room.joined"`)
	p.send(`{"kind":"chat.send","room_id":"lobby-1","text":"x"}`)
	p.want(`"code":"unauthorized"`)
	p.send(`{"kind":"client.join","room_id":"room"}`)
	p.want(`"code":"unauthorized"`)
}

func TestRoomsOverASocket(t *testing.T) {
	l := newMembers(t)
	a, _ := l.enter("ann")
	b, _ := l.enter("bob")
	a.send(`{"kind":"client.join","room_id":"room","presence":"enter"}`)
	a.want(`"kind":"room.joined"`, `"members":[{"user_id":"ann"}]`, `"presence_id":1`)
	b.send(`{"kind":"client.join","room_id":"room","presence":"watch"}`)
	b.want(`"kind":"room.joined"`, `"members":[{"user_id":"ann"}]`)
	b.send(`{"kind":"chat.send","room_id":"room","text":"hello","correlation_id":"1"}`)
	a.want(`{"kind":"chat.message","room_id":"room","event_id":1,"message_id":"1","sender":"bob","ts":`, `"text":"hello"}`)
	got := []string{b.want("room"), b.want("room")} // the acknowledgement and the echo, in either order
	if joined := strings.Join(got, "\n"); !strings.Contains(joined, `"chat.accepted"`) || !strings.Contains(joined, `"chat.message"`) {
		t.Fatal(joined)
	}
	a.send(`{"kind":"message.append","room_id":"room","message_id":"1","text":"!"}`)
	a.want(`"kind":"message.a`)
	a.want(`"kind":"message.a`)
	b.want(`"kind":"message.append"`, `"text":"!"`, `"version":2`)
	b.send(`{"kind":"client.history","room_id":"room","limit":1}`)
	b.want(`"kind":"room.history"`, `"text":"hello!"`, `"version":2`, `"has_more":false`)
	b.send(`{"kind":"client.presence","room_id":"room"}`)
	b.want(`"kind":"room.presence"`, `"user_id":"ann"`)
	_ = a.Close()
	r := l.rig
	for range 3 {
		r.publish("room", "", `{"n":1}`)
		b.want(`"payload":{"n":1}`)
	}
	b.send(`{"kind":"client.history","room_id":"room","limit":2}`)
	var page struct {
		Next string `json:"next_cursor"`
	}
	if err := json.Unmarshal([]byte(b.want(`"event_id":5`, `"event_id":4`, `"has_more":true`)), &page); err != nil {
		t.Fatal(err)
	}
	b.send(fmt.Sprintf(`{"kind":"client.history","room_id":"room","limit":5,"cursor":%q}`, page.Next))
	b.want(`"event_id":3`, `"event_id":1`, `"has_more":false`)
	b.send(fmt.Sprintf(`{"kind":"client.history","room_id":"other","cursor":%q}`, page.Next))
	b.want(`"code":"invalid_frame"`, "belongs to the channel")
	b.send(`{"kind":"client.history","room_id":"room","after":3}`)
	b.want(`"items":[{"kind":"chat.message","room_id":"room","event_id":4,`)
}

func TestRoomsAdoption(t *testing.T) {
	l := newMembers(t)
	a, first := l.enter("ann")
	a.send(`{"kind":"client.join","room_id":"room","presence":"enter"}`)
	a.want("room.joined")
	w, _ := l.enter("eve")
	w.send(`{"kind":"client.join","room_id":"room","presence":"watch"}`)
	w.want("room.joined", `"ann"`)

	thief, own := l.enter("eve") // with the right secret, but as another user
	thief.send(fmt.Sprintf(`{"kind":"client.hello","session_id":%q,"session_secret":%q}`, first.Session, first.Secret))
	if g := thief.greeted(); g.Session != own.Session {
		t.Fatalf("another user adopted the session: %+v", g)
	}
	b, _ := l.enter("ann")
	b.send(fmt.Sprintf(`{"kind":"client.hello","session_id":%q,"session_secret":%q}`, first.Session, first.Secret))
	if g := b.greeted(); g.Session != first.Session || g.Secret != first.Secret {
		t.Fatalf("%+v, want the session %+v", g, first)
	}
	a.want("close 4409")
	b.send(`{"kind":"client.join","room_id":"room","presence":"enter"}`)
	b.want("room.joined", fmt.Sprintf(`"session_id":%q`, first.Session))

	// The adopted id is the session's own: what hides from it by that id is not sent to it.
	ref := stream.Ref{App: "app", Channel: "room"}
	hidden := stream.Entry{Kind: stream.Create, Event: "e", Conn: first.Session, NoEcho: true}
	if _, err := l.node.Publish(context.Background(), node.Publish{Ref: ref, Entry: hidden}, node.Publish{Ref: ref, Entry: stream.Entry{Kind: stream.Create, Event: "seen"}}); err != nil {
		t.Fatal(err)
	}
	b.want(`"event":"seen"`)
	if one, ok := l.node.Sessions().ByID("app", first.Session); !ok || one == nil {
		t.Error("the session is not found by the id that it goes by")
	}
	w.want(`"event":"e"`) // and nobody was told that ann went or came
	w.want(`"event":"seen"`)

	c, _ := l.enter("ann") // adopted once more
	c.send(fmt.Sprintf(`{"kind":"client.hello","session_id":%q,"session_secret":%q}`, first.Session, first.Secret))
	c.greeted()
	b.want("close 4409")
}

func TestRoomsTooLargeAndTooMany(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxConnections = 1 })
	p, _, _ := r.visit("")
	p.greeted()
	second, _, _ := r.visit("")
	second.want("close 4302")
	p.send(`{"kind":"client.ping","x":"` + strings.Repeat("x", 256<<10) + `"}`)
	p.want("close 4413")
}

func TestRoomsRenewal(t *testing.T) {
	r := newRig(t, nil)
	p, _, _ := r.visit("?token=" + makeToken(t, "ann", 20*time.Second))
	p.greeted()
	p.want(`"kind":"server.token_expiring"`)
	p.send(fmt.Sprintf(`{"kind":"client.auth","token":%q,"correlation_id":"bob"}`, makeToken(t, "bob", time.Hour)))
	p.want(`"code":"unauthorized"`, `"correlation_id":"bob"`)
	p.send(`{"kind":"client.auth","token":"garbage"}`)
	p.want(`"code":"unauthorized"`, "malformed")
	p.send(fmt.Sprintf(`{"kind":"client.auth","token":%q}`, makeToken(t, "ann", time.Hour)))
	p.want(`"kind":"server.auth_ok"`)
	for _, one := range r.node.Sessions().OfUser("app", "ann") {
		one.Post(session.Terminate{Cause: session.ByApp})
	}
	p.want("close 4403")
}

// get asks for a snapshot.
func (r *rig) get(path, bearer string, headers ...string) (*http.Response, map[string]any) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http"+strings.TrimPrefix(r.url, "ws")+path, nil)
	if err != nil {
		r.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var v map[string]any
	raw, _ := io.ReadAll(resp.Body)
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &v); err != nil {
			r.Fatalf("%s: %s", path, raw)
		}
	}
	return resp, v
}

func TestRoomsSnapshot(t *testing.T) {
	l := newMembers(t)
	r := l.rig
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	a, _ := l.enter("ann")
	a.send(`{"kind":"client.join","room_id":"room","presence":"enter"}`)
	a.want("room.joined")
	r.publish("room", "b", `{"n":1}`)
	r.publish("room", "a", `{"n":2}`)
	r.publish("room", "", `{"n":3}`)
	r.publish("room", "", `{"n":4}`)
	r.publish("room", "b", `{"n":5}`)
	bearer := makeToken(t, "ann", time.Hour)
	resp, v := r.get("/rooms/room/snapshot", bearer, "Origin", "https://good.example")
	if resp.StatusCode != 200 || resp.Header.Get("X-Event-Id") != "5" || resp.Header.Get("X-Stream-Id") != v["stream_id"] ||
		!strings.HasPrefix(resp.Header.Get("Cache-Control"), "private") || resp.Header.Get("Access-Control-Allow-Origin") != "https://good.example" ||
		!strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "X-Event-Id") {
		t.Fatalf("%v %v", resp.Header, v)
	}
	var seen []string
	for _, m := range v["messages"].([]any) {
		seen = append(seen, fmt.Sprint(m.(map[string]any)["event_id"], m.(map[string]any)["payload"]))
	}
	if got := strings.Join(seen, " "); got != "2 map[n:2] 5 map[n:5] 3 map[n:3] 4 map[n:4]" || v["event_id"] != 5.0 || v["has_more"] != false || v["member_count"] != 1.0 {
		t.Fatalf("%s of %v", got, v)
	}
	if again, _ := r.get("/rooms/room/snapshot", bearer, "If-None-Match", resp.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("the same again: %d", again.StatusCode)
	}
	paged := 0
	for path := "/rooms/room/snapshot?limit=1"; path != ""; {
		_, v := r.get(path, bearer)
		paged += len(v["messages"].([]any))
		path = ""
		if next, ok := v["next_cursor"].(string); ok {
			path = "/rooms/room/snapshot?limit=1&cursor=" + next
			r.publish("room", "", `{"late":true}`) // not in what is paged
		}
	}
	if paged != 4 {
		t.Errorf("%d messages in pages of one, want 4", paged)
	}
	for _, test := range []struct {
		path, bearer string
		status       int
	}{
		{"/rooms/room/snapshot?limit=0", bearer, 400}, {"/rooms/room/snapshot?at=5", bearer, 400}, {"/rooms/room/snapshot?cursor=x", bearer, 400},
		{"/rooms/a%20b/snapshot", bearer, 400}, {"/rooms/%23server-to-user-bob/snapshot", bearer, 403}, {"/rooms/room", bearer, 404},
		{"/rooms/room/other/snapshot", bearer, 404}, {"/rooms/room/snapshot", "garbage", 401}, {"/rooms/room/snapshot?token=" + bearer, "", 200},
	} {
		if resp, v := r.get(test.path, test.bearer); resp.StatusCode != test.status || test.status != 200 && v["code"] == nil {
			t.Errorf("%s: %d %v, want %d", test.path, resp.StatusCode, v, test.status)
		}
	}
	noHistory, err := token.Make(auth.Claims{App: "app", Subject: "ann", Expires: time.Now().Add(time.Hour), Rooms: []auth.RoomClaim{{Pattern: "*", Can: []string{"join"}}}}, "s")
	if err != nil {
		t.Fatal(err)
	}
	if resp, _ := r.get("/rooms/room/snapshot", noHistory); resp.StatusCode != 403 {
		t.Errorf("without the right: %d", resp.StatusCode)
	}
}

// TestRoomsLargePages scrolls through messages that appends have made large: pages are as long as the outbox lets them be.
func TestRoomsLargePages(t *testing.T) {
	r := newRig(t, nil)
	ref := stream.Ref{App: "app", Channel: "room"}
	text := stream.Data{Type: stream.Text, Bytes: bytes.Repeat([]byte("x"), 5000)}
	for i := range 20 {
		ps := []node.Publish{{Ref: ref, Entry: stream.Entry{Kind: stream.Create, Event: "chat.message", Data: text}}}
		for range 5 {
			ps = append(ps, node.Publish{Ref: ref, Entry: stream.Entry{Kind: stream.Append, Message: uint64(6*i + 1), Data: text}})
		}
		if _, err := r.node.Publish(t.Context(), ps...); err != nil {
			t.Fatal(err)
		}
	}
	p, _, _ := r.visit("")
	p.greeted()
	ask, pages, items := `{"kind":"client.history","room_id":"room"}`, 0, 0
	for ask != "" {
		p.send(ask)
		var page struct {
			Items []struct{ Text string }
			Next  string `json:"next_cursor"`
		}
		if err := json.Unmarshal([]byte(p.want(`"kind":"room.history"`)), &page); err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			if len(item.Text) != 30_000 {
				t.Fatalf("a message of %d bytes", len(item.Text))
			}
		}
		pages, items, ask = pages+1, items+len(page.Items), ""
		if page.Next != "" {
			ask = fmt.Sprintf(`{"kind":"client.history","room_id":"room","cursor":%q}`, page.Next)
		}
	}
	if items != 20 || pages != 10 {
		t.Errorf("%d messages in %d pages, want 20 in 10", items, pages)
	}
}

// TestRoomsSnapshotStitches resumes from every snapshot: nothing is missed, nothing is there twice.
func TestRoomsSnapshotStitches(t *testing.T) {
	r := newRig(t, nil)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	for i := range 10 {
		r.publish("room", "", fmt.Sprintf(`{"n":%d}`, i+1))
		_, v := r.get("/rooms/room/snapshot", "")
		r.publish("room", "", fmt.Sprintf(`{"n":%d}`, -i-1))
		if got := len(v["messages"].([]any)); got != 2*i+1 {
			t.Fatalf("%d messages after %d publishes", got, 2*i+1)
		}
		p, _, _ := r.visit("")
		p.greeted()
		p.send(fmt.Sprintf(`{"kind":"client.join","room_id":"room","resume_from":%v,"stream_id":%q}`, v["event_id"], v["stream_id"]))
		p.want(`"resumed":true`, `"replaying":1`)
		p.want(fmt.Sprintf(`"event_id":%d,`, 2*i+2), fmt.Sprintf(`"payload":{"n":%d}`, -i-1))
		p.want(`"kind":"room.resumed"`)
	}
}
