package ws_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/edge/ws"
)

// pair returns a server's connection over loopback TCP, after its handshake, and the client's socket.
func pair(t testing.TB, o ws.Options) (*ws.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := ws.New(near, nil, o)
	t.Cleanup(func() {
		c.Close()
		far.Close()
	})
	return c, far
}

func TestTryWriteNeverBlocks(t *testing.T) {
	c, far := pair(t, ws.Options{WriteTimeout: clientTimeout})
	if !c.CanTryWrite() {
		t.Fatal("a TCP connection cannot TryWrite")
	}
	var sent bytes.Buffer
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	for {
		n, err := c.TryWrite(chunk)
		if err != nil {
			t.Fatal(err)
		}
		sent.Write(chunk[:n])
		if n == 0 {
			break
		}
	}
	received := make(chan []byte)
	go func() {
		p, _ := io.ReadAll(far)
		received <- p
	}()
	n, err := c.WriteSome(chunk) // waits for the reader
	if err != nil || n == 0 {
		t.Fatalf("WriteSome: %d, %v", n, err)
	}
	sent.Write(chunk[:n])
	if err := c.Write(chunk); err != nil {
		t.Fatal(err)
	}
	sent.Write(chunk)
	c.Close()
	if got := <-received; !bytes.Equal(got, sent.Bytes()) {
		t.Errorf("%d bytes arrived of %d, or not in order", len(got), sent.Len())
	}
}

func TestWriteTimeout(t *testing.T) {
	c, _ := pair(t, ws.Options{WriteTimeout: 20 * time.Millisecond})
	chunk := make([]byte, 1<<20)
	if err := c.Write(bytes.Repeat(chunk, 64)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write to a stalled socket: %v", err)
	}
	for { // on a loaded machine the time may be over before the socket is full
		n, err := c.WriteSome(chunk)
		if n > 0 && err == nil {
			continue
		}
		if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("WriteSome to a stalled socket: %d, %v", n, err)
		}
		return
	}
}

func TestTryWriteAfterSlowWrite(t *testing.T) {
	c, far := pair(t, ws.Options{WriteTimeout: 50 * time.Millisecond})
	go io.Copy(io.Discard, far)                      //nolint:errcheck
	for err := os.ErrDeadlineExceeded; err != nil; { // on a loaded machine the time may be over before the write began
		if _, err = c.WriteSome([]byte("x")); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	<-time.After(60 * time.Millisecond) // past the deadline of a write that is done: it must be gone
	if n, err := c.TryWrite([]byte("y")); n != 1 || err != nil {
		t.Errorf("TryWrite: %d, %v", n, err)
	}
}

func TestClose(t *testing.T) {
	c, far := pair(t, ws.Options{})
	failed := make(chan error)
	go func() {
		_, _, err := c.Read()
		failed <- err
	}()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read under way: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, _, err := c.Read(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if _, err := c.TryWrite([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("TryWrite after Close: %v", err)
	}
	if err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if n, err := far.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the peer read %d, %v", n, err)
	}
}

// The server says goodbye while its reader waits: the reader hears the peer's answer, Linger its end.
func TestLingerWhileReading(t *testing.T) {
	c, far := pair(t, ws.Options{})
	read := make(chan error)
	go func() {
		_, _, err := c.Read()
		read <- err
	}()
	lingered := make(chan error)
	go func() { lingered <- c.Linger(clientTimeout) }()
	if n, err := far.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the write side is not closed: %d, %v", n, err)
	}
	far.Close()
	<-read
	if err := <-lingered; err != nil {
		t.Error(err)
	}
	if _, err := c.TryWrite([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Linger: %v", err)
	}
}

func TestLingerIsBounded(t *testing.T) {
	c, _ := pair(t, ws.Options{})
	if err := c.Linger(10 * time.Millisecond); err != nil {
		t.Error(err)
	}
	if _, _, err := c.Read(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Linger: %v", err)
	}
}

func TestPeerLeaves(t *testing.T) {
	c, far := pair(t, ws.Options{})
	if _, err := far.Write(text("hello").encode()[:4]); err != nil {
		t.Fatal(err)
	}
	far.Close()
	for range 2 {
		if _, _, err := c.Read(); !errors.Is(err, io.EOF) || ws.ReplyTo(err) != nil {
			t.Errorf("Read: %v", err)
		}
	}
}

func TestReadLimit(t *testing.T) {
	server := newEchoServer(t, ws.Options{ReadLimit: 1000, Compression: true}, false)
	fits, large := strings.Repeat("x", 1000), strings.Repeat("x", 1001)
	packed := part(1, true, pack(t, large))
	packed.rsv = 4
	for name, c := range map[string]scripted{
		"at the limit":          {send: []frame{text(fits), text(fits)}, want: []frame{text(fits), text(fits)}, code: clean},
		"whole":                 {send: []frame{text(large)}, code: 1009},
		"announced":             {raw: []byte{0x81, 0xff, 0x00, 0xff, 0, 0, 0, 0, 0, 0}, code: 1009},
		"fragments":             {send: fragments(1, large, 100), code: 1009},
		"fragments that fit":    {send: fragments(1, fits, 100), want: []frame{text(fits)}, code: clean},
		"ping at the limit":     {send: []frame{part(1, false, fits), ping("p"), part(0, true, "")}, want: []frame{pong("p"), text(fits)}, code: clean},
		"more after the answer": {send: []frame{text(large), blob(strings.Repeat("y", 200<<10))}, code: 1009},
	} {
		if err := c.run(dial(t, server)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := dial(t, server, "Sec-WebSocket-Extensions: permessage-deflate")
	if _, err := c.Write(packed.encode()); err != nil {
		t.Fatal(err)
	}
	if err := c.expectClose(1009); err != nil {
		t.Errorf("inflated: %v", err)
	}
}

func TestBrokenFrames(t *testing.T) {
	server := newEchoServer(t, ws.Options{Compression: true}, false)
	for name, c := range map[string]scripted{
		"unmasked":         {raw: []byte{0x81, 0x01, 'x'}, code: 1002},
		"unmasked ping":    {raw: []byte{0x89, 0x00}, code: 1002},
		"length in 2 of 0": {raw: []byte{0x81, 0xfe, 0, 125, 0, 0, 0, 0}, code: 1002},
		"length in 8 of 2": {raw: []byte{0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}, code: 1002},
		"negative length":  {raw: []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, code: 1002},
	} {
		if err := c.run(dial(t, server)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	corrupt, continued, pinged := bits(4, 1, "\xff\xff"), part(0, true, "x"), ping("x")
	continued.rsv, pinged.rsv = 4, 4
	bad := bits(4, 1, pack(t, "\xff"))
	for name, c := range map[string]scripted{
		"corrupt":             {send: []frame{corrupt}, code: 1007},
		"invalid text":        {send: []frame{bad}, code: 1007},
		"compressed again":    {send: []frame{part(1, false, "x"), continued}, code: 1002},
		"compressed ping":     {send: []frame{pinged}, code: 1002},
		"plain beside packed": {send: []frame{text("plain")}, want: []frame{bits(4, 1, string(compressedPayload("plain")))}, code: clean},
		// RFC 7692, 7.2.3.4: a block with the final bit, and the empty byte after it.
		"final block": {send: []frame{bits(4, 1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00")},
			want: []frame{bits(4, 1, string(compressedPayload("Hello")))}, code: clean},
		// RFC 7692, 7.2.3.5: two blocks.
		"two blocks": {send: []frame{bits(4, 1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")},
			want: []frame{bits(4, 1, string(compressedPayload("Hello")))}, code: clean},
	} {
		if err := c.run(dial(t, server, "Sec-WebSocket-Extensions: permessage-deflate")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func compressedPayload(p string) []byte { return ws.CompressedFrame(ws.OpText, []byte(p))[2:] }

func TestReplyTo(t *testing.T) {
	for _, c := range []struct {
		err  error
		want []byte
	}{
		{&ws.CloseError{Code: ws.CodeNoStatus}, []byte{0x88, 0}},
		{&ws.CloseError{Code: 4000, Reason: "bye"}, []byte{0x88, 2, 0x0f, 0xa0}},
		{&ws.ViolationError{Code: ws.CodeTooBig, Reason: "big"}, []byte("\x88\x05\x03\xf1big")},
		{io.EOF, nil},
	} {
		if got := ws.ReplyTo(c.err); !bytes.Equal(got, c.want) {
			t.Errorf("%v: %x, want %x", c.err, got, c.want)
		}
	}
}

func BenchmarkTryWrite(b *testing.B) {
	c, far := pair(b, ws.Options{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, far) //nolint:errcheck
	}()
	f := ws.Frame(ws.OpText, make([]byte, 200))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.TryWrite(f); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	<-done
}

func TestTryWriteAllocatesNothing(t *testing.T) {
	c, far := pair(t, ws.Options{})
	go io.Copy(io.Discard, far) //nolint:errcheck
	f := ws.Frame(ws.OpText, make([]byte, 200))
	if n := testing.AllocsPerRun(100, func() { c.TryWrite(f) }); n != 0 { //nolint:errcheck
		t.Errorf("%v allocations per TryWrite", n)
	}
}
