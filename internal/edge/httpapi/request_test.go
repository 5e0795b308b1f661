package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/edge/httpapi"
)

// from makes requests look as if they came from an address.
func (w *world) from(remote string) { w.remote.Store(&remote) }

func TestPaths(t *testing.T) {
	w := newWorld(t, setup{})
	for _, path := range []string{"/apps/app-id", "/apps/app-id/", "/apps//events", "/apps/app-id/event", "/apps/app-id/events/", "/apps/app-id/../app-id/events",
		"/apps/app-id//events", "/apps/app-id/channels/c/", "/apps/app-id/channels/c/history/x", "/apps/app-id/channels/c/%68istory",
		"/apps/app-id/channels/a/b/c/d/e/f/g/h/i", "/apps/app-id/EVENTS"} {
		w.send("GET", path, "", "Authorization", "Bearer app-key:app-secret").fails(404, "not_found", "there is nothing at")
	}
	if a := w.do("GET", "channels/a%zz/history", ""); a.status != 400 { // net/http answers this one itself
		t.Fatal(a)
	}
	w.do("GET", "channels/a%2Fb/history", "").fails(400, "invalid_input", `'/' at byte 1`)
	w.do("GET", "channels/a%00b/history", "").fails(400, "invalid_input", "at byte 1")
	w.do("GET", "channels/a+b/history", "").fails(400, "invalid_input", `'+' at byte 1`)
	w.do("GET", "channels/"+strings.Repeat("c", 201)+"/history", "").fails(400, "invalid_input", "201 bytes")
}

func TestMethods(t *testing.T) {
	w := newWorld(t, setup{})
	tests := []struct{ method, path, allow string }{
		{"GET", "events", "POST"},
		{"PUT", "channels/c", "GET"},
		{"DELETE", "channels/c/messages/1/annotations", "GET, POST"},
		{"OPTIONS", "events", "POST"},
	}
	for _, tt := range tests {
		a := w.do(tt.method, tt.path, "").fails(405, "method_not_allowed", tt.allow)
		if a.header.Get("Allow") != tt.allow {
			t.Fatal(a.header)
		}
	}
}

func TestBodies(t *testing.T) {
	w := newWorld(t, setup{options: func(o *httpapi.Options) { o.BodyLimit = 1000 }, app: func(a *app.App) { a.Limits.PayloadBytes = 100 << 10 }})
	large := `{"name":"e","channel":"c","data":"` + strings.Repeat("x", 1000) + `"}`
	w.do("POST", "events", large).fails(413, "payload_too_large", "1000 bytes")
	w.do("POST", "events", `{"name":"e","channel":"c"}`, "Content-Encoding", "gzip").fails(400, "invalid_input", "gzip")
	w.do("POST", "events", `{"name":"e","channel":"c"}`, "Content-Encoding", "identity").is(200, `{}`)
	w.do("POST", "events", `{"name":"e","channel":"c"}`, "Content-Type", "application/x-www-form-urlencoded").is(200, `{}`)
	raw := func(request string, cutOff bool) (status int, body string) {
		c, err := net.Dial("tcp", w.http.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		if half, ok := c.(*net.TCPConn); ok && cutOff { // net/http takes it for the client's leaving
			_ = half.CloseWrite()
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return 0, err.Error()
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		return res.StatusCode, string(b)
	}
	head := "POST /apps/app-id/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer app-key:app-secret\r\n"
	chunked := head + "Transfer-Encoding: chunked\r\n\r\n"
	if status, body := raw(chunked+"5\r\n{\"nam\r\n15\r\ne\":\"e\",\"channel\":\"c\"}\r\n0\r\n\r\n", false); status != 200 || body != "{}" {
		t.Fatal(status, body)
	}
	if status, body := raw(chunked+"7d0\r\n"+strings.Repeat(" ", 2000)+"\r\n0\r\n\r\n", false); status != 413 {
		t.Fatal(status, body)
	}
	if status, body := raw(chunked+"zz\r\n", false); status != 400 || !strings.Contains(body, "body ended") {
		t.Fatal(status, body)
	}
	if status, body := raw(head+"Content-Length: 100\r\n\r\n{\"name\"", true); status != 400 || !strings.Contains(body, "ended after 7 bytes") {
		t.Fatal(status, body)
	}
	if status, _ := raw("POST http://else.where/apps/app-id/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer app-key:app-secret\r\nContent-Length: 26\r\n\r\n"+
		`{"name":"e","channel":"c"}`, false); status != 200 {
		t.Fatal("an absolute target is a path as well", status)
	}
}

func TestCORS(t *testing.T) {
	open := newWorld(t, setup{})
	a := open.send("OPTIONS", "/apps/app-id/channels/c/snapshot", "", "Origin", "https://page.example", "Access-Control-Request-Method", "GET",
		"Access-Control-Request-Headers", "authorization")
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Authorization") ||
		!strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "DELETE") || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Fatal(a)
	}
	a = open.do("GET", "channels/c/snapshot", "", "Origin", "https://page.example")
	for _, name := range []string{"X-Stream-Id", "X-Serial", "X-Entry-Id", "ETag"} {
		if !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), name) || a.header.Get(name) == "" {
			t.Fatal(name, a.header)
		}
	}
	if a := open.do("GET", "channels/c/snapshot", ""); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Fatal("a request without an origin comes from no page")
	}
	strict := func(a *app.App) { a.Origins = []string{"https://*.example.com"} }
	for name, w := range map[string]*world{
		"of the app":    newWorld(t, setup{app: strict}),
		"of the server": newWorld(t, setup{options: func(o *httpapi.Options) { o.Origins = []string{"https://*.example.com"} }}),
	} {
		a := w.do("GET", "channels", "", "Origin", "https://a.example.com")
		if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "https://a.example.com" || a.header.Get("Vary") != "Origin" {
			t.Fatal(name, a)
		}
		a = w.do("GET", "channels", "", "Origin", "https://a.example.org")
		if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Fatal(name, a)
		}
		w.send("OPTIONS", "/apps/app-id/events", "", "Origin", "https://a.example.org", "Access-Control-Request-Method", "POST").fails(403, "forbidden", "origin")
		// A page may also read why it failed.
		if a := w.send("GET", "/apps/app-id/channels", "", "Origin", "https://a.example.com"); a.status != 401 || a.header.Get("Access-Control-Allow-Origin") == "" {
			t.Fatal(name, a)
		}
	}
}

func TestRateLimits(t *testing.T) {
	w := newWorld(t, setup{app: func(a *app.App) { a.Limits.PublishesPerSecond, a.Limits.ReadsPerSecond = 3, 2 }})
	body := `{"name":"e","channel":"c"}`
	a := w.do("POST", "events", body).is(200, `{}`)
	if a.header.Get("X-RateLimit-Limit") != "3" || a.header.Get("X-RateLimit-Remaining") != "2" || a.header.Get("X-RateLimit-Reset") != "1" {
		t.Fatal(a.header)
	}
	w.do("POST", "batch_events", `{"batch":[`+body+`,`+body+`]}`).is(200, `{}`)
	a = w.do("POST", "events", body).fails(429, "rate_limited", "3 publishes per second")
	if a.header.Get("Retry-After") != "1" || a.header.Get("X-RateLimit-Remaining") != "0" {
		t.Fatal(a.header)
	}
	w.do("POST", "channels/c/messages/1/update", `{"data":"x"}`).fails(429, "rate_limited", "publishes")
	w.do("GET", "channels", "").is(200, "")
	w.do("GET", "channels/c/history", "").is(200, "")
	w.do("GET", "channels/c/snapshot", "").fails(429, "rate_limited", "2 reads per second")
	w.clock.Add(400)
	w.do("POST", "events", body).is(200, `{}`)
	w.clock.Add(10_000)
	w.do("POST", "events", `{"name":"e","channels":["a","b","c","d","e"]}`).is(200, `{}`)
	w.do("POST", "events", body).fails(429, "rate_limited", "")
}

// members is a presence that knows one channel.
type members struct{ fail bool }

func (m members) Users(context.Context, string, string) ([]string, error) {
	if m.fail {
		return nil, fault.New(fault.Unavailable, "not now")
	}
	return []string{"u1", `u"2`}, nil
}

func (m members) Count(context.Context, string, string) (int, error) {
	if m.fail {
		return 0, errors.New("broken")
	}
	return 2, nil
}

func TestChannels(t *testing.T) {
	w := newWorld(t, setup{options: func(o *httpapi.Options) { o.Presence = members{} }})
	w.follow("presence-a", "presence-a", "chat", "#server-to-user-u")
	w.do("GET", "channels?filter_by_prefix=presence-&info=user_count,subscription_count", "").
		is(200, `{"channels":{"presence-a":{"user_count":2,"subscription_count":2}}}`)
	w.do("GET", "channels?filter_by_prefix=ch", "").is(200, `{"channels":{"chat":{}}}`)
	w.do("GET", "channels?filter_by_prefix=x", "").is(200, `{"channels":{}}`)
	if a := w.do("GET", "channels?info=subscription_count", ""); !strings.Contains(a.body, `"chat":{"subscription_count":1}`) || strings.Contains(a.body, "server-to-user") {
		t.Fatal(a.body)
	}
	w.do("GET", "channels?info=user_count", "").fails(400, "invalid_input", "presence")
	w.do("GET", "channels?info=cache", "").fails(400, "invalid_input", "cache")
	w.do("GET", "channels?prefix=x", "").fails(400, "invalid_input", `"prefix" is not known`)
	w.do("GET", "channels/chat", "").is(200, `{"occupied":true}`)
	w.do("GET", "channels/nobody?info=subscription_count", "").is(200, `{"occupied":false,"subscription_count":0}`)
	w.do("GET", "channels/presence-a?info=user_count,subscription_count", "").is(200, `{"occupied":true,"user_count":2,"subscription_count":2}`)
	w.do("GET", "channels/chat?info=user_count", "").fails(400, "invalid_input", "presence")
	w.do("GET", "channels/chat?info=cache", "").fails(400, "invalid_input", "cache channels")
	w.do("GET", "channels/chat?info=position", "").fails(400, "invalid_input", "position")
	w.do("GET", "channels/presence-a/users", "").is(200, `{"users":[{"id":"u1"},{"id":"u\"2"}]}`)
	w.do("GET", "channels/chat/users", "").fails(400, "invalid_input", "presence")
	w.do("GET", "channels/cache-x?info=cache", "").is(200, `{"occupied":false}`)
	w.do("POST", "events", `{"name":"e","channel":"cache-x","data":{"a":1}}`).is(200, `{}`)
	w.clock.Add(1500)
	w.do("GET", "channels/cache-x?info=cache", "").is(200, `{"occupied":false,"cache":{"data":"{\"a\":1}","ttl":3599}}`)
	w.clock.Add(3600_000)
	w.do("GET", "channels/cache-x?info=cache", "").is(200, `{"occupied":false}`)
	bad := newWorld(t, setup{options: func(o *httpapi.Options) { o.Presence = members{fail: true} }})
	bad.do("GET", "channels/presence-a/users", "").fails(503, "service_unavailable", "not now")
	bad.do("GET", "channels/presence-a?info=user_count", "").fails(500, "internal_error", "internal server error")
	nobody := newWorld(t, setup{})
	nobody.do("GET", "channels/presence-a/users", "").is(200, `{"users":[]}`)
}

func TestUsers(t *testing.T) {
	w := newWorld(t, setup{})
	a, b, c := &connection{id: "1.1"}, &connection{id: "2.2"}, &connection{id: "3.3"}
	for _, s := range []*connection{a, b, c} {
		if err := w.node.Sessions().Add("app-id", s, 0); err != nil {
			t.Fatal(err)
		}
	}
	w.node.Sessions().Identify("app-id", a, "u/1")
	w.node.Sessions().Identify("app-id", b, "u/1")
	w.node.Sessions().Identify("app-id", c, "other")
	w.do("POST", "users/u%2F1/terminate_connections", `{}`).is(200, `{"ok":true}`)
	w.do("POST", "users/u%2F1/force_reconnect", ``).is(200, `{"ok":true}`)
	w.do("POST", "users/nobody/force_reconnect", ``).is(200, `{"ok":true}`)
	if len(a.told) != 2 || len(b.told) != 2 || len(c.told) != 0 {
		t.Fatal(a.told, b.told, c.told)
	}
	w.do("POST", "users/"+strings.Repeat("u", 201)+"/force_reconnect", ``).fails(400, "invalid_input", "200 bytes")
}
