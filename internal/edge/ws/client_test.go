package ws_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// frame is one frame as it was received, or as it is expected.
type frame struct {
	fin     bool
	rsv     byte // 4 is RSV1
	op      byte
	payload string
}

func (f frame) String() string {
	p := f.payload
	if len(p) > 32 {
		p = p[:32] + "…"
	}
	return fmt.Sprintf("{fin %t rsv %d op %d %d bytes %q}", f.fin, f.rsv, f.op, len(f.payload), p)
}

// encode makes the bytes that a client sends.
func (f frame) encode() []byte { return f.encodeMasked([4]byte{0x37, 0xfa, 0x21, 0x3d}) }

func (f frame) encodeMasked(mask [4]byte) []byte {
	var b []byte
	first := f.rsv<<4 | f.op
	if f.fin {
		first |= 0x80
	}
	switch n := len(f.payload); {
	case n <= 125:
		b = append(b, first, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, first, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, first, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	at := len(b)
	b = append(b, f.payload...)
	for i := range len(f.payload) {
		b[at+i] ^= mask[i%4]
	}
	return b
}

// client speaks raw frames, so that it can break every rule.
type client struct {
	net.Conn
	br       *bufio.Reader
	response *http.Response
}

const clientTimeout = 20 * time.Second

// dialRaw connects to server, without a handshake.
func dialRaw(t testing.TB, server *httptest.Server) *client {
	t.Helper()
	var nc net.Conn
	var err error
	if server.TLS != nil {
		nc, err = tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	} else {
		nc, err = net.Dial("tcp", server.Listener.Addr().String())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(clientTimeout)); err != nil {
		t.Fatal(err)
	}
	return &client{Conn: nc, br: bufio.NewReader(nc)}
}

// dial connects to server and does the handshake, with more header lines if given.
func dial(t testing.TB, server *httptest.Server, lines ...string) *client {
	t.Helper()
	c := dialRaw(t, server)
	request := "GET /echo HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	for _, line := range lines {
		request += line + "\r\n"
	}
	if _, err := io.WriteString(c, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.response, err = http.ReadResponse(c.br, nil); err != nil {
		t.Fatal(err)
	}
	if c.response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %s", c.response.Status)
	}
	if got := c.response.Header.Get("Sec-Websocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("handshake: Sec-WebSocket-Accept is %q", got)
	}
	return c
}

// next reads a frame of the server; io.EOF after the last one.
func (c *client) next() (frame, error) {
	var b [8]byte
	if _, err := io.ReadFull(c.br, b[:2]); err != nil {
		return frame{}, err
	}
	f := frame{fin: b[0]&0x80 != 0, rsv: b[0] >> 4 & 7, op: b[0] & 0xf}
	if b[1]&0x80 != 0 {
		return frame{}, fmt.Errorf("the server's frame is masked")
	}
	size := uint64(b[1])
	switch size {
	case 126:
		if _, err := io.ReadFull(c.br, b[:2]); err != nil {
			return frame{}, err
		}
		size = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		if _, err := io.ReadFull(c.br, b[:8]); err != nil {
			return frame{}, err
		}
		size = binary.BigEndian.Uint64(b[:])
	}
	var payload bytes.Buffer
	if _, err := io.CopyN(&payload, c.br, int64(size)); err != nil {
		return frame{}, fmt.Errorf("inside a payload: %w", err)
	}
	f.payload = payload.String()
	return f, nil
}

// expect reads frames and compares them.
func (c *client) expect(want ...frame) error {
	for i, w := range want {
		f, err := c.next()
		if err != nil {
			return fmt.Errorf("frame %d: %w, want %v", i, err, w)
		}
		if f != w {
			return fmt.Errorf("frame %d is %v, want %v", i, f, w)
		}
	}
	return nil
}

// expectClose reads the server's close frame and the end of the connection. Code 0 is an empty close frame.
func (c *client) expectClose(code int) error {
	f, err := c.next()
	if err != nil {
		return fmt.Errorf("waiting for close %d: %w", code, err)
	}
	got := 0
	if f.op != 8 || !f.fin || f.rsv != 0 || len(f.payload) == 1 {
		return fmt.Errorf("%v instead of close %d", f, code)
	}
	if len(f.payload) > 1 {
		got = int(f.payload[0])<<8 | int(f.payload[1])
	}
	if got != code {
		return fmt.Errorf("closed with %d %q, want %d", got, strings.TrimSpace(f.payload[min(2, len(f.payload)):]), code)
	}
	if f, err := c.next(); err != io.EOF {
		return fmt.Errorf("%v, %w after the close frame, want the end of the connection", f, err)
	}
	return nil
}
