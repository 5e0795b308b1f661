package rooms

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// frame is what a client reads of any frame.
type frame struct {
	Kind        string          `json:"kind"`
	Room        string          `json:"room_id"`
	Session     string          `json:"session_id"`
	Secret      string          `json:"session_secret"`
	Stream      string          `json:"stream_id"`
	Event       uint64          `json:"event_id"`
	Message     string          `json:"message_id"`
	Version     int             `json:"version"`
	Text        string          `json:"text"`
	Payload     json.RawMessage `json:"payload"`
	Reason      string          `json:"reason"`
	Code        string          `json:"code"`
	Msg         string          `json:"message"`
	Correlation string          `json:"correlation_id"`
	URL         string          `json:"snapshot_url"`
	Replaying   int             `json:"replaying"`
	Resumed     bool            `json:"resumed"`
	Retryable   bool            `json:"retryable"`
}

// line is one connection of a client.
type line struct {
	net.Conn
	in *bufio.Reader
	mu sync.Mutex // writes
}

func dial(ctx context.Context, address, token string) (*line, error) {
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + token}}, Timeout: 2 * time.Second}
	c, br, _, err := d.Dial(ctx, "ws://"+address+"/rooms")
	if err != nil {
		return nil, err
	}
	if br == nil {
		br = bufio.NewReader(c)
	}
	return &line{Conn: c, in: br}, nil
}

func (l *line) send(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(raw))))
	return err
}

var errClosed = errors.New("closed by the server")

// read gives the next frame, or fails when nothing came for so long: a connection may be half open.
func (l *line) read(patience time.Duration) (f frame, raw []byte, err error) {
	for {
		if err = l.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return f, nil, err
		}
		h, err := ws.ReadHeader(l.in)
		if err != nil {
			return f, nil, err
		}
		raw = make([]byte, h.Length)
		if _, err = io.ReadFull(l.in, raw); err != nil {
			return f, nil, err
		}
		switch h.OpCode {
		case ws.OpPing:
			l.mu.Lock()
			_, err = l.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewPongFrame(raw))))
			l.mu.Unlock()
			if err != nil {
				return f, nil, err
			}
		case ws.OpClose:
			code, _ := ws.ParseCloseFrameData(raw)
			return f, nil, fmt.Errorf("%w: %d", errClosed, code)
		case ws.OpText:
			return f, raw, json.Unmarshal(raw, &f)
		}
	}
}

// follower follows one room for ever: it comes back after every fault with the position that it saw last.
type follower struct {
	t       testing.TB
	name    string
	address string
	token   string
	room    string
	fresh   bool // it begins at the head; otherwise from 0
	sends   []string

	session, secret string
	stream          string
	cursor          uint64
	placed          bool
	seen            []frame // messages, in the order in which they came
	jumps           int     // positions taken from snapshots
	connects        int
	accepted        int // of sends
	reached         chan uint64
}

const patience = 250 * time.Millisecond

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		f.once(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// once is one connection, from its handshake to its end.
func (f *follower) once(ctx context.Context) {
	l, err := dial(ctx, f.address, f.token)
	if err != nil {
		return
	}
	f.connects++
	defer func() { _ = l.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	hello := map[string]any{"kind": "client.hello", "protocol_version": 1}
	if f.session != "" {
		hello["session_id"], hello["session_secret"] = f.session, f.secret
	}
	join := map[string]any{"kind": "client.join", "room_id": f.room}
	if f.placed {
		join["resume_from"], join["stream_id"] = f.cursor, f.stream
	} else if !f.fresh {
		join["resume_from"] = 0
	}
	if l.send(hello) != nil || l.send(join) != nil {
		return
	}
	asked := false // a sign of life was asked for
	replaying := false
	for {
		m, _, err := l.read(patience)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() && !asked {
			asked = true
			if l.send(map[string]any{"kind": "client.ping"}) != nil {
				return
			}
			continue
		}
		if err != nil {
			return
		}
		asked = false
		if !f.take(l, m, &replaying) {
			return
		}
	}
}

// take does what a frame says; false ends the connection.
func (f *follower) take(l *line, m frame, replaying *bool) bool {
	switch m.Kind {
	case "server.hello":
		f.session, f.secret = m.Session, m.Secret
	case "room.joined":
		*replaying = m.Resumed || m.Replaying > 0
		if f.placed && f.stream != m.Stream {
			f.t.Errorf("%s: the stream is %s now, was %s", f.name, m.Stream, f.stream)
		}
		f.stream = m.Stream
		if !*replaying && !f.placed && f.fresh {
			f.cursor, f.placed = m.Event, true
		}
		f.sendNext(l)
	case "room.resumed":
		*replaying = false
		if m.Event < f.cursor {
			f.t.Errorf("%s: resumed at %d, but %d was seen", f.name, m.Event, f.cursor)
		}
		f.cursor, f.placed = m.Event, true
		f.tell()
	case "room.snapshot_required":
		return f.snapshot(m)
	case "chat.accepted":
		if len(f.sends) > 0 && m.Correlation == once(f.sends[0]) {
			f.sends = f.sends[1:]
			f.accepted++
		}
		f.sendNext(l)
	case "server.error":
		if !m.Retryable {
			f.t.Errorf("%s: %s %s", f.name, m.Code, m.Msg)
		}
		return false
	case "chat.message", "message.update", "message.append", "message.delete", "message.reactions":
		if m.Event != f.cursor+1 {
			f.t.Errorf("%s: event %d after %d", f.name, m.Event, f.cursor)
		}
		f.cursor, f.placed = m.Event, true
		f.seen = append(f.seen, m)
		f.tell()
	}
	return true
}

func (f *follower) tell() {
	select {
	case <-f.reached:
	default:
	}
	select {
	case f.reached <- f.cursor:
	default:
	}
}

// sendNext sends what waits to be sent, one at a time, with a key that makes it once.
func (f *follower) sendNext(l *line) {
	if len(f.sends) > 0 {
		_ = l.send(map[string]any{"kind": "chat.send", "room_id": f.room, "text": f.sends[0], "idempotency_key": once(f.sends[0]),
			"correlation_id": once(f.sends[0])})
	}
}

// once is what makes a text one message, however often it is sent: its first two words.
func once(text string) string {
	parts := strings.SplitN(text, " ", 3)
	return parts[0] + " " + parts[1]
}

// snapshot takes the room's state in place of what was missed, by the URL that the server names.
func (f *follower) snapshot(m frame) bool {
	req, err := http.NewRequest(http.MethodGet, "http://"+f.address+m.URL, nil)
	if err != nil {
		f.t.Error(err)
		return false
	}
	req.Header.Set("Authorization", "Bearer "+f.token)
	req.Close = true
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return false // the proxy again: come back and ask anew
	}
	defer func() { _ = resp.Body.Close() }()
	var state struct {
		Stream string `json:"stream_id"`
		Event  uint64 `json:"event_id"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&state) != nil {
		return false
	}
	if state.Event < f.cursor {
		f.t.Errorf("%s: a snapshot at %d, but %d was seen", f.name, state.Event, f.cursor)
	}
	f.stream, f.cursor, f.placed = state.Stream, state.Event, true
	f.jumps++
	f.tell()
	return false // join again from there
}
