package faces

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// note is what a follower wrote down of one frame: what it is about, in the protocol's own words.
type note struct {
	serial uint64 // 0: the protocol tells none
	what   string // kind of the frame
	data   string // as compact JSON, or the text
}

// protocol is how one kind of client follows the channel.
type protocol interface {
	// begin connects, asks for the channel and for what was missed, and returns when the answer has come.
	begin() (*socket, error)
	// take reads one frame; ok is false for frames that are not about messages.
	take(raw []byte, binary bool) (n note, ok bool, err error)
}

// follower is one client: it is cut once, in the middle, and comes back by the means of its protocol.
type follower struct {
	name string
	p    protocol
	w    *world

	mu    sync.Mutex
	sock  *socket
	notes []note
	back  int // notes when it came back
	done  chan struct{}
}

const lastWord = "the last word"

func (w *world) follow(name string, p protocol) *follower {
	w.Helper()
	f := &follower{name: name, p: p, w: w, done: make(chan struct{})}
	sock, err := p.begin()
	if err != nil {
		w.Fatalf("%s: %v", name, err)
	}
	f.sock = sock
	go f.run(sock)
	return f
}

func (f *follower) run(sock *socket) {
	defer close(f.done)
	for {
		raw, binary, err := sock.read()
		if err != nil {
			if f.back > 0 {
				f.w.Errorf("%s: %v", f.name, err)
				return
			}
			f.back = len(f.notes)
			<-f.w.back
			if sock, err = f.p.begin(); err != nil {
				f.w.Errorf("%s did not come back: %v", f.name, err)
				return
			}
			f.mu.Lock()
			f.sock = sock
			f.mu.Unlock()
			continue
		}
		n, ok, err := f.p.take(raw, binary)
		switch {
		case err != nil:
			f.w.Errorf("%s: %v in %s", f.name, err, raw)
			return
		case ok:
			f.notes = append(f.notes, n)
			if n.data == lastWord {
				_ = sock.Close()
				return
			}
		}
	}
}

// cut breaks the connection.
func (f *follower) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.sock.Close()
}

// pusher follows by the Pusher protocol: V1, which knows no past, or V2.
type pusher struct {
	w       *world
	version int
	socket  string
	stream  string
	serial  uint64
}

func (p *pusher) begin() (*socket, error) {
	version, prefix := "7", "pusher:"
	if p.version == 2 {
		version, prefix = "2", "sockudo:"
	}
	s := p.w.dial("/app/key?protocol="+version, "")
	raw, _, err := s.read()
	if err != nil {
		return nil, err
	}
	var hello struct{ Data string }
	var id struct {
		Socket string `json:"socket_id"`
	}
	if err := json.Unmarshal(raw, &hello); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(hello.Data), &id); err != nil {
		return nil, err
	}
	p.socket = id.Socket
	if err := s.send(map[string]any{"event": prefix + "subscribe", "data": map[string]string{"channel": channel, "auth": sign(p.socket + ":" + channel)}}); err != nil {
		return nil, err
	}
	if p.version == 2 && p.stream != "" {
		err = s.send(map[string]any{"event": "sockudo:resume", "data": map[string]any{"channel_positions": map[string]any{channel: map[string]any{"stream_id": p.stream, "serial": p.serial}}}})
		return s, err
	}
	for {
		raw, _, err := s.read()
		if err != nil {
			return nil, err
		}
		var f struct{ Event string }
		if err := json.Unmarshal(raw, &f); err != nil {
			return nil, err
		}
		if f.Event == "pusher_internal:subscription_succeeded" || f.Event == "sockudo_internal:subscription_succeeded" {
			return s, nil
		}
	}
}

func (p *pusher) take(raw []byte, _ bool) (note, bool, error) {
	var f struct {
		Event   string
		Channel string
		Name    string
		Data    json.RawMessage
		Stream  string `json:"stream_id"`
		Serial  uint64
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return note{}, false, err
	}
	switch f.Event {
	case "sockudo:resume_failed", "pusher:error", "sockudo:error":
		return note{}, false, fmt.Errorf("an error")
	case "sockudo_internal:subscription_succeeded", "sockudo:resume_success", "sockudo_internal:position":
		return note{}, false, nil
	}
	if p.version == 2 {
		if f.Serial <= p.serial {
			return note{}, false, fmt.Errorf("serial %d after %d", f.Serial, p.serial)
		}
		p.stream, p.serial = f.Stream, f.Serial
	}
	return note{serial: f.Serial, what: f.Event, data: plain(f.Data)}, true, nil
}

// plain is data as everybody writes it down here: a string as its text, any other JSON as it is.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// feedClient follows by the feed protocol, in JSON or MessagePack.
type feedClient struct {
	w      *world
	binary bool
	epoch  string
	seen   string
}

func (c *feedClient) begin() (*socket, error) {
	s := c.w.dial("/feed", "")
	login := map[string]any{"type": "login", "apiKey": "feed-key", "channels": []string{channel}, "receiveType": map[bool]string{false: "json", true: "binary"}[c.binary]}
	if c.seen != "" {
		login["serverEpoch"], login["lastSeenId"] = c.epoch, map[string]string{channel: c.seen}
	}
	if err := s.send(login); err != nil {
		return nil, err
	}
	raw, _, err := s.read()
	if err != nil {
		return nil, err
	}
	var ok struct {
		Type   string
		Resume struct {
			Epoch string `json:"serverEpoch"`
		}
	}
	if err := json.Unmarshal(raw, &ok); err != nil || ok.Type != "login_ok" {
		return nil, fmt.Errorf("the login was answered with %s", raw)
	}
	c.epoch = ok.Resume.Epoch
	return s, nil
}

func (c *feedClient) take(raw []byte, binary bool) (note, bool, error) {
	var f struct {
		Type    string
		Payload any
		EntryID string `json:"entryId" msgpack:"entryId"`
	}
	if binary {
		m := map[string]any{}
		if err := msgpack.Unmarshal(raw, &m); err != nil {
			return note{}, false, err
		}
		f.Type, _ = m["type"].(string)
		f.EntryID, _ = m["entryId"].(string)
		f.Payload = m["payload"]
	} else if err := json.Unmarshal(raw, &f); err != nil {
		return note{}, false, err
	}
	switch f.Type {
	case "resume_complete":
		return note{}, false, nil
	case "UPDATE", "DELETE":
	default:
		return note{}, false, fmt.Errorf("a frame of type %s", f.Type)
	}
	if binary != c.binary {
		return note{}, false, fmt.Errorf("a data frame with binary %v", binary)
	}
	c.seen = f.EntryID
	n := note{what: f.Type}
	if _, err := fmt.Sscanf(f.EntryID[len(f.EntryID)-len(after(f.EntryID)):], "%d", &n.serial); err != nil {
		return n, false, err
	}
	if text, ok := f.Payload.(string); ok {
		n.data = text
	} else if f.Payload != nil {
		raw, err := json.Marshal(f.Payload)
		if err != nil {
			return n, false, err
		}
		n.data = string(raw)
	}
	return n, true, nil
}

// after is the serial of an entry id, which follows its time.
func after(id string) string {
	for i := range len(id) {
		if id[i] == '-' {
			return id[i+1:]
		}
	}
	return ""
}

// room follows by the rooms protocol.
type room struct {
	w       *world
	stream  string
	cursor  uint64
	session string
	secret  string
}

type roomFrame struct {
	Kind        string
	Session     string `json:"session_id"`
	Secret      string `json:"session_secret"`
	Stream      string `json:"stream_id"`
	Event       uint64 `json:"event_id"`
	Message     string `json:"message_id"`
	Correlation string `json:"correlation_id"`
	Text        *string
	Payload     json.RawMessage
	Counts      json.RawMessage
	Resumed     bool
}

func (r *room) begin() (*socket, error) {
	s := r.w.dial("/rooms", r.w.bearer("follower"))
	hello := map[string]any{"kind": "client.hello", "protocol_version": 1, "session_id": r.session, "session_secret": r.secret}
	join := map[string]any{"kind": "client.join", "room_id": channel}
	if r.stream != "" {
		join["resume_from"], join["stream_id"] = r.cursor, r.stream
	}
	if err := s.send(hello); err != nil {
		return nil, err
	}
	if err := s.send(join); err != nil {
		return nil, err
	}
	for {
		raw, _, err := s.read()
		if err != nil {
			return nil, err
		}
		var f roomFrame
		if err := json.Unmarshal(raw, &f); err != nil {
			return nil, err
		}
		switch f.Kind {
		case "server.hello":
			r.session, r.secret = f.Session, f.Secret
		case "room.joined":
			if r.stream != "" && !f.Resumed {
				return nil, fmt.Errorf("the join was not resumed: %s", raw)
			}
			if r.stream == "" {
				r.cursor = f.Event
			}
			r.stream = f.Stream
			return s, nil
		default:
			return nil, fmt.Errorf("the join was answered with %s", raw)
		}
	}
}

func (r *room) take(raw []byte, _ bool) (note, bool, error) {
	var f roomFrame
	if err := json.Unmarshal(raw, &f); err != nil {
		return note{}, false, err
	}
	switch f.Kind {
	case "room.resumed":
		if f.Event != r.cursor {
			return note{}, false, fmt.Errorf("resumed at %d, but the last event was %d", f.Event, r.cursor)
		}
		return note{}, false, nil
	case "server.error", "room.snapshot_required":
		return note{}, false, fmt.Errorf("lost")
	}
	if f.Event != r.cursor+1 {
		return note{}, false, fmt.Errorf("event %d after %d", f.Event, r.cursor)
	}
	r.cursor = f.Event
	n := note{serial: f.Event, what: f.Kind}
	switch {
	case f.Text != nil:
		n.data = *f.Text
	case f.Payload != nil:
		n.data = string(f.Payload)
	case f.Counts != nil:
		n.data = string(f.Counts)
	}
	return n, true, nil
}
