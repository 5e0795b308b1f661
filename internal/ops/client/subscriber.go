package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Cursor is the last position seen of a channel.
type Cursor struct {
	Stream string `json:"stream_id,omitempty"` // empty: the serial of whatever stream is there
	Serial uint64 `json:"serial"`
}

// Event is one message of a channel, or a notice about it.
type Event struct {
	Channel string          `json:"channel"`
	Event   string          `json:"event"`
	Data    json.RawMessage `json:"data,omitempty"`
	Stream  string          `json:"stream_id,omitempty"`
	Serial  uint64          `json:"serial,omitempty"`
	Message string          `json:"message_id,omitempty"`
	Extras  json.RawMessage `json:"extras,omitempty"`
}

// State is what a subscriber tells of its connection.
type State struct {
	State   string        `json:"state"` // connected, subscribed, disconnected, resumed, lost, rewound
	Channel string        `json:"channel,omitempty"`
	Reason  string        `json:"reason,omitempty"`
	Missed  int           `json:"missed"`
	Retry   time.Duration `json:"-"`
}

// Subscriber follows channels over the V2 protocol and resumes after every disconnect. Not safe for concurrent use.
type Subscriber struct {
	URL      string // http(s):// or ws(s)://HOST:PORT
	Key      string
	Channels []string
	// Cursors are where to continue; it is kept up to date. May be nil.
	Cursors map[string]Cursor
	// Rewind asks for so many messages before the start, on the first connect of channels without a cursor.
	Rewind int
	// Event is called for every message, in order; its error ends Run. The cursor moves after it has returned.
	Event func(Event) error
	// Moved is called when a cursor has moved, and after every message; its error ends Run. nil: nobody asks.
	Moved func() error
	// State is told of the connection; nil: nobody.
	State func(State)
}

// errFatal is wrapped by errors that a reconnect does not cure.
var errFatal = errors.New("refused")

// Run follows until ctx ends, an Event call fails, or the server refuses for good.
func (s *Subscriber) Run(ctx context.Context) error {
	if s.Cursors == nil {
		s.Cursors = map[string]Cursor{}
	}
	for attempt := 0; ; attempt++ {
		started := time.Now()
		err := s.connect(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errFatal) {
			return err
		}
		if time.Since(started) > 10*time.Second {
			attempt = 0
		}
		delay := time.Duration(rand.Int64N(int64(min(30*time.Second, 250*time.Millisecond<<min(attempt, 7)))))
		s.tell(State{State: "disconnected", Reason: fmt.Sprint(err), Retry: delay})
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
	}
}

func (s *Subscriber) tell(st State) {
	if s.State != nil {
		s.State(st)
	}
}

func (s *Subscriber) target() (string, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", fmt.Errorf("%w: %v", errFatal, err)
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	u.Path = strings.TrimRight(u.Path, "/") + "/app/" + url.PathEscape(s.Key)
	u.RawQuery = "protocol=2&client=continuo-cli"
	return u.String(), nil
}

// connect serves one connection until it ends.
func (s *Subscriber) connect(ctx context.Context) error {
	target, err := s.target()
	if err != nil {
		return err
	}
	nc, br, _, err := ws.Dialer{Timeout: 10 * time.Second}.Dial(ctx, target)
	if err != nil {
		return err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	var in io.Reader = nc
	if br != nil {
		in = br
	}
	l := &link{s: s, nc: nc, rw: struct {
		io.Reader
		io.Writer
	}{in, nc}}
	return l.run()
}

// link is one connection.
type link struct {
	s      *Subscriber
	nc     net.Conn
	rw     io.ReadWriter
	missed int
	// resuming are the channels whose resume has not been answered yet: what comes for them is a replay.
	resuming map[string]bool
}

func (l *link) run() error {
	for {
		_ = l.nc.SetReadDeadline(time.Now().Add(90 * time.Second))
		frame, op, err := wsutil.ReadServerData(l.rw)
		if err != nil {
			var closed wsutil.ClosedError
			if errors.As(err, &closed) && (closed.Code >= 4000 && closed.Code < 4100 || closed.Code >= 4300) {
				return fmt.Errorf("%w: the server closed with %d %s", errFatal, closed.Code, closed.Reason)
			}
			return err
		}
		if op != ws.OpText {
			continue
		}
		var e Event
		if err := json.Unmarshal(frame, &e); err != nil {
			return fmt.Errorf("the server sent a frame that is not JSON: %w", err)
		}
		if err := l.handle(e); err != nil {
			return err
		}
	}
}

func (l *link) handle(e Event) error {
	name := e.Event
	switch {
	case name == "sockudo:connection_established":
		return l.subscribe()
	case name == "sockudo:error":
		var d struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		}
		if json.Unmarshal(e.Data, &d) == nil && (d.Code < 4100 || d.Code >= 4300) {
			return fmt.Errorf("%w: %s (%d)", errFatal, d.Message, d.Code)
		}
		return fmt.Errorf("the server says: %s", e.Data)
	case name == "sockudo:resume_failed":
		l.failed(e)
		return l.moved()
	case name == "sockudo:resume_success":
		l.resumed(e)
		return l.moved()
	case name == "sockudo:rewind_complete":
		l.move(e)
		l.s.tell(State{State: "rewound", Channel: e.Channel})
		return l.moved()
	case name == "sockudo_internal:subscription_succeeded", name == "sockudo_internal:position":
		if name == "sockudo_internal:subscription_succeeded" {
			l.s.tell(State{State: "subscribed", Channel: e.Channel})
		}
		if _, have := l.s.Cursors[e.Channel]; !have || name == "sockudo_internal:position" {
			l.move(e)
			return l.moved()
		}
	case strings.HasPrefix(name, "sockudo:") && !strings.HasPrefix(name, "sockudo:message."), strings.HasPrefix(name, "sockudo_internal:"):
	default:
		if l.resuming[e.Channel] {
			l.missed++
		}
		e.Data = unwrap(e.Data)
		if err := l.s.Event(e); err != nil {
			return fmt.Errorf("%w: %w", errFatal, err)
		}
		l.move(e)
		return l.moved()
	}
	return nil
}

func (l *link) moved() error {
	if l.s.Moved == nil {
		return nil
	}
	if err := l.s.Moved(); err != nil {
		return fmt.Errorf("%w: %w", errFatal, err)
	}
	return nil
}

func (l *link) move(e Event) {
	if e.Stream != "" {
		l.s.Cursors[e.Channel] = Cursor{e.Stream, e.Serial}
	}
}

// resumed takes the answer of a resume: one for all channels that were subscribed in time, one for each later one.
func (l *link) resumed(e Event) {
	var text string
	var d struct {
		Recovered []struct {
			Channel  string  `json:"channel"`
			Position *Cursor `json:"position"`
		} `json:"recovered"`
	}
	if json.Unmarshal(e.Data, &text) != nil || json.Unmarshal([]byte(text), &d) != nil {
		return
	}
	for _, r := range d.Recovered {
		delete(l.resuming, r.Channel)
		if r.Position != nil && r.Position.Stream != "" {
			l.s.Cursors[r.Channel] = *r.Position
		}
	}
	if len(d.Recovered) > 0 && len(l.resuming) == 0 {
		l.s.tell(State{State: "resumed", Missed: l.missed})
	}
}

func (l *link) failed(e Event) {
	delete(l.resuming, e.Channel)
	var text string
	var d struct {
		Code    string  `json:"code"`
		Reason  string  `json:"reason"`
		Current string  `json:"current_stream_id"`
		Newest  *uint64 `json:"newest_available_serial"`
	}
	if json.Unmarshal(e.Data, &text) != nil || json.Unmarshal([]byte(text), &d) != nil {
		return
	}
	delete(l.s.Cursors, e.Channel)
	if d.Current != "" && d.Newest != nil {
		l.s.Cursors[e.Channel] = Cursor{d.Current, *d.Newest}
	}
	l.s.tell(State{State: "lost", Channel: e.Channel, Reason: d.Code + ": " + d.Reason})
}

// subscribe presents the positions of the channels that have one, then asks for every channel. In this order nothing
// depends on time: a position is held until its channel is subscribed, however late that frame arrives.
func (l *link) subscribe() error {
	positions := map[string]Cursor{}
	l.resuming = map[string]bool{}
	for _, c := range l.s.Channels {
		if cur, ok := l.s.Cursors[c]; ok {
			positions[c], l.resuming[c] = cur, true
		}
	}
	l.s.tell(State{State: "connected", Reason: strings.Join(slices.Sorted(maps.Keys(positions)), ",")})
	if len(positions) > 0 {
		if err := l.send("sockudo:resume", map[string]any{"channel_positions": positions}); err != nil {
			return err
		}
	}
	for _, c := range l.s.Channels {
		data := map[string]any{"channel": c}
		if _, resumes := positions[c]; !resumes && l.s.Rewind > 0 {
			data["rewind"] = l.s.Rewind
		}
		if err := l.send("sockudo:subscribe", data); err != nil {
			return err
		}
	}
	return nil
}

func (l *link) send(event string, data any) error {
	text, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		return err
	}
	return wsutil.WriteClientText(l.nc, text)
}

// unwrap gives the data that a JSON string holds if that is JSON itself, else the string.
func unwrap(data json.RawMessage) json.RawMessage {
	var text string
	if json.Unmarshal(data, &text) == nil && len(text) > 0 && (text[0] == '{' || text[0] == '[') && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return data
}
