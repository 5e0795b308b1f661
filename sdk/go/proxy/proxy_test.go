package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/auth"
)

// backend is a server of the HTTP API that checks signatures and repeats what it was asked.
type backend struct {
	t   *testing.T
	key *auth.Key
	got string // method, path, parameters without the signature's, body
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path, raw := auth.SplitTarget(r.RequestURI)
	q, err := auth.ParseQuery(raw)
	if err != nil {
		b.t.Error(err)
	}
	req := auth.Request{App: "app id", Method: r.Method, Path: path, Query: q, Body: body}
	if _, err := req.Verify(func(id string) *auth.Key {
		if id == "k" {
			return b.key
		}
		return nil
	}, time.Now()); err != nil {
		b.t.Errorf("%s %s: %v", r.Method, r.RequestURI, err)
	}
	b.got = r.Method + " " + path
	for _, p := range q {
		if !auth.IsAuth(p.Name) {
			b.got += " " + p.Name + "=" + p.Value
		}
	}
	if len(body) > 0 {
		b.got += " " + string(body)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "7")
	w.WriteHeader(http.StatusTeapot)
	_, _ = io.WriteString(w, `{"as":"it came"}`)
}

func ask(t *testing.T, h http.Handler, method, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/realtime", strings.NewReader(body)))
	return w
}

func TestForward(t *testing.T) {
	key, err := auth.NewKey("app id", "k", "s", true)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{t: t, key: key}
	server := httptest.NewServer(b)
	defer server.Close()
	o := Options{URL: server.URL + "/", App: "app id", Key: "k", Secret: "s", Authorize: Everyone}
	const ch = "/apps/app%20id/channels/"
	tests := []struct{ body, want string }{
		{`{"channel":"presence-x","params":{"direction":"oldest_first","limit":5,"cursor":null,"start_serial":1},"action":"history"}`,
			"GET " + ch + "presence-x/presence/history direction=oldest_first limit=5 start_serial=1"},
		{`{"channel":"presence-x","action":"history"}`, "GET " + ch + "presence-x/presence/history"},
		{`{"channel":"presence-x","params":{"at_time_ms":1787000000000},"action":"snapshot"}`,
			"GET " + ch + "presence-x/presence/history/snapshot at_time_ms=1787000000000"},
		{`{"channel":"a/b;c,d=e@f:g h+%","params":{"cursor":"a b+c&d=e;f%"},"action":"channel_history"}`,
			"GET " + ch + "a%2Fb%3Bc%2Cd=e@f:g%20h+%25/history cursor=a b+c&d=e;f%"},
		{`{"channel":"room","params":{"until_attach":true,"attach_serial":41,"limit":"2"},"action":"history"}`, "GET " + ch + "room/history end_serial=41 limit=2"},
		{`{"channel":"presence-x","params":{"attach_serial":41},"action":"history"}`, "GET " + ch + "presence-x/history end_serial=41"},
		{`{"channel":"room","messageSerial":"42","action":"get_message"}`, "GET " + ch + "room/messages/42"},
		{`{"channel":"room","messageSerial":"42","params":{"limit":1},"action":"get_message_versions"}`, "GET " + ch + "room/messages/42/versions limit=1"},
		{`{"channel":"room","messageSerial":"42","params":{"type":"reactions:flag.v1","fromSerial":"7","socketId":"1.2"},"action":"list_annotations"}`,
			"GET " + ch + "room/messages/42/annotations fromSerial=7 socketId=1.2 type=reactions:flag.v1"},
		{`{"channel":"room","messageSerial":"42","annotation":{"type":"reactions:distinct.v1","name":"like","clientId":"u1","socketId":"1.2","count":1,"x":1},"action":"publish_annotation"}`,
			"POST " + ch + `room/messages/42/annotations {"clientId":"u1","count":1,"name":"like","socketId":"1.2","type":"reactions:distinct.v1"}`},
		{`{"channel":"room","messageSerial":"42","annotationSerial":"43","socketId":"1.2","action":"delete_annotation"}`,
			"DELETE " + ch + "room/messages/42/annotations/43 socket_id=1.2"},
		{`{"channel":"room","params":{"event":"chat","data":{"a":1},"extras":null},"action":"create"}`,
			`POST /apps/app%20id/events {"channel":"room","data":{"a":1},"info":"position","name":"chat"}`},
		{`{"channel":"room","params":{"message_id":"42","data":"x","event":"chat2","client_id":"u1"},"action":"update"}`,
			"POST " + ch + `room/messages/42/update {"client_id":"u1","data":"x","name":"chat2"}`},
		{`{"channel":"room","params":{"message_id":42,"data":"lo"},"action":"append"}`, "POST " + ch + `room/messages/42/append {"data":"lo"}`},
		{`{"channel":"room","params":{"message_id":"42","reason":"spam"},"action":"delete"}`, "POST " + ch + `room/messages/42/delete {"description":"spam"}`},
	}
	for _, tt := range tests {
		w := ask(t, New(o), "POST", tt.body)
		if b.got != tt.want {
			t.Errorf("%s\nbecame %s\nwant   %s", tt.body, b.got, tt.want)
		}
		if w.Code != http.StatusTeapot || w.Body.String() != `{"as":"it came"}` || w.Header().Get("Retry-After") != "7" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v %s", tt.body, w.Code, w.Header(), w.Body)
		}
	}
	o.Messages = true
	ask(t, New(o), "POST", `{"channel":"presence-x","action":"history"}`)
	if want := "GET " + ch + "presence-x/history"; b.got != want {
		t.Errorf("%s, want %s", b.got, want)
	}
}

func TestAuthorize(t *testing.T) {
	key, _ := auth.NewKey("app id", "k", "s", true)
	b := &backend{t: t, key: key}
	server := httptest.NewServer(b)
	defer server.Close()
	h := New(Options{URL: server.URL, App: "app id", Key: "k", Secret: "s", Authorize: func(r *http.Request, a *Ask) error {
		if !a.Writes() || a.Channel != "room" {
			return errors.New("not for you")
		}
		a.ClientID = "the real one"
		return nil
	}})
	w := ask(t, h, "POST", `{"channel":"room","action":"channel_history"}`)
	if w.Code != 403 || !strings.Contains(w.Body.String(), `{"error":"not for you","code":"forbidden","status":403}`) || b.got != "" {
		t.Fatal(w.Code, w.Body, b.got)
	}
	ask(t, h, "POST", `{"channel":"room","params":{"message_id":"1","data":"x","client_id":"somebody else"},"action":"append"}`)
	if !strings.Contains(b.got, `"client_id":"the real one"`) {
		t.Fatal(b.got)
	}
	if w := ask(t, New(Options{URL: server.URL}), "POST", `{"channel":"room","action":"history"}`); w.Code != 403 {
		t.Fatal("a proxy without Authorize lets", w.Code)
	}
}

func TestBadRequests(t *testing.T) {
	h := New(Options{URL: "http://127.0.0.1:1", App: "a", Key: "k", Secret: "s", Authorize: Everyone})
	for body, want := range map[string]string{
		``:                                       "not the JSON",
		`[]`:                                     "not the JSON",
		`{}{}`:                                   "more than one",
		`{"action":"history"}`:                   "names no channel",
		`{"channel":"..","action":"history"}`:    "another path",
		`{"channel":"x"}`:                        "is not known",
		`{"channel":"x","action":"delete all"}`:  "is not known",
		`{"channel":"x","action":"get_message"}`: "serial of a message",
		`{"channel":"x","action":"update","params":{}}`:                    "serial of a message",
		`{"channel":"x","action":"create","params":{"data":1}}`:            "needs an event",
		`{"channel":"x","action":"delete_annotation","messageSerial":"1"}`: "serial of an annotation",
		`{"channel":"x","action":"history","params":{"limit":[1]}}`:        "limit is neither",
		`{"channel":"x","action":"history","params":{"limit":{"$gt":1}}}`:  "limit is neither",
		`{"channel":["x"],"action":"history"}`:                             "not the JSON",
	} {
		if w := ask(t, h, "POST", body); w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %s", body, w.Code, w.Body, want)
		}
	}
	if w := ask(t, h, "GET", ""); w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Error(w.Code)
	}
	if w := ask(t, h, "POST", `{"channel":"`+strings.Repeat("x", 1<<20)+`"}`); w.Code != 413 {
		t.Error(w.Code)
	}
	if w := ask(t, h, "POST", `{"channel":"x","action":"history"}`); w.Code != 502 || !strings.Contains(w.Body.String(), "service_unavailable") {
		t.Error(w.Code, w.Body)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"channel":"x","params":{"limit":1},"action":"history"}`))
	f.Add([]byte(`{"channel":"x","messageSerial":"1","annotation":{"type":"t"},"action":"publish_annotation"}`))
	h := New(Options{App: "a"})
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parse(body)
		if err != nil {
			return
		}
		if c, err := h.call(a); err == nil && (!strings.HasPrefix(c.path, "/apps/a/") || strings.Contains(c.path, "/../") || strings.Contains(c.path, "?")) {
			t.Fatalf("%s asks for %s", body, c.path)
		}
	})
}

func Example() {
	signedIn := func(r *http.Request) (user string, ok bool) { return "ann", true } // the application's own

	http.Handle("POST /realtime", New(Options{
		URL: "http://127.0.0.1:6001", App: "app-id", Key: "app-key", Secret: "app-secret",
		Authorize: func(r *http.Request, ask *Ask) error {
			user, ok := signedIn(r)
			if !ok || ask.Writes() && ask.Channel != "room-of-"+user {
				return errors.New("sign in first")
			}
			ask.ClientID = user
			return nil
		},
	}))
}
