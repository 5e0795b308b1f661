package ws

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

func TestFrameIsWhatGobwasMakes(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536, 70000} {
		p := bytes.Repeat([]byte{'x'}, size)
		want := ws.MustCompileFrame(ws.NewFrame(ws.OpText, true, p))
		got := Frame(OpText, p)
		if !bytes.Equal(got, want) || cap(got) != len(got) {
			t.Errorf("%d bytes: %x…, want %x…", size, got[:min(12, len(got))], want[:min(12, len(want))])
		}
		if got := AppendFrame([]byte("before"), OpText, p); !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("AppendFrame of %d bytes differs", size)
		}
	}
}

func TestControlFramesAreCut(t *testing.T) {
	long := bytes.Repeat([]byte("ä"), 100)
	if got := PongFrame(long); len(got) != 127 {
		t.Errorf("a pong of %d bytes", len(got))
	}
	if got := PingFrame(long); len(got) != 127 {
		t.Errorf("a ping of %d bytes", len(got))
	}
	got := CloseFrame(1000, string(long))
	if len(got) > 127 || !utf8.Valid(got[4:]) {
		t.Errorf("a close frame of %d bytes, reason %q", len(got), got[4:])
	}
}

func TestValidCode(t *testing.T) {
	for code := range 70000 {
		want := code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006 || code >= 3000 && code <= 4999
		if validCode(code) != want {
			t.Errorf("code %d: %t", code, !want)
		}
	}
}

// The validator must say at each cut what the standard library says about some continuation.
func TestValidator(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", "é", "€", "𤭢", "\x80", "\xc0", "\xe0", "\xed", "\xa0", "\xf0", "\xf4", "\x90", "\xff", "\xef", "\xbf"}
	for range 200_000 {
		var p []byte
		for range random.IntN(6) {
			letter := alphabet[random.IntN(len(alphabet))]
			p = append(p, letter[:1+random.IntN(len(letter))]...)
		}
		var v validator
		valid := true
		for rest := p; len(rest) > 0 && valid; {
			n := 1 + random.IntN(len(rest))
			valid, rest = v.add(rest[:n]), rest[n:]
			if seen := p[:len(p)-len(rest)]; valid != canBecomeValid(seen) {
				t.Fatalf("%q of %q: %t", seen, p, valid)
			}
		}
		if got := valid && v.done(); got != utf8.Valid(p) {
			t.Fatalf("%q: %t", p, got)
		}
	}
}

// canBecomeValid says by brute force whether p is the beginning of valid UTF-8.
func canBecomeValid(p []byte) bool {
	for more := range 4 {
		for _, fill := range []byte{0x80, 0x9f, 0xa0, 0xbf, 0x8f} {
			if utf8.Valid(append(bytes.Clone(p), bytes.Repeat([]byte{fill}, more)...)) {
				return true
			}
		}
	}
	return false
}

func TestNegotiate(t *testing.T) {
	const base = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for offer, want := range map[string]string{
		"":                       "",
		"x-webkit-deflate-frame": "",
		"permessage-deflate":     base,
		"PerMessage-Deflate ; client_max_window_bits":                                           base,
		"permessage-deflate; client_max_window_bits=10":                                         base,
		`permessage-deflate; client_max_window_bits="10"`:                                       base,
		"permessage-deflate; client_max_window_bits=7":                                          "",
		"permessage-deflate; server_max_window_bits=15":                                         base + "; server_max_window_bits=15",
		"permessage-deflate; server_max_window_bits=9":                                          "",
		"permessage-deflate; server_max_window_bits":                                            "",
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover":            base,
		"permessage-deflate; server_no_context_takeover=1":                                      "",
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover":            "",
		"permessage-deflate; unknown":                                                           "",
		"permessage-deflate; server_max_window_bits=9, foo; bar=1, permessage-deflate; unknown": "",
		"permessage-deflate; server_max_window_bits=9, permessage-deflate":                      base,
	} {
		h := http.Header{"Sec-Websocket-Extensions": {offer}}
		if got, ok := negotiate(h); got != want || ok != (want != "") {
			t.Errorf("%q: %q, want %q", offer, got, want)
		}
	}
}

// While a plain connection waits it has no buffer; the beginning of a frame is kept at its own size.
func TestIdleHoldsNoBuffer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := New(near, nil, Options{})
	defer c.Close()
	raw, err := near.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// waits says what the runtime would do next; it must, with nothing to read.
	waits := func() (waits bool) {
		if err := raw.Control(func(fd uintptr) { waits = !c.onReadable(fd) }); err != nil {
			t.Fatal(err)
		}
		return waits
	}
	hello := []byte{0x81, 0x85, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'}
	if !waits() || c.in.buf != nil || c.in.stash != nil {
		t.Errorf("at first: buffer of %d, stash of %d", len(c.in.buf), len(c.in.stash))
	}
	if _, err := far.Write(append(hello, 0x81)); err != nil {
		t.Fatal(err)
	}
	if _, p, err := c.Read(); string(p) != "hello" || err != nil {
		t.Fatalf("%q, %v", p, err)
	}
	for range 2 {
		if !waits() || c.in.buf != nil || len(c.in.stash) != 1 {
			t.Errorf("after a message and a byte: buffer of %d, stash of %d", len(c.in.buf), len(c.in.stash))
		}
	}
	if _, err := far.Write(hello[1:]); err != nil {
		t.Fatal(err)
	}
	if _, p, err := c.Read(); string(p) != "hello" || err != nil {
		t.Fatalf("%q, %v", p, err)
	}
	if !waits() || c.in.buf != nil || c.in.stash != nil {
		t.Errorf("at last: buffer of %d, stash of %d", len(c.in.buf), len(c.in.stash))
	}
}
