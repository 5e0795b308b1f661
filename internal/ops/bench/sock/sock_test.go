package sock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/continuo-rt/continuo/internal/ops/bench/fake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseHeader(t *testing.T) {
	frame := func(n int) []byte { return ws.MustCompileFrame(ws.NewTextFrame(make([]byte, n))) }
	for _, c := range []struct {
		name string
		in   []byte
		want header
		ok   bool
		err  error
	}{
		{name: "nothing"},
		{name: "one byte", in: []byte{0x81}},
		{name: "small", in: frame(5), want: header{true, ws.OpText, 2, 5}, ok: true},
		{name: "medium", in: frame(200), want: header{true, ws.OpText, 4, 200}, ok: true},
		{name: "large", in: frame(70_000), want: header{true, ws.OpText, 10, 70_000}, ok: true},
		{name: "half of a medium header", in: frame(200)[:3]},
		{name: "half of a large header", in: frame(70_000)[:9]},
		{name: "fragment", in: []byte{0x02, 1, 'x'}, want: header{false, ws.OpBinary, 2, 1}, ok: true},
		{name: "masked", in: []byte{0x81, 0x81, 0, 0, 0, 0, 'x'}, err: errMasked},
		{name: "compressed", in: []byte{0xc1, 1, 'x'}, err: errReserved},
		{name: "absurd length", in: []byte{0x82, 127, 1, 0, 0, 0, 0, 0, 0, 0}, err: errTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, ok, err := parseHeader(c.in)
			if !errors.Is(err, c.err) || ok != c.ok || (ok && h != c.want) {
				t.Errorf("%+v %v %v, want %+v %v %v", h, ok, err, c.want, c.ok, c.err)
			}
		})
	}
}

func TestAppendFrameIsWhatALibraryReads(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65_535, 65_536} {
		payload := bytes.Repeat([]byte{'p'}, n)
		h, got, err := fake.ReadFrame(bytes.NewReader(appendFrame(nil, ws.OpText, payload)))
		if err != nil || !h.Masked || !h.Fin {
			t.Fatalf("%d bytes: %+v %v", n, h, err)
		}
		if !bytes.Equal(got, payload) {
			t.Errorf("%d bytes came back as %d", n, len(got))
		}
	}
}

func TestAssembler(t *testing.T) {
	var a assembler
	steps := []struct {
		h    header
		in   string
		out  string
		done bool
		err  error
	}{
		{header{fin: true, op: ws.OpText}, "whole", "whole", true, nil},
		{header{op: ws.OpText}, "a", "", false, nil},
		{header{op: ws.OpContinuation}, "b", "", false, nil},
		{header{fin: true, op: ws.OpContinuation}, "c", "abc", true, nil},
		{header{fin: true, op: ws.OpContinuation}, "d", "", false, errSequence},
		{header{op: ws.OpText}, "a", "", false, nil},
		{header{fin: true, op: ws.OpText}, "b", "", false, errSequence},
	}
	for i, s := range steps {
		_, got, done, err := a.add(s.h, []byte(s.in))
		if string(got) != s.out || done != s.done || !errors.Is(err, s.err) {
			t.Errorf("step %d: %q %v %v", i, got, done, err)
		}
	}
}

// serve upgrades one connection and runs script on it.
func serve(t *testing.T, script func(net.Conn, *http.Request)) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up := ws.HTTPUpgrader{Protocol: func(string) bool { return true }}
		nc, _, _, err := up.Upgrade(r, w)
		if err != nil {
			return
		}
		defer nc.Close()
		script(nc, r)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(strings.Replace(s.URL, "http", "ws", 1))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func dial(t *testing.T, r Request) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := Dial(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Drop() })
	return c
}

func TestConversation(t *testing.T) {
	heard := make(chan string, 4)
	big := strings.Repeat("y", 100_000)
	u := serve(t, func(nc net.Conn, r *http.Request) {
		heard <- r.Header.Get("X-Test") + " " + r.Header.Get("Sec-WebSocket-Protocol")
		var burst []byte
		for i := range 3 {
			burst = append(burst, ws.MustCompileFrame(ws.NewTextFrame(fmt.Appendf(nil, "m%d", i)))...)
		}
		burst = append(burst, ws.MustCompileFrame(ws.NewPingFrame([]byte("beat")))...)
		burst = append(burst, ws.MustCompileFrame(ws.NewFrame(ws.OpText, false, []byte("frag")))...)
		burst = append(burst, ws.MustCompileFrame(ws.NewFrame(ws.OpContinuation, true, []byte("ment")))...)
		burst = append(burst, ws.MustCompileFrame(ws.NewTextFrame([]byte(big)))...)
		nc.Write(burst)
		for range 2 {
			h, payload, err := fake.ReadFrame(nc)
			if err != nil {
				return
			}
			heard <- fmt.Sprint(h.OpCode, " ", string(payload))
		}
		nc.Write(ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(4200, "again"))))
		io.Copy(io.Discard, nc)
	})
	c := dial(t, Request{URL: u, Header: http.Header{"X-Test": {"yes"}}, Protocols: []string{"proto"}})
	if got := <-heard; got != "yes proto" {
		t.Errorf("handshake carried %q", got)
	}
	var got []string
	for len(got) < 5 {
		if err := c.Read(func(p []byte) error { got = append(got, string(p)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"m0", "m1", "m2", "fragment", big}; strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("messages %.80q", got)
	}
	if err := c.Write(ws.OpText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if a, b := <-heard, <-heard; a != "10 beat" || b != "1 hello" {
		t.Errorf("server heard %q and %q", a, b)
	}
	var closed *CloseError
	if err := c.Read(func([]byte) error { return nil }); !errors.As(err, &closed) || closed.Code != 4200 || closed.Reason != "again" {
		t.Errorf("close: %v", err)
	}
}

func TestReadStopsAtAHandlersError(t *testing.T) {
	u := serve(t, func(nc net.Conn, _ *http.Request) {
		nc.Write(ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))))
		io.Copy(io.Discard, nc)
	})
	c := dial(t, Request{URL: u})
	boom := errors.New("boom")
	if err := c.Read(func([]byte) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("err = %v", err)
	}
}

func TestDialFails(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	u, _ := url.Parse(strings.Replace(plain.URL, "http", "ws", 1))
	if _, err := Dial(t.Context(), Request{URL: u}); err == nil {
		t.Error("an answer other than 101 must be an error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, Request{URL: u}); err == nil {
		t.Error("a cancelled dial must be an error")
	}
}

func TestCloseAndDrop(t *testing.T) {
	ends := make(chan error, 2)
	u := serve(t, func(nc net.Conn, _ *http.Request) {
		h, _, err := fake.ReadFrame(nc)
		if err == nil && h.OpCode != ws.OpClose {
			err = fmt.Errorf("unexpected frame %v", h)
		}
		ends <- err
	})
	dial(t, Request{URL: u}).Close()
	if err := <-ends; err != nil {
		t.Errorf("close must send a close frame: %v", err)
	}
	dial(t, Request{URL: u, Local: net.IPv4(127, 0, 0, 1)}).Drop()
	if err := <-ends; err == nil {
		t.Error("drop must not send a close frame")
	}
}

func TestSourceAddress(t *testing.T) {
	for _, c := range []struct {
		target string
		index  int
		want   string
	}{
		{"127.0.0.1", 0, "<nil>"},
		{"127.0.0.1", 7_999, "<nil>"},
		{"127.0.0.1", 8_000, "127.0.0.2"},
		{"127.0.0.1", 16_000, "127.0.0.3"},
		{"::1", 8_000, "<nil>"},
		{"10.0.0.1", 8_000, "<nil>"},
	} {
		if got := SourceAddress(net.ParseIP(c.target), c.index).String(); got != c.want {
			t.Errorf("%s %d: %s, want %s", c.target, c.index, got, c.want)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(ws.MustCompileFrame(ws.NewTextFrame([]byte("hello"))))
	f.Add([]byte{0x01, 1, 'a', 0x80, 1, 'b'})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Conn{in: b}
		total := 0
		for range len(b) + 1 {
			h, ok, err := parseHeader(c.in)
			if err != nil || !ok || len(c.in) < h.size+h.length {
				return
			}
			if h.op.IsData() || h.op == ws.OpContinuation {
				_, m, done, err := c.parts.add(h, c.in[h.size:h.size+h.length])
				if err != nil {
					return
				}
				if done {
					total += len(m)
				}
			}
			c.in = c.in[h.size+h.length:]
		}
		if total > len(b) {
			t.Fatal("more came out than went in")
		}
	})
}
