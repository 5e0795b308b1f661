package v2

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/test/frames"
)

// patience is how long anything that must happen may take.
const patience = time.Minute

// position is what a client stores of a channel.
type position struct {
	Stream string `json:"stream_id,omitempty"`
	Serial any    `json:"serial"` // a number as a rule
}

// client does what V2 clients do: it stores the position of every frame that has a channel and a serial, and forgets it
// on resume_failed. It lives through many connections. Unless it dedups, nothing but positions hides a duplicate.
type client struct {
	corked *bytes.Buffer // frames that go out together
	testing.TB
	server    *server
	query     string // beside protocol=2
	narrow    bool   // its socket receives little ahead
	order     string // of subscribe and resume
	rewind    string // member of subscribe
	positions map[string]position
	seen      map[string][]string // channel → data of its events
	ids       map[string]bool     // message ids, if the client dedups
	failed    []frame             // resume_failed
	notices   []frame             // every other frame that is no event of a channel

	nc     net.Conn
	in     *bufio.Reader
	socket string // socket_id
}

type frame struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
	Message string          `json:"message_id"`
	Stream  string          `json:"stream_id"`
	Serial  *uint64         `json:"serial"`
	Extras  json.RawMessage `json:"extras"`
	Name    string          `json:"name"`
	User    string          `json:"user_id"`
	raw     string
}

// text is the data as a client takes it: the string that it holds, or the JSON.
func (f *frame) text() string {
	var s string
	if json.Unmarshal(f.Data, &s) == nil {
		return s
	}
	return string(f.Data)
}

// into decodes the data, which is an object or a string that holds one.
func (f *frame) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(f.text()), v); err != nil {
		t.Fatalf("%v in %s", err, f.raw)
	}
}

func (s *server) client(t testing.TB) *client {
	return &client{TB: t, server: s, positions: map[string]position{}, seen: map[string][]string{}}
}

// dial connects and reads the greeting.
func (c *client) dial() {
	c.Helper()
	d := net.Dialer{}
	if c.narrow {
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) {
				failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
			})
			return errors.Join(err, failed)
		}
	}
	w := ws.Dialer{NetDial: d.DialContext}
	url := "ws" + strings.TrimPrefix(c.server.url, "http") + "/app/" + appKey + "?protocol=2" + c.query
	nc, br, _, err := w.Dial(context.Background(), url)
	if err != nil {
		c.Fatal(err)
	}
	c.nc, c.in = nc, br
	if br == nil {
		c.in = bufio.NewReader(nc)
	}
	f := c.read()
	var hello struct {
		Socket string `json:"socket_id"`
	}
	if f.into(c, &hello); f.Event != "sockudo:connection_established" {
		c.Fatalf("greeted by %s", f.raw)
	}
	c.socket = hello.Socket
	c.Cleanup(func() { _ = nc.Close() })
}

// cut ends the connection without a word. What has not been read is lost.
func (c *client) cut() { _ = c.nc.Close() }

func (c *client) send(event string, data any) {
	c.Helper()
	text, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		c.Fatal(err)
	}
	c.sendRaw(string(text))
}

func (c *client) sendRaw(text string) {
	c.Helper()
	var to io.Writer = c.nc
	if c.corked != nil {
		to = c.corked
	}
	if err := ws.WriteFrame(to, ws.MaskFrame(ws.NewTextFrame([]byte(text)))); err != nil {
		c.Fatal(err)
	}
}

// tryRead gives the next frame, or why there is none.
func (c *client) tryRead() (frame, error) {
	for {
		_ = c.nc.SetReadDeadline(time.Now().Add(patience)) // of each frame: a storm takes as long as it takes
		w, err := frames.Read(c.in)
		if err != nil {
			return frame{}, err
		}
		switch w.Header.OpCode {
		case ws.OpText:
			f := frame{raw: string(w.Payload)}
			return f, json.Unmarshal(w.Payload, &f)
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(w.Payload)
			return frame{}, &closedError{int(code), reason}
		}
	}
}

type closedError struct {
	code   int
	reason string
}

func (e *closedError) Error() string { return e.reason }

func (c *client) read() frame {
	c.Helper()
	f, err := c.tryRead()
	if err != nil {
		c.Fatalf("read: %v; seen so far: %s", err, tail(c.seen))
	}
	return f
}

func tail(seen map[string][]string) map[string][]string {
	short := map[string][]string{}
	for name, all := range seen {
		short[name] = all[max(0, len(all)-5):]
	}
	return short
}

// next reads a frame and takes it as a client does.
func (c *client) next() frame {
	c.Helper()
	f := c.read()
	c.take(&f)
	return f
}

// until reads on to an event.
func (c *client) until(event string) frame {
	c.Helper()
	for {
		switch f := c.next(); f.Event {
		case event:
			return f
		case "sockudo:error":
			c.Fatalf("waiting for %s: %s", event, f.raw)
		}
	}
}

func (c *client) take(f *frame) {
	if f.Message != "" && c.ids != nil {
		if c.ids[f.Message] {
			return
		}
		c.ids[f.Message] = true
	}
	if f.Channel != "" && f.Serial != nil {
		c.positions[f.Channel] = position{f.Stream, *f.Serial}
	}
	switch {
	case f.Event == "sockudo:resume_failed":
		delete(c.positions, f.Channel)
		c.failed = append(c.failed, *f)
	case f.Event == "sockudo:resume_success":
		var success struct {
			Recovered []struct {
				Channel  string
				Position struct {
					Stream string `json:"stream_id"`
					Serial uint64
				}
			}
		}
		f.into(c, &success)
		for _, r := range success.Recovered {
			c.positions[r.Channel] = position{r.Position.Stream, r.Position.Serial}
		}
		c.notices = append(c.notices, *f)
	case f.Channel != "" && f.Event == "e", strings.HasPrefix(f.Event, "sockudo:message."):
		c.seen[f.Channel] = append(c.seen[f.Channel], f.text())
	default:
		c.notices = append(c.notices, *f)
	}
}

// subscribe asks for a channel, with a signature where one is needed.
func (c *client) subscribe(channel string) {
	c.Helper()
	data := map[string]any{"channel": channel}
	if strings.HasPrefix(channel, "private-") {
		data["auth"] = sign(c.socket + ":" + channel)
	}
	if c.rewind != "" {
		data["rewind"] = json.RawMessage(c.rewind)
	}
	c.send("sockudo:subscribe", data)
}

// resume presents the positions of the channels that there are any of.
func (c *client) resume(channels ...string) {
	c.Helper()
	positions := map[string]position{}
	for _, name := range channels {
		if p, ok := c.positions[name]; ok {
			positions[name] = p
		}
	}
	if len(positions) > 0 {
		c.send("sockudo:resume", map[string]any{"channel_positions": positions})
	}
}

// connect dials, subscribes and resumes, in the client's order.
// The frames go out in one write, since a resume that comes 25 ms after the first subscribe is too late.
func (c *client) connect(channels ...string) {
	c.Helper()
	c.dial()
	c.corked = &bytes.Buffer{}
	defer func() {
		frames := c.corked.Bytes()
		if c.corked = nil; len(frames) > 0 {
			if _, err := c.nc.Write(frames); err != nil {
				c.Fatal(err)
			}
		}
	}()
	if c.order == "resume first" {
		c.resume(channels...)
	}
	for _, name := range channels {
		c.subscribe(name)
	}
	if c.order != "resume first" {
		c.resume(channels...)
	}
}

// reach reads until the client has seen n events of a channel.
func (c *client) reach(channel string, n int) {
	c.Helper()
	for len(c.seen[channel]) < n {
		c.next()
	}
}

// quiet proves that nothing more is on its way: a ping is answered after everything that is queued.
func (c *client) quiet() {
	c.Helper()
	c.send("sockudo:ping", map[string]any{})
	if f := c.next(); f.Event != "sockudo:pong" {
		c.Fatalf("there was something more: %s", f.raw)
	}
}

// sees checks what the client has seen of a channel, in order.
func (c *client) sees(channel string, want []string) {
	c.Helper()
	got := c.seen[channel]
	if slices.Equal(got, want) {
		return
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	c.Fatalf("channel %s: saw %d events, want %d; the first difference is at %d:\n got …%v\nwant …%v", channel, len(got), len(want), at,
		got[max(0, at-2):min(len(got), at+5)], want[max(0, at-2):min(len(want), at+5)])
}

// ended reads until the connection ends, and says how.
func (c *client) ended() (code int, err error) {
	c.Helper()
	for {
		f, err := c.tryRead()
		var closed *closedError
		switch {
		case errors.As(err, &closed):
			return closed.code, nil
		case errors.Is(err, io.EOF):
			return 0, nil
		case err != nil:
			return 0, err
		}
		c.take(&f)
	}
}
