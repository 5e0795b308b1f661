package ws_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/continuo-rt/continuo/internal/edge/ws"
)

// TestAutobahnTable walks the cases of the Autobahn suite, rewritten: every reaction must be the strict one. It needs
// nothing but Go; TestAutobahnSuite runs the suite itself.
func TestAutobahnTable(t *testing.T) {
	var passed, failed atomic.Int64
	note := func(t *testing.T, id string, err error) {
		t.Helper()
		if err != nil {
			failed.Add(1)
			t.Errorf("case %s: %v", id, err)
			return
		}
		passed.Add(1)
	}
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		server := newEchoServer(t, ws.Options{ReadLimit: 16 << 20, Compression: true}, false)
		for _, c := range cases() {
			note(t, c.id, c.run(dial(t, server)))
		}
		for _, c := range volumes() {
			note(t, c.id, c.run(dial(t, server)))
		}
	})
	t.Run("tls", func(t *testing.T) {
		t.Parallel()
		server := newEchoServer(t, ws.Options{ReadLimit: 16 << 20}, true)
		for _, c := range cases() {
			note(t, "tls "+c.id, c.run(dial(t, server)))
		}
	})
	t.Run("deflate", func(t *testing.T) {
		t.Parallel()
		server := newEchoServer(t, ws.Options{ReadLimit: 16 << 20, Compression: true}, false)
		for _, c := range compressed() {
			note(t, c.id, c.run(t, server))
		}
	})
	t.Cleanup(func() { t.Logf("summary: autobahn cases: %d strict OK, %d failed", passed.Load(), failed.Load()) })
}

// run plays a case on a fresh connection.
func (s scripted) run(c *client) error {
	defer c.Close()
	var out []byte
	for _, f := range s.send {
		out = append(out, f.encode()...)
	}
	out = append(out, s.raw...)
	if s.code == clean && s.chop > 0 { // the close must not overtake what the chops cut off
		out = append(out, closing(1000, "").encode()...)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for len(out) > 0 {
			n := len(out)
			if s.chop > 0 {
				n = min(n, s.chop)
			}
			if _, err := c.Write(out[:n]); err != nil {
				return // the server has failed the connection; what it said is what counts
			}
			out = out[n:]
		}
	}()
	if err := c.expect(s.want...); err != nil {
		return err
	}
	<-sent
	code := s.code
	if code == clean {
		code = 1000
		if s.chop == 0 {
			if _, err := c.Write(closing(1000, "").encode()); err != nil {
				return err
			}
		}
	}
	return c.expectClose(code)
}

// volumes is section 9, scaled down to a second: large messages, whole, in small frames and in small writes, and many of
// them in turn.
func volumes() []scripted {
	var all []scripted
	for i, size := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20} {
		t, b := text(strings.Repeat("BAsd7&jh23", size/10)), blob(strings.Repeat("\x00\xfe", size/2))
		all = append(all,
			scripted{id: fmt.Sprintf("9.1.%d", i+1), send: []frame{t}, want: []frame{t}, code: clean},
			scripted{id: fmt.Sprintf("9.2.%d", i+1), send: []frame{b}, want: []frame{b}, code: clean})
	}
	t, b := text(strings.Repeat("*", 256<<10)), blob(strings.Repeat("\xfe", 256<<10))
	for i, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10} {
		all = append(all,
			scripted{id: fmt.Sprintf("9.3.%d", i+1), send: fragments(1, t.payload, size), want: []frame{t}, code: clean},
			scripted{id: fmt.Sprintf("9.4.%d", i+1), send: fragments(2, b.payload, size), want: []frame{b}, code: clean})
	}
	for i, chop := range []int{64, 128, 256, 512, 1024, 2048} {
		all = append(all,
			scripted{id: fmt.Sprintf("9.5.%d", i+1), send: []frame{t}, want: []frame{t}, code: clean, chop: chop},
			scripted{id: fmt.Sprintf("9.6.%d", i+1), send: []frame{b}, want: []frame{b}, code: clean, chop: chop})
	}
	for i, size := range []int{0, 16, 64, 256, 1024, 4096} {
		var texts, blobs []frame
		for range 200 {
			texts, blobs = append(texts, text(strings.Repeat("*", size))), append(blobs, blob(strings.Repeat("\xfe", size)))
		}
		all = append(all,
			scripted{id: fmt.Sprintf("9.7.%d", i+1), send: texts, want: texts, code: clean},
			scripted{id: fmt.Sprintf("9.8.%d", i+1), send: blobs, want: blobs, code: clean})
	}
	return all
}

// packed is a case of sections 12 and 13: messages under permessage-deflate.
type packed struct {
	id       string
	offer    string
	size     int
	fragment int // bytes per frame; 0 for one frame
	binary   bool
}

func compressed() []packed {
	var all []packed
	offers := []string{
		"permessage-deflate; client_max_window_bits",
		"permessage-deflate; client_max_window_bits; server_no_context_takeover",
		"permessage-deflate; client_max_window_bits; server_max_window_bits=15",
		"permessage-deflate; client_max_window_bits=15; server_no_context_takeover; server_max_window_bits=15",
		"permessage-deflate; server_max_window_bits=9; server_no_context_takeover, permessage-deflate; client_no_context_takeover",
	}
	for i, offer := range offers {
		for j, size := range []int{0, 16, 64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10} {
			for k, fragment := range []int{0, 256} {
				all = append(all, packed{fmt.Sprintf("12/13.%d.%d.%d", i+1, j+1, k+1), offer, size, fragment, j%2 == 1})
			}
		}
	}
	return all
}

func (p packed) run(t *testing.T, server *httptest.Server) error {
	c := dial(t, server, "Sec-WebSocket-Extensions: "+p.offer)
	defer c.Close()
	answer := c.response.Header.Get("Sec-Websocket-Extensions")
	if !strings.HasPrefix(answer, "permessage-deflate; server_no_context_takeover; client_no_context_takeover") {
		return fmt.Errorf("answer to %q is %q", p.offer, answer)
	}
	op := byte(1)
	if p.binary {
		op = 2
	}
	for round := range 3 {
		message := strings.Repeat(fmt.Sprintf(`{"n":%d,"text":"über"}`, round), p.size/20+1)[:p.size/2*2]
		message = strings.ToValidUTF8(message, "?")
		size := p.fragment
		if size == 0 {
			size = len(message) + 1024
		}
		sequence := fragments(op, pack(t, message), size)
		sequence[0].rsv = 4
		var out []byte
		for i, f := range sequence {
			if i == 1 {
				out = append(out, ping("between").encode()...)
			}
			out = append(out, f.encode()...)
		}
		if _, err := c.Write(out); err != nil {
			return err
		}
		if len(sequence) > 1 {
			if err := c.expect(pong("between")); err != nil {
				return err
			}
		}
		f, err := c.next()
		switch {
		case err != nil:
			return err
		case f.op != op || f.rsv != 4 || !f.fin:
			return fmt.Errorf("%v instead of a compressed echo", f)
		}
		if got, err := unpack(f.payload); err != nil || got != message {
			return fmt.Errorf("echo of %d bytes has %d, %w", len(message), len(got), err)
		}
	}
	if _, err := c.Write(closing(1000, "").encode()); err != nil {
		return err
	}
	return c.expectClose(1000)
}

// pack compresses as a client does, by the standard library's own means.
func pack(t testing.TB, p string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, p); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

func unpack(p string) (string, error) {
	out, err := io.ReadAll(flate.NewReader(strings.NewReader(p + "\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
	return string(out), err
}
