package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// serve serves a world as the server does and gives its address.
func serve(t *testing.T, w *world) string {
	s := httptest.NewUnstartedServer(w.api)
	s.Config.MaxHeaderBytes = 4 << 10
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// talk sends bytes as they are and reads what comes back until the server ends the connection or has answered.
func talk(t *testing.T, c net.Conn, request string) (status int, body string) {
	t.Helper()
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err.Error()
	}
	b, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res.StatusCode, string(b)
}

const (
	bearer = "Host: x\r\nAuthorization: Bearer app-key:app-secret\r\n"
	good   = `{"name":"e","channel":"bad"}`
)

// post is a request of the API with a body.
func post(target, headers, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", target, headers, len(body), body)
}

// publishBody is a publish with a Bearer credential.
func publishBody(body string) string { return post("/apps/app-id/events", bearer, body) }

// bad is bytes on a socket and what is answered: status 0 is a connection that ends without an answer.
type bad struct {
	name, request string
	status        int
	part          string
}

func (b bad) on(t *testing.T, c net.Conn) {
	t.Helper()
	if status, body := talk(t, c, b.request); status != b.status || !strings.Contains(body, b.part) {
		t.Errorf("answer %d %s\n  want %d …%s…", status, body, b.status, b.part)
	}
}

func badRequests(w *world) []bad {
	stale := func(by time.Duration) string {
		return post("/apps/app-id/events?"+w.signature("POST", "/apps/app-id/events", good, w.now().Add(by)), "Host: x\r\n", good)
	}
	sign := func(query, body string) string {
		q, err := w.key.SignQuery("POST", "/apps/app-id/events", query, []byte(body), w.now())
		if err != nil {
			w.t.Fatal(err)
		}
		return q
	}
	return []bad{
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "400 Bad Request"},
		{"a huge header", "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 16<<10) + "\r\n\r\n", 431, "431 Request Header Fields Too Large"},
		{"an absurd length", "POST /apps/app-id/events HTTP/1.1\r\n" + bearer + "Content-Length: 9223372036854775807\r\n\r\n{}", 413, "10485760 bytes allowed"},
		{"a negative length", "POST /apps/app-id/events HTTP/1.1\r\n" + bearer + "Content-Length: -1\r\n\r\n{}", 400, "400 Bad Request"},
		{"two lengths", "POST /apps/app-id/events HTTP/1.1\r\n" + bearer + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "400 Bad Request"},
		{"length and chunks", "POST /apps/app-id/events HTTP/1.1\r\n" + bearer + "Content-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\n{}", 501, ""},
		{"no JSON", publishBody("name=e&channel=bad"), 400, `"code":"invalid_input"`},
		{"invalid UTF-8", publishBody("{\"name\":\"e\",\"channel\":\"bad\",\"data\":\"\xff\"}"), 400, "not valid UTF-8"},
		{"nested deeply", publishBody(`{"name":"e","channel":"bad","data":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`), 400, "nested more than"},
		{"huge", publishBody(`{"name":"e","channel":"bad","data":"` + strings.Repeat("x", 1<<20) + `"}`), 413, "data has 1048576 bytes, more than the 10240 allowed"},
		{"a member twice", publishBody(`{"name":"e","channel":"bad","channel":"other"}`), 400, `the member \"channel\" is there twice`},
		{"a member of the wrong type", publishBody(`{"name":1,"channel":"bad"}`), 400, `"field":"name"`},
		{"two values", publishBody(good + good), 400, `"code":"invalid_input"`},
		{"a stale timestamp", stale(-601 * time.Second), 401, "off by -601 s"},
		{"a timestamp of the future", stale(601 * time.Second), 401, "off by 601 s"},
		{"a timestamp that is none", post("/apps/app-id/events?auth_key=app-key&auth_timestamp=soon&auth_version=1.0&auth_signature="+strings.Repeat("0", 64), "Host: x\r\n", good), 401, `the auth_timestamp \"soon\" is not a number`},
		{"a signature that is none", post("/apps/app-id/events?auth_key=app-key&auth_timestamp=1&auth_version=1.0&auth_signature=x", "Host: x\r\n", good), 401, "auth_"},
		{"a body that was not signed", post("/apps/app-id/events?"+sign("", good), "Host: x\r\n", strings.Replace(good, "bad", "bat", 1)), 401, "body_md5"},
		{"another operation than was signed", post("/apps/app-id/batch_events?"+sign("", good), "Host: x\r\n", good), 401, "auth_signature"},
		{"a parameter twice", post("/apps/app-id/events?"+sign("", good)+"&auth_key=app-key", "Host: x\r\n", good), 400, `\"auth_key\" is given twice`},
		{"dots in the path", post("/apps/../apps/app-id/events", bearer, good), 404, "there is nothing at"},
		{"encoded dots", post("/apps/%2e%2e/app-id/events", bearer, good), 404, "there is nothing at"},
		{"an encoded slash", post("/apps/app-id%2Fevents", bearer, good), 404, "there is nothing at"},
		{"a zero byte", post("/apps/app-id%00/events", bearer, good), 404, `there is no app \"app-id\\x00\"`},
		{"no path", post("*", bearer, good), 404, "there is nothing at"},
		{"no percent encoding", post("/apps/app-id/ev%zznts", bearer, good), 400, "400 Bad Request"},
		{"a parameter that is not known", post("/apps/app-id/events?x=a;b", bearer, good), 400, `the query parameter \"x\" is not known`},
	}
}

// Whatever comes over a socket is answered precisely, and nothing of it reaches the log.
func TestBadRequests(t *testing.T) {
	w := newWorld(t, setup{})
	address := serve(t, w)
	tests := badRequests(w)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			tt.on(t, c)
		})
	}
	logged := 0
	for _, channel := range []string{"bad", "bat", "other"} {
		logged += len(w.entries(channel))
	}
	if logged != 0 {
		t.Fatalf("%d entries reached the log", logged)
	}
	t.Logf("summary: bad input: %d bad requests, each with a precise answer, nothing reached the log", len(tests))
}

// only is a listener with one connection, which is in memory, so that time is fake in a bubble.
type only struct {
	net.Conn
	taken atomic.Bool
	done  chan struct{}
}

func (o *only) Accept() (net.Conn, error) {
	if !o.taken.Swap(true) {
		return o.Conn, nil
	}
	<-o.done
	return nil, net.ErrClosed
}

func (o *only) Close() error   { close(o.done); return nil }
func (o *only) Addr() net.Addr { return &net.TCPAddr{} }

// Whoever does not finish a request is answered, too, when its time is over.
func TestSlowRequests(t *testing.T) {
	w := newWorld(t, setup{})
	for _, tt := range []bad{
		{"a slow header", "POST /apps/app-id/events HTTP/1.1\r\nHost:", 0, "EOF"},
		{"a slow body", "POST /apps/app-id/events HTTP/1.1\r\n" + bearer + "Content-Length: 100\r\n\r\n{\"name\"", 400, "the body ended after 7 bytes: it was cut off, or took too long"},
		{"a slow chunk", "POST /apps/app-id/events HTTP/1.1\r\n" + bearer + "Transfer-Encoding: chunked\r\n\r\n100\r\n{", 400, "the body ended after 1 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				s := http.Server{Handler: w.api, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second}
				served := make(chan error)
				go func() { served <- s.Serve(&only{Conn: server, done: make(chan struct{})}) }()
				tt.on(t, client)
				_ = s.Close()
				<-served
			})
		})
	}
}

// A replayed request is a request: within the signature's time it is carried out again, unless it names an idempotency
// key; after that it is refused.
func TestReplayedRequests(t *testing.T) {
	w := newWorld(t, setup{})
	replay := func(body string) func() answer {
		target := "/apps/app-id/events?" + w.signature("POST", "/apps/app-id/events", body, w.now())
		return func() answer { return w.send("POST", target, body) }
	}
	plain, keyed := replay(good), replay(`{"name":"e","channel":"bad","idempotency_key":"k"}`)
	for i, again := range []func() answer{plain, plain, keyed, keyed} {
		again().is(200, `{}`)
		if n, want := len(w.entries("bad")), min(i+1, 3); n != want {
			t.Fatalf("%d entries after %d requests, want %d", n, i+1, want)
		}
	}
	w.clock.Add(601_000)
	plain().fails(401, "auth_failed", "off by -601 s")
	keyed().fails(401, "auth_failed", "off by -601 s")
	if n := len(w.entries("bad")); n != 3 {
		t.Fatalf("%d entries", n)
	}
}
