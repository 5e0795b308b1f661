// Package faces puts clients of every protocol on one channel of a whole server: what is published by any of them
// reaches each of the others, in one order.
package faces

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/ops/server"
	"github.com/continuo-rt/continuo/internal/wire/token"
	"github.com/continuo-rt/continuo/test/local"
)

const (
	secret  = "secret-of-the-faces-test"
	channel = "private-everything"
)

const configuration = `
mode: production
listen: 127.0.0.1:0
drain: 200ms
apps:
  - id: app
    keys: [{key: key, secret: ` + secret + `}]
    feed_keys: [{id: all, secret: feed-key, channels: ["*"]}]
    features: {client_events: true}
    channels:
      - pattern: "` + channel + `"
        mutable: true
        log_client_events: true
        retention: {age: 24h, entries: 1000000, bytes: 1GiB}
`

// world is a whole server in this process.
type world struct {
	*testing.T
	server  *server.Server
	address string
	back    chan struct{} // closed when followers that were cut may come back
}

func start(t *testing.T) *world {
	t.Helper()
	s := local.Serve(t, configuration)
	return &world{T: t, server: s, address: s.Addr().String(), back: make(chan struct{})}
}

// log is what the channel's log holds: what everybody is compared with.
func (w *world) log() (all []*stream.Entry) {
	w.Helper()
	q := stream.Query{Ref: stream.Ref{App: "app", Channel: channel}, From: 1, Limit: 10_000}
	for {
		page, err := w.server.Node().Store().Read(w.Context(), q)
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, page.Entries...)
		if !page.More {
			return all
		}
		q.From = page.Entries[len(page.Entries)-1].Serial + 1
	}
}

// call makes a request of the server API.
func (w *world) call(method, path string, body, answer any) {
	w.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		w.Fatal(err)
	}
	if method == http.MethodGet {
		raw = nil
	}
	req, err := http.NewRequestWithContext(w.Context(), method, "http://"+w.address+path, bytes.NewReader(raw))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer key:"+secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, _ := io.ReadAll(resp.Body)
	if resp.StatusCode/100 != 2 {
		w.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, got)
	}
	if answer != nil {
		if err := json.Unmarshal(got, answer); err != nil {
			w.Fatalf("%s %s: %s", method, path, got)
		}
	}
}

// bearer is a token of a user with every right.
func (w *world) bearer(user string) string {
	w.Helper()
	raw, err := token.Make(auth.Claims{App: "app", Subject: user, Expires: time.Now().Add(time.Hour),
		Rooms: []auth.RoomClaim{{Pattern: "*", Can: app.RoomRights()}}}, secret)
	if err != nil {
		w.Fatal(err)
	}
	return raw
}

func sign(text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return "key:" + hex.EncodeToString(mac.Sum(nil))
}

// socket is a WebSocket connection of a client.
type socket struct {
	net.Conn
	in *bufio.Reader
}

func (w *world) dial(path, bearer string) *socket {
	w.Helper()
	d := ws.Dialer{Timeout: 5 * time.Second}
	if bearer != "" {
		d.Header = ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + bearer}}
	}
	c, br, _, err := d.Dial(w.Context(), "ws://"+w.address+path)
	if err != nil {
		w.Fatal(err)
	}
	if br == nil {
		br = bufio.NewReader(c)
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &socket{c, br}
}

func (s *socket) send(v any) error {
	raw, err := json.Marshal(v)
	if err == nil {
		_, err = s.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(raw))))
	}
	return err
}

// read gives the next data frame.
func (s *socket) read() (raw []byte, binary bool, err error) {
	for {
		h, err := ws.ReadHeader(s.in)
		if err != nil || h.Length > 1<<24 {
			return nil, false, fmt.Errorf("a frame of %d bytes: %w", h.Length, err)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(s.in, payload); err != nil {
			return nil, false, err
		}
		switch h.OpCode {
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			return nil, false, fmt.Errorf("closed with %d %s", code, reason)
		case ws.OpPing:
			if _, err := s.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewPongFrame(payload)))); err != nil {
				return nil, false, err
			}
		case ws.OpText, ws.OpBinary:
			return payload, h.OpCode == ws.OpBinary, nil
		}
	}
}
