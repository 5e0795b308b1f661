package ws_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/edge/ws"
)

func TestUpgradeRefuses(t *testing.T) {
	server := newEchoServer(t, ws.Options{Subprotocol: func(offered []string) (string, error) {
		if slices.Contains(offered, "bad") {
			return "", errors.New("bad is not spoken here")
		}
		return "", nil
	}}, false)
	good := []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	without := func(i int, more ...string) []string {
		return append(slices.Delete(slices.Clone(good), i, i+1), more...)
	}
	for name, c := range map[string]struct {
		line   string
		header []string
		status int
		want   map[string]string
		body   string
	}{
		"method":        {"POST / HTTP/1.1", good, 405, map[string]string{"Allow": "GET"}, "GET"},
		"old http":      {"GET / HTTP/1.0", good, 505, nil, "HTTP/1.1"},
		"no upgrade":    {"GET / HTTP/1.1", without(0), 426, map[string]string{"Upgrade": "websocket"}, "Upgrade"},
		"other upgrade": {"GET / HTTP/1.1", without(0, "Upgrade: h2c"), 426, map[string]string{"Upgrade": "websocket"}, "Upgrade"},
		"no connection": {"GET / HTTP/1.1", without(1), 400, nil, "Connection"},
		"keep-alive":    {"GET / HTTP/1.1", without(1, "Connection: keep-alive"), 400, nil, "Connection"},
		"no version":    {"GET / HTTP/1.1", without(2), 426, map[string]string{"Sec-Websocket-Version": "13"}, "version 13"},
		"old version":   {"GET / HTTP/1.1", without(2, "Sec-WebSocket-Version: 8"), 426, map[string]string{"Sec-Websocket-Version": "13"}, "version 13"},
		"no key":        {"GET / HTTP/1.1", without(3), 400, nil, "Sec-WebSocket-Key"},
		"short key":     {"GET / HTTP/1.1", without(3, "Sec-WebSocket-Key: c2hvcnQ="), 400, nil, "Sec-WebSocket-Key"},
		"no base64":     {"GET / HTTP/1.1", without(3, "Sec-WebSocket-Key: !!!!"), 400, nil, "Sec-WebSocket-Key"},
		"two keys":      {"GET / HTTP/1.1", append(slices.Clone(good), good[3]), 400, nil, "once"},
		"subprotocol":   {"GET / HTTP/1.1", append(slices.Clone(good), "Sec-WebSocket-Protocol: one, bad"), 400, nil, "bad is not spoken"},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			request := c.line + "\r\nHost: test\r\n" + strings.Join(c.header, "\r\n") + "\r\n\r\n"
			if _, err := io.WriteString(nc, request); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.status || !strings.Contains(string(body), c.body) {
				t.Errorf("%s %q, want %d and %q", response.Status, body, c.status, c.body)
			}
			for name, value := range c.want {
				if got := response.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
		})
	}
}

func TestUpgradeWithoutHijacker(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, value := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-Websocket-Version": "13",
		"Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	_, err := ws.Upgrade(w, r, ws.Options{})
	var refused *ws.HandshakeError
	if !errors.As(err, &refused) || refused.Status != w.Code || w.Code != http.StatusHTTPVersionNotSupported {
		t.Errorf("%v with status %d", err, w.Code)
	}
}

func TestUpgradeAnswer(t *testing.T) {
	var offers []string
	server := newEchoServer(t, ws.Options{
		Header: http.Header{"X-Server": {"continuo"}},
		Subprotocol: func(offered []string) (string, error) {
			offers = offered
			return offered[len(offered)-1], nil
		},
	}, false)
	c := dial(t, server, "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: c", "Sec-WebSocket-Extensions: permessage-deflate")
	if got := strings.Join(offers, " "); got != "a b c" {
		t.Errorf("offered %q", got)
	}
	for name, want := range map[string]string{"Sec-Websocket-Protocol": "c", "X-Server": "continuo", "Sec-Websocket-Extensions": "",
		"Upgrade": "websocket", "Connection": "Upgrade"} {
		if got := c.response.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	// Without compression, its bit is as reserved as the others.
	if _, err := c.Write(bits(4, 1, "x").encode()); err != nil {
		t.Fatal(err)
	}
	if err := c.expectClose(1002); err != nil {
		t.Error(err)
	}
}

// What comes in one segment with the handshake must not be lost with net/http's buffer.
func TestInputBeforeUpgrade(t *testing.T) {
	for _, secure := range []bool{false, true} {
		server := newEchoServer(t, ws.Options{}, secure)
		for _, size := range []int{1, 126, 1000, 3000, 10000} {
			raw := dialRaw(t, server)
			message := text(strings.Repeat("x", size))
			request := "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" + string(message.encode())
			if _, err := io.WriteString(raw, request); err != nil {
				t.Fatal(err)
			}
			if _, err := http.ReadResponse(raw.br, nil); err != nil {
				t.Fatal(err)
			}
			if err := raw.expect(message); err != nil {
				t.Errorf("tls %t, %d bytes: %v", secure, size, err)
			}
		}
	}
}
