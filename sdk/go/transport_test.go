package continuo

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// sockets is a server whose connections are handled by the test. It returns its address.
func sockets(t *testing.T, handle func(conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		tasks.Wait()
	})
	return "http://" + listener.Addr().String()
}

func say(conn net.Conn, texts ...string) {
	for _, text := range texts {
		_ = wsutil.WriteServerText(conn, []byte(text))
	}
}

func TestAnswersThatAreNoWebSocket(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		want   State
	}{
		{"401", func(w http.ResponseWriter) {
			http.Error(w, `{"error":"no","code":"auth_failed","status":401}`, http.StatusUnauthorized)
		}, State{State: "stopped", Reason: "unauthorized", Code: 401}},
		{"403", func(w http.ResponseWriter) { w.WriteHeader(403) }, State{State: "stopped", Reason: "forbidden", Code: 403}},
		{"429", func(w http.ResponseWriter) { w.Header().Set("Retry-After", "77"); w.WriteHeader(429) }, State{State: "waiting", RetryInMS: 77_000, Attempt: 2, Code: 429}},
		{"503 with a date", func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "Sun, 22 Nov 2026 02:00:00 GMT")
			w.WriteHeader(503)
		}, State{State: "waiting", RetryInMS: 7200, Attempt: 2, Code: 503}},
		{"HTML", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<!doctype html>")) }, State{State: "waiting", RetryInMS: 450, Attempt: 2, Code: 200}},
		{"500", func(w http.ResponseWriter) { w.WriteHeader(500) }, State{State: "waiting", RetryInMS: 450, Attempt: 2, Code: 500}},
		{"nothing", func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }, State{State: "waiting", RetryInMS: 450, Attempt: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/base/rooms" || r.Header.Get("Authorization") != "Bearer t" || r.Header.Get("X-Own") != "1" {
					t.Errorf("asked %s with %v", r.URL, r.Header)
				}
				c.answer(w)
			}))
			defer server.Close()
			client := New(server.URL+"/base", Options{Random: func() float64 { return 0.9 }, Header: http.Header{"X-Own": {"1"}},
				Token: func(context.Context) (string, error) { return "t", nil }})
			client.Connect()
			if got := awaitState(t, client, c.want.State); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if err := client.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatServersDoToAWebSocket(t *testing.T) {
	header := func(h ws.Header) func(net.Conn) {
		return func(conn net.Conn) { _ = ws.WriteHeader(conn, h) }
	}
	closeBy := func(payload ...byte) func(net.Conn) {
		return func(conn net.Conn) { _ = ws.WriteFrame(conn, ws.NewCloseFrame(payload)) }
	}
	for _, c := range []struct {
		name string
		do   func(conn net.Conn)
		want State
	}{
		{"forbidden", closeBy(binary.BigEndian.AppendUint16(nil, 4403)...), State{State: "stopped", Reason: "forbidden", Code: 4403}},
		{"a close without a code", closeBy(), State{State: "waiting", RetryInMS: 250, Attempt: 2, Code: 1005}},
		{"the connection is cut", func(net.Conn) {}, State{State: "waiting", RetryInMS: 250, Attempt: 2, Code: 1006}},
		{"cut in a frame", func(conn net.Conn) { _, _ = conn.Write([]byte{0x81, 100, '{'}) }, State{State: "waiting", RetryInMS: 250, Attempt: 2, Code: 1006}},
		{"a masked frame", header(ws.Header{Fin: true, OpCode: ws.OpText, Masked: true}), State{State: "waiting", RetryInMS: 250, Attempt: 2, Code: 1006}},
		{"reserved bits", header(ws.Header{Fin: true, OpCode: ws.OpText, Rsv: 4}), State{State: "waiting", RetryInMS: 250, Attempt: 2, Code: 1006}},
		{"too large", header(ws.Header{Fin: true, OpCode: ws.OpText, Length: 1 << 40}), State{State: "stopped", Reason: "too_large", Code: 1009}},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := sockets(t, func(conn net.Conn) {
				if _, err := ws.Upgrade(conn); err != nil {
					return
				}
				say(conn, helloText, helloText)
				c.do(conn)
			})
			client := New(address, Options{Random: func() float64 { return 0.5 }})
			client.Connect()
			if got := awaitState(t, client, c.want.State); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if err := client.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFragmentsPingsAndOddMessages(t *testing.T) {
	pongs := make(chan string, 1)
	closed := make(chan uint16, 1)
	address := sockets(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		up := struct {
			io.Reader
			io.Writer
		}{in, conn}
		if _, err := ws.Upgrade(up); err != nil {
			return
		}
		say(conn, helloText, helloText)
		fragment := func(op ws.OpCode, fin bool, text string) { _ = ws.WriteFrame(conn, ws.NewFrame(op, fin, []byte(text))) }
		fragment(ws.OpBinary, true, helloText)
		fragment(ws.OpText, true, "\xff")
		fragment(ws.OpText, true, `{"kind":"server.poll"}`)
		fragment(ws.OpText, false, `{"kind":"server.error","code":"x",`)
		fragment(ws.OpPing, true, "are you there?")
		fragment(ws.OpContinuation, false, `"message":"in `)
		fragment(ws.OpContinuation, true, `three"}`)
		for {
			h, err := ws.ReadHeader(in)
			if err != nil {
				return
			}
			payload := make([]byte, h.Length)
			if _, err := io.ReadFull(in, payload); err != nil {
				return
			}
			ws.Cipher(payload, h.Mask, 0)
			switch h.OpCode {
			case ws.OpPong:
				pongs <- string(payload)
			case ws.OpClose:
				closed <- binary.BigEndian.Uint16(payload)
				return
			}
		}
	})
	warnings := make(chan string, 8)
	client := New(address, Options{OnWarning: func(message string) { warnings <- message }})
	client.Connect()
	for _, want := range []string{"binary", "no JSON", "x: in three"} {
		if got := <-warnings; !strings.Contains(got, want) {
			t.Errorf("warned of %q, want %q", got, want)
		}
	}
	if got := <-pongs; got != "are you there?" {
		t.Errorf("pong %q", got)
	}
	if err := client.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if code := <-closed; code != 1000 {
		t.Errorf("closed by %d", code)
	}
}

func TestCloseWhileDialing(t *testing.T) {
	dialed := make(chan struct{})
	client := New("ws://127.0.0.1:1", Options{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialed)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	client.Connect()
	<-dialed
	if err := client.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	for base, want := range map[string]string{
		"http://a:1": "ws://a:1/rooms", "https://a/": "wss://a/rooms", "ws://a/x/": "ws://a/x/rooms", "wss://a/x": "wss://a/x/rooms",
		"ftp://a": "", "a:1": "", "": "", "http://": "", "http://[": "",
	} {
		s, _, err := endpoints(base)
		if want == "" && err == nil || want != "" && (err != nil || s.String() != want) {
			t.Errorf("%q is %v, %v", base, s, err)
		}
	}
	defer func() {
		if err, _ := recover().(error); err == nil || !strings.Contains(err.Error(), "ftp://a") {
			t.Errorf("New said %v", err)
		}
	}()
	New("ftp://a", Options{})
}

func TestErrorsSayWhatAndWhy(t *testing.T) {
	if got := (&Error{Code: "conflict", Message: "it is at version 4"}).Error(); got != "continuo: it is at version 4 (conflict)" {
		t.Error(got)
	}
	if got := (&Error{Code: "closed"}).Error(); got != "continuo: closed" {
		t.Error(got)
	}
	if err := (&tokenError{io.EOF}); !errors.Is(err, io.EOF) || err.Error() == "" {
		t.Error(err)
	}
}
