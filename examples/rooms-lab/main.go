// Command rooms-lab speaks the rooms protocol without a client library: it connects, joins, sends, loses its connection,
// resumes, is refused with a bad token, and falls back to a snapshot. Start `continuo serve`, then run it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

func main() {
	server := flag.String("server", "127.0.0.1:6001", "host:port of the server")
	token := flag.String("token", "", "token of a user; empty: nobody in particular, as development mode allows")
	flag.Parse()
	lab := lab{server: *server, token: *token, room: fmt.Sprintf("lab-%d", rand.Uint32()), out: os.Stdout}
	if err := lab.run(); err != nil {
		fmt.Fprintln(os.Stderr, "rooms-lab:", err)
		os.Exit(1)
	}
}

type lab struct {
	server, token, room string
	out                 io.Writer
	stream              string // the position: which log …
	cursor              uint64 // … and the last event of it that was handled
}

// frame is what the lab reads of the server's frames; it ignores all other fields, and kinds that it does not know.
type frame struct {
	Kind, Reason, Text, Code string
	Stream                   string          `json:"stream_id"`
	Event                    uint64          `json:"event_id"`
	Message                  string          `json:"message_id"`
	Resumed                  bool            `json:"resumed"`
	Replaying                int             `json:"replaying"`
	Count                    int             `json:"count"`
	Snapshot                 string          `json:"snapshot_url"`
	Messages                 json.RawMessage `json:"messages"`
}

func (l *lab) run() error {
	fmt.Fprintln(l.out, "1. connect, join, send")
	c, err := l.connect()
	if err != nil {
		return err
	}
	if err := l.do(c, map[string]any{"kind": "client.join", "room_id": l.room}, "room.joined"); err != nil {
		return err
	}
	for _, text := range []string{"one", "two"} {
		if err := l.do(c, map[string]any{"kind": "chat.send", "room_id": l.room, "text": text, "idempotency_key": text}, "chat.message"); err != nil {
			return err
		}
	}
	fmt.Fprintln(l.out, "2. the connection breaks; meanwhile others go on")
	_ = c.Close()
	other, err := (&lab{server: l.server, token: l.token, room: l.room, out: io.Discard}).others()
	if err != nil {
		return err
	}
	_ = other.Close()
	fmt.Fprintln(l.out, "3. come back with the position")
	if c, err = l.connect(); err != nil {
		return err
	}
	if err := l.do(c, l.resume(), "room.resumed"); err != nil {
		return err
	}
	fmt.Fprintln(l.out, "4. a token that is refused")
	if err := l.refused(); err != nil {
		return err
	}
	fmt.Fprintln(l.out, "5. a position that cannot be proven: take the snapshot, go on from there")
	return l.fallback(c)
}

// connect opens a connection and reads the greeting.
func (l *lab) connect() (*bufferedConn, error) {
	d := ws.Dialer{Protocols: []string{"continuo.rooms.v1"}}
	if l.token != "" {
		d.Protocols = append(d.Protocols, "continuo.token."+l.token)
	}
	nc, br, _, err := d.Dial(context.Background(), "ws://"+l.server+"/rooms")
	if err != nil {
		return nil, err
	}
	c := &bufferedConn{Conn: nc, in: nc}
	if br != nil { // frames that came with the handshake's answer
		c.in = br
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = l.wait(c, "server.hello")
	return c, err
}

// resume is the join of a client that was here before.
func (l *lab) resume() map[string]any {
	return map[string]any{"kind": "client.join", "room_id": l.room, "resume_from": l.cursor, "stream_id": l.stream}
}

// do sends a frame and reads until a kind of answer has come.
func (l *lab) do(c *bufferedConn, f map[string]any, kind string) error {
	raw, err := json.Marshal(f)
	if err == nil {
		err = wsutil.WriteClientText(c, raw)
	}
	if err == nil {
		_, err = l.wait(c, kind)
	}
	return err
}

// wait reads frames, moves the position by the protocol's rules, and returns the first of a kind.
func (l *lab) wait(c *bufferedConn, kind string) (frame, error) {
	for {
		raw, err := wsutil.ReadServerText(c)
		if err != nil {
			return frame{}, err
		}
		var f frame
		if err := json.Unmarshal(raw, &f); err != nil {
			return f, err
		}
		switch f.Kind {
		case "room.joined":
			l.stream = f.Stream
			if !f.Resumed && f.Replaying == 0 && kind == "room.joined" {
				l.cursor = f.Event
			}
			fmt.Fprintf(l.out, "   joined at event %d, resumed: %v\n", f.Event, f.Resumed)
		case "chat.message", "message.update", "message.append", "message.delete":
			if f.Event > l.cursor { // an event that was seen before is dropped
				fmt.Fprintf(l.out, "   event %d: %s of message %s: %q\n", f.Event, f.Kind, f.Message, f.Text)
				l.cursor = f.Event
			}
		case "room.resumed":
			l.cursor = f.Event
			fmt.Fprintf(l.out, "   resumed at event %d, %d missed\n", f.Event, f.Count)
		case "room.snapshot_required":
			fmt.Fprintf(l.out, "   snapshot required: %s\n", f.Reason)
		case "server.error":
			return f, fmt.Errorf("server.error %s", f.Code)
		}
		if f.Kind == kind {
			return f, nil
		}
	}
}

// others is somebody else in the room.
func (l *lab) others() (*bufferedConn, error) {
	c, err := l.connect()
	for _, step := range []struct{ kind, field, value, answer string }{
		{"client.join", "presence", "", "room.joined"}, {"chat.send", "text", "three", "chat.accepted"}, {"chat.send", "text", "fo", "chat.accepted"},
		{"message.append", "text", "ur", "message.accepted"},
	} {
		if err == nil {
			err = l.do(c, map[string]any{"kind": step.kind, "room_id": l.room, step.field: step.value, "message_id": "4"}, step.answer)
		}
	}
	return c, err
}

func (l *lab) refused() error {
	_, _, _, err := ws.Dial(context.Background(), "ws://"+l.server+"/rooms?token=garbage")
	var status ws.StatusError
	if !errors.As(err, &status) {
		return fmt.Errorf("a bad token was answered with %v", err)
	}
	fmt.Fprintf(l.out, "   HTTP %d: no retry until there is another token\n", int(status))
	return nil
}

// fallback joins with a position of another log, and goes on from the snapshot.
func (l *lab) fallback(c *bufferedConn) error {
	if err := l.do(c, map[string]any{"kind": "client.leave", "room_id": l.room}, "room.left"); err != nil {
		return err
	}
	l.stream = "of-another-time"
	raw, err := json.Marshal(l.resume())
	if err != nil {
		return err
	}
	if err := wsutil.WriteClientText(c, raw); err != nil {
		return err
	}
	f, err := l.wait(c, "room.snapshot_required")
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+l.server+f.Snapshot, nil)
	if err != nil {
		return err
	}
	if l.token != "" {
		req.Header.Set("Authorization", "Bearer "+l.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var state frame
	var messages []frame
	if err := errors.Join(json.NewDecoder(resp.Body).Decode(&state), json.Unmarshal(state.Messages, &messages)); err != nil {
		return err
	}
	l.stream, l.cursor = state.Stream, state.Event
	fmt.Fprintf(l.out, "   snapshot at event %d: %d messages, the newest %q\n", state.Event, len(messages), messages[len(messages)-1].Text)
	return l.do(c, map[string]any{"kind": "chat.send", "room_id": l.room, "text": "and on it goes"}, "chat.message")
}

// bufferedConn reads first what came with the handshake.
type bufferedConn struct {
	net.Conn
	in io.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.in.Read(p) }
