package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/edge/httpapi"
)

// operations are one valid request for every endpoint.
var operations = []struct{ method, path, body string }{
	{"POST", "events", `{"name":"e","channel":"d"}`},
	{"POST", "batch_events", `{"batch":[]}`},
	{"GET", "channels", ``},
	{"GET", "channels/c", ``},
	{"GET", "channels/presence-c/users", ``},
	{"POST", "users/u/terminate_connections", `{}`},
	{"POST", "users/u/force_reconnect", ``},
	{"GET", "channels/c/history", ``},
	{"GET", "channels/c/history/state", ``},
	{"POST", "channels/x/history/reset", `{"confirm_channel":"x","confirm_operation":"reset","reason":"r"}`},
	{"POST", "channels/x/history/purge", `{"confirm_channel":"x","confirm_operation":"purge","reason":"r","mode":"all"}`},
	{"GET", "channels/c/messages/1", ``},
	{"GET", "channels/c/messages/1/versions", ``},
	{"POST", "channels/c/messages/1/update", `{"data":"x"}`},
	{"POST", "channels/c/messages/1/append", `{"data":"x"}`},
	{"POST", "channels/c/messages/2/delete", `{}`},
	{"GET", "channels/c/keys/k", ``},
	{"GET", "channels/c/snapshot", ``},
	{"POST", "channels/c/messages/1/annotations", `{"type":"reactions:distinct.v1","name":"like","clientId":"u"}`},
	{"GET", "channels/c/messages/1/annotations", ``},
	{"DELETE", "channels/c/messages/1/annotations/5", ``},
	{"DELETE", "channels/c/keys/k", ``},
}

// credentials are all ways to ask; each gives the target's query and the headers.
var credentials = []struct {
	name   string
	status int // 0: allowed
	code   string
	part   string
	give   func(w *world, method, path, body string) (query string, header []string)
}{
	{"bearer", 0, "", "", func(*world, string, string, string) (string, []string) {
		return "", []string{"Authorization", "Bearer app-key:app-secret"}
	}},
	{"signature", 0, "", "", func(w *world, method, path, body string) (string, []string) {
		return w.signature(method, path, body, w.now()), nil
	}},
	{"body_md5 of an empty body", 0, "", "", func(w *world, method, path, body string) (string, []string) {
		if body != "" {
			return w.signature(method, path, body, w.now()), nil
		}
		q, err := w.key.SignQuery(method, path, "body_md5=d41d8cd98f00b204e9800998ecf8427e", nil, w.now())
		if err != nil {
			w.t.Fatal(err)
		}
		return q, nil
	}},
	{"nothing", 401, "auth_failed", "no credentials", func(*world, string, string, string) (string, []string) { return "", nil }},
	{"another scheme", 401, "auth_failed", "no credentials", func(*world, string, string, string) (string, []string) {
		return "", []string{"Authorization", "Basic YXBwLWtleTphcHAtc2VjcmV0"}
	}},
	{"bearer without secret", 401, "auth_failed", "incomplete", func(*world, string, string, string) (string, []string) {
		return "", []string{"Authorization", "Bearer app-key"}
	}},
	{"wrong secret", 401, "auth_failed", "not that of key", func(*world, string, string, string) (string, []string) {
		return "", []string{"Authorization", "Bearer app-key:app-secre"}
	}},
	{"unknown key", 401, "auth_failed", "not known", func(*world, string, string, string) (string, []string) {
		return "", []string{"Authorization", "Bearer no-key:app-secret"}
	}},
	{"disabled key", 401, "auth_failed", "disabled", func(*world, string, string, string) (string, []string) {
		return "", []string{"Authorization", "Bearer off-key:off-secret"}
	}},
	{"another app's key", 401, "auth_failed", "another app", func(*world, string, string, string) (string, []string) {
		return "", []string{"Authorization", "Bearer other-key:other-secret"}
	}},
	{"signature of another path", 401, "auth_failed", "auth_signature", func(w *world, method, path, body string) (string, []string) {
		return w.signature(method, path+"x", body, w.now()), nil
	}},
	{"signature of another method", 401, "auth_failed", "auth_signature", func(w *world, method, path, body string) (string, []string) {
		return w.signature("PUT", path, body, w.now()), nil
	}},
	{"signature of another body", 401, "auth_failed", "body_md5", func(w *world, method, path, body string) (string, []string) {
		return w.signature(method, path, body+" ", w.now()), nil
	}},
	{"stale signature", 401, "auth_failed", "off by -601 s", func(w *world, method, path, body string) (string, []string) {
		return w.signature(method, path, body, w.now().Add(-601*time.Second)), nil
	}},
	{"early signature", 401, "auth_failed", "off by 601 s", func(w *world, method, path, body string) (string, []string) {
		return w.signature(method, path, body, w.now().Add(601*time.Second)), nil
	}},
	{"changed query", 401, "auth_failed", "auth_signature", func(w *world, method, path, body string) (string, []string) {
		return w.signature(method, path, body, w.now()) + "&limit=1", nil
	}},
	{"incomplete signature", 401, "auth_failed", "auth_timestamp is missing", func(*world, string, string, string) (string, []string) {
		return "auth_key=app-key&auth_signature=" + strings.Repeat("0", 64), nil
	}},
}

func (w *world) signature(method, path, body string, at time.Time) string {
	w.t.Helper()
	q, err := w.key.SignQuery(method, path, "", []byte(body), at)
	if err != nil {
		w.t.Fatal(err)
	}
	return q
}

// TestAuthorization: every operation with every credential.
func TestAuthorization(t *testing.T) {
	other := app.App{ID: "other", Mode: app.Development, Enabled: true, Keys: []app.Key{{Key: "other-key", Secret: "other-secret", Enabled: true}}}
	for _, c := range credentials {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, setup{other: &other})
			for _, body := range []string{`{"name":"e","channel":"c","data":"a"}`, `{"name":"e","channel":"c","data":"b"}`, `{"name":"e","channel":"c","key":"k"}`} {
				w.do("POST", "events", body).is(200, "{}")
			}
			before := len(w.entries("c"))
			if c.status == 0 {
				w.do("POST", "channels/c/messages/1/append", `{"data":"x"}`).is(200, "") // serial 4, so that the reaction is 5 or later
				w.do("POST", "channels/c/messages/1/annotations", `{"type":"reactions:distinct.v1","name":"like","clientId":"u"}`).is(200, `{"annotationSerial":"5"}`)
			}
			for _, o := range operations {
				path := "/apps/app-id/" + o.path
				query, header := c.give(w, o.method, path, o.body)
				a := w.send(o.method, path+"?"+query, o.body, header...)
				if c.status != 0 {
					a.fails(c.status, c.code, c.part)
				} else if a.status != 200 {
					t.Errorf("%s %s: %d %s", o.method, o.path, a.status, a.body)
				}
			}
			if c.status != 0 && (len(w.entries("c")) != before || len(w.entries("d")) != 0) {
				t.Fatal("something was appended")
			}
		})
	}
}

func TestApps(t *testing.T) {
	off := app.App{ID: "off", Keys: []app.Key{{Key: "k", Secret: "s", Enabled: true}}}
	w := newWorld(t, setup{other: &off})
	for _, o := range operations {
		w.send(o.method, "/apps/none/"+o.path, o.body, "Authorization", "Bearer app-key:app-secret").fails(404, "app_not_found", `"none"`)
		w.send(o.method, "/apps/off/"+o.path, o.body, "Authorization", "Bearer k:s").fails(403, "app_disabled", "disabled")
	}
}

// TestInsecureTransport: a secret is not accepted over plain HTTP from another machine, and is not even looked at.
func TestInsecureTransport(t *testing.T) {
	far := func(o *httpapi.Options) {}
	w := newWorld(t, setup{options: far})
	w.from("192.0.2.1:1234")
	w.do("POST", "events", `{"name":"e","channel":"c"}`).fails(403, "insecure_transport", "TLS")
	w.send("POST", "/apps/app-id/events", `{"name":"e","channel":"c"}`, "Authorization", "Bearer app-key:wrong").fails(403, "insecure_transport", "TLS")
	w.signed("POST", "/apps/app-id/events", "", `{"name":"e","channel":"c"}`).is(200, `{}`)
	for _, near := range []string{"127.8.9.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "@", ""} {
		w.from(near)
		w.do("POST", "events", `{"name":"e","channel":"c"}`).is(200, `{}`)
	}
	plain := newWorld(t, setup{options: func(o *httpapi.Options) { o.PlainBearer = true }})
	plain.from("192.0.2.1:1234")
	plain.do("POST", "events", `{"name":"e","channel":"c"}`).is(200, `{}`)
}

// TestHint: in development mode a newcomer is told where the credentials are.
func TestHint(t *testing.T) {
	w := newWorld(t, setup{options: func(o *httpapi.Options) { o.Development = true }})
	a := w.send("GET", "/apps/app-id/channels", "").fails(401, "auth_failed", "printed its key and secret")
	if a.header.Get("WWW-Authenticate") == "" {
		t.Fatal(a.header)
	}
}

// TestRotation: a reload of the apps counts for the next request, and keys that stay keep cursors good.
func TestRotation(t *testing.T) {
	w := newWorld(t, setup{})
	w.publish(3, "")
	cursor := *w.history("?limit=1").NextCursor
	rotated := mustApp(t, app.App{ID: "app-id", Mode: app.Development, Enabled: true, Keys: []app.Key{
		{Key: "app-key", Secret: "app-secret"}, {Key: "new-key", Secret: "new-secret", Enabled: true}}})
	registry, faults := app.NewRegistry(rotated)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	w.node.SetApps(registry)
	w.do("GET", "channels/c/history", "").fails(401, "auth_failed", "disabled")
	a := w.send("GET", "/apps/app-id/channels/c/history?cursor="+cursor, "", "Authorization", "Bearer new-key:new-secret")
	a.is(200, "")
}

// TestRawQueries: queries as SDKs send them, with raw punctuation.
func TestRawQueries(t *testing.T) {
	w := newWorld(t, setup{})
	path := "/apps/app-id/channels"
	for _, query := range []string{"filter_by_prefix=a;b,c@d:e=f", "filter_by_prefix=a%3Bb", "info=subscription_count,", "filter_by_prefix=a+b"} {
		q := query + "&auth_key=app-key&auth_timestamp=" + fmt.Sprint(w.now().Unix()) + "&auth_version=1.0"
		parsed, err := auth.ParseQuery(q)
		if err != nil {
			t.Fatal(err)
		}
		text := "GET\n" + path + "\n"
		names := []string{"auth_key", "auth_timestamp", "auth_version", "filter_by_prefix", "info"}
		for _, n := range names {
			if v, ok := parsed.Get(n); ok {
				if !strings.HasSuffix(text, "\n") {
					text += "&"
				}
				text += n + "=" + v
			}
		}
		w.send("GET", path+"?"+q+"&auth_signature="+w.key.Sign([]byte(text)), "").is(200, `{"channels":{}}`)
	}
	w.do("GET", "channels?a=%zz", "").fails(400, "invalid_input", "percent-encoding")
	w.do("GET", "channels?"+strings.Repeat("a=1&", 100), "").fails(400, "invalid_input", "parameters")
}
