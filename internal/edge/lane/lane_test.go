package lane

import (
	"bufio"
	"context"
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

// rig is an http.Server with a lane before a handler that says what it got.
type rig struct {
	t     *testing.T
	lane  *Lane
	addr  string
	conns atomic.Int32 // that net/http has accepted, those that came back included
	hold  chan struct{}
	held  chan struct{}
}

func newRig(t *testing.T, o Options) *rig {
	r := &rig{t: t, hold: make(chan struct{}), held: make(chan struct{}, 1)}
	if o.Handler == nil {
		o.Handler = http.HandlerFunc(r.echo)
	}
	o.Takes = func(target string) bool { return strings.HasPrefix(target, "/apps/") }
	r.lane = New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	web := &http.Server{Handler: r.lane, ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			r.conns.Add(1)
		}
	}}
	served := make(chan error, 2)
	for _, one := range []net.Listener{l, r.lane.Listener()} {
		go func() { served <- web.Serve(one) }()
	}
	t.Cleanup(func() {
		_ = web.Close()
		_ = r.lane.Close()
		if err := r.lane.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-served
		<-served
	})
	return r
}

func (r *rig) echo(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	switch q.URL.Path {
	case "/apps/empty":
		w.WriteHeader(http.StatusNoContent)
		return
	case "/apps/close":
		w.Header().Set("Connection", "close")
	case "/apps/panic":
		panic(http.ErrAbortHandler)
	case "/apps/hold":
		r.held <- struct{}{}
		<-r.hold
	case "/apps/nothing":
		return
	}
	w.Header().Set("X-Path", q.RequestURI)
	w.Header().Set("X-Line", "a\r\nb")
	if q.URL.Path == "/apps/teapot" {
		w.WriteHeader(http.StatusTeapot)
	}
	fmt.Fprintf(w, "%s %s %s %d %q %v %v", q.Method, q.Host, q.URL.Query().Get("q"), q.ContentLength, body, err, q.Header["X-A"])
}

// client is a connection of a test.
type client struct {
	net.Conn
	t *testing.T
	b *bufio.Reader
}

func (r *rig) dial() *client {
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &client{Conn: c, t: r.t, b: bufio.NewReader(c)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one answer, its body included.
func (c *client) answer() (*http.Response, string) {
	c.t.Helper()
	a, err := http.ReadResponse(c.b, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(a.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return a, string(body)
}

func (c *client) ended() {
	c.t.Helper()
	if n, err := c.b.Read(make([]byte, 1)); n > 0 || err == nil {
		c.t.Error("the connection is open")
	}
}

func request(path, more, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n%s\r\n%s", path, len(body), more, body)
}

// Whatever comes over a connection is answered as net/http alone would answer it.
func TestLikeNetHTTP(t *testing.T) {
	r := newRig(t, Options{})
	alone := httptest.NewServer(http.HandlerFunc(r.echo))
	defer alone.Close()
	for _, c := range []struct{ name, in string }{
		{"one", request("/apps/a?q=1", "X-A: 1\r\n", "body")},
		{"kept", request("/apps/a?q=1", "", "body") + request("/apps/a?q=2", "X-A: 1\r\nX-A: 2\r\n", "")},
		{"other paths", request("/apps/a", "", "1") + request("/other", "", "2") + request("/apps/a", "", "3")},
		{"a read between", request("/apps/a", "", "1") + "GET /apps/a HTTP/1.1\r\nHost: h\r\n\r\n" + request("/apps/a", "", "3")},
		{"large body", request("/apps/a", "", "1") + request("/apps/a", "", strings.Repeat("x", mostBody+1)) + request("/apps/a", "", "3")},
		{"as large as the lane takes", request("/apps/a", "", "1") + request("/apps/a", "", strings.Repeat("x", mostBody))},
		{"chunks", request("/apps/a", "", "1") + "POST /apps/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n" + request("/apps/a", "", "3")},
		{"expectation", request("/apps/a", "", "1") + request("/apps/a", "Expect: 100-continue\r\n", "ab") + request("/apps/a", "", "3")},
		{"no content", request("/apps/empty", "", "1") + request("/apps/a", "", "3")},
		{"an answer without a word", request("/apps/nothing", "", "1") + request("/apps/a", "", "3")},
		{"a status", request("/apps/teapot", "", "1") + request("/apps/a", "", "3")},
		{"the handler closes", request("/apps/close", "", "1")},
		{"the client closes", request("/apps/a", "", "1") + request("/apps/a", "Connection: close\r\n", "1")},
		{"a bad request", request("/apps/a", "", "1") + "POST / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n"},
		{"a bad target", request("/apps/a", "", "1") + request("/apps/%zz", "", "2")},
		{"an empty line before", request("/apps/a", "", "1") + "\r\n" + request("/apps/a", "", "2")},
		{"HTTP/1.0", "POST /apps/a HTTP/1.0\r\nContent-Length: 1\r\n\r\nx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var answers [2]string
			for i, addr := range []string{r.addr, alone.Listener.Addr().String()} {
				answers[i] = exchange(t, addr, c.in)
			}
			if answers[0] != answers[1] {
				t.Errorf("the lane\n%s\nnet/http\n%s", answers[0], answers[1])
			}
		})
	}
}

// exchange sends everything at once, ends its side and gives what comes, without dates.
func exchange(t *testing.T, addr, in string) string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, in); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	var out strings.Builder
	b := bufio.NewReader(c)
	for {
		a, err := http.ReadResponse(b, nil)
		if err != nil {
			return out.String()
		}
		body, err := io.ReadAll(a.Body)
		if a.Header.Get("Date") == "" && a.StatusCode < 400 && a.StatusCode > 100 {
			t.Error("an answer without a date")
		}
		a.Header.Del("Date")
		a.Header.Del("Content-Length") // net/http cuts long answers into chunks
		fmt.Fprintln(&out, a.Proto, a.Status, a.Header, a.Close, string(body), err)
	}
}

// A connection is taken over once and stays, however its requests are cut into pieces.
func TestPieces(t *testing.T) {
	r := newRig(t, Options{})
	c := r.dial()
	all := strings.Repeat(request("/apps/a", "X-A: 1\r\n", "body"), 3)
	for i := range len(all) {
		c.send(all[i : i+1])
	}
	for range 3 {
		if _, body := c.answer(); body != `POST h  4 "body" <nil> [1]` {
			t.Error(body)
		}
	}
	if n := r.conns.Load(); n != 1 {
		t.Errorf("net/http saw %d connections", n)
	}
}

// However often a connection changes sides, there is one wrapper around it at most.
func TestBackAndForth(t *testing.T) {
	r := newRig(t, Options{})
	c := r.dial()
	for range 5 {
		c.send(request("/apps/a", "", "1") + "GET /apps/a HTTP/1.1\r\nHost: h\r\n\r\n")
		c.answer()
		c.answer()
	}
	if n := r.conns.Load(); n != 6 {
		t.Errorf("net/http saw %d connections", n)
	}
	c.send(request("/apps/a", "", "1"))
	c.answer()
	r.lane.mu.Lock()
	defer r.lane.mu.Unlock()
	for one := range r.lane.conns {
		if _, ok := one.Conn.(*net.TCPConn); !ok {
			t.Errorf("the connection is a %T", one.Conn)
		}
	}
}

func TestPanic(t *testing.T) {
	r := newRig(t, Options{})
	c := r.dial()
	c.send(request("/apps/a", "", "1") + request("/apps/panic", "", "1"))
	c.answer()
	c.ended()
}

func TestTimeouts(t *testing.T) {
	for name, begun := range map[string]string{"idle": "", "half a request": "POST /apps/a HT"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{IdleTimeout: 10 * time.Millisecond, ReadTimeout: 10 * time.Millisecond, WriteTimeout: time.Minute})
			c := r.dial()
			c.send(request("/apps/a", "", "1"))
			c.answer()
			_, _ = io.WriteString(c, begun)
			c.ended()
		})
	}
}

// A request that comes byte by byte has no more time than one that comes at once.
func TestDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := &conn{Conn: near, lane: New(Options{IdleTimeout: time.Minute, ReadTimeout: 10 * time.Second, Takes: func(string) bool { return true }}), context: t.Context()}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for _, b := range []byte(request("/apps/a", "", "1")) {
				if _, err := far.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(1500 * time.Millisecond)
			}
		}()
		began := time.Now()
		if r := c.next(); r != nil {
			t.Error("it was served")
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it had %v", took)
		}
		_ = near.Close()
		<-stopped
	})
}

// Shutdown ends what waits at once and lets what is under way finish.
func TestShutdown(t *testing.T) {
	r := newRig(t, Options{})
	idle, busy := r.dial(), r.dial()
	idle.send(request("/apps/a", "", "1"))
	idle.answer()
	busy.send(request("/apps/a", "", "1") + request("/apps/hold", "", "1"))
	busy.answer()
	<-r.held
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.lane.Shutdown(ctx) }()
	idle.ended()
	cancel()
	if err := <-done; err == nil {
		t.Error("it did not wait for the request")
	}
	go func() { done <- r.lane.Shutdown(context.Background()) }()
	close(r.hold)
	if a, _ := busy.answer(); !a.Close {
		t.Error("the answer does not say that it is the last")
	}
	busy.ended()
	if err := <-done; err != nil {
		t.Error(err)
	}
	late := r.dial()
	late.send(request("/apps/a", "", "1"))
	late.answer() // by net/http, which its own Shutdown ends
}
