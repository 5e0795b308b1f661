package driver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/ops/bench/sock"
	"github.com/continuo-rt/continuo/internal/ops/bench/stamp"
)

// pusher is the Pusher protocol: version 7 is what every Pusher library speaks, version 2 is Sockudo's own with positions
// and resume.
type pusher struct {
	config  Config
	version int
}

func (p *pusher) Name() string {
	if p.version == 2 {
		return "sockudo"
	}
	return "pusher"
}

func (p *pusher) Op() ws.OpCode  { return ws.OpText }
func (p *pusher) Recovers() bool { return p.version == 2 }

func (p *pusher) Request(Sub) sock.Request {
	return p.config.request("/app/"+p.config.Key, fmt.Sprintf("protocol=%d&client=bench&version=1&flash=false", p.version))
}

func (p *pusher) Session(sub Sub, sink Sink) Session {
	return &pusherSession{protocol: p, sub: sub, sink: sink, cursor: sub.From}
}

type pusherSession struct {
	protocol *pusher
	sub      Sub
	sink     Sink
	cursor   Cursor
}

func (s *pusherSession) Start(Send) error { return nil }
func (s *pusherSession) Cursor() Cursor   { return s.cursor }

// Feed looks for a mark first: that is the hot path, and an event frame carries at most one.
func (s *pusherSession) Feed(payload []byte, send Send) error {
	if m, rest, ok := stamp.Next(payload); ok {
		if s.sub.Track {
			s.follow(payload, rest)
		}
		s.sink.Message(m)
		return nil
	}
	var f pusherFrame
	if err := json.Unmarshal(payload, &f); err != nil {
		return reject("a frame that is not JSON", payload)
	}
	if s.sub.Track && f.Channel != "" && f.Serial != nil {
		s.cursor = Cursor{Stream: f.Stream, Serial: *f.Serial}
	}
	_, event, _ := strings.Cut(f.Event, ":")
	switch event {
	case "connection_established":
		return s.subscribe(f, send)
	case "subscription_succeeded":
		if s.sub.From == (Cursor{}) {
			s.sink.Ready()
		}
	case "resume_success":
		s.sink.Ready()
	case "ping":
		return send(s.frame("pong", struct{}{}))
	case "error", "resume_failed":
		return reject(event, payload)
	}
	return nil
}

type pusherFrame struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
	Stream  string          `json:"stream_id"`
	Serial  *uint64         `json:"serial"`
}

// subscribe answers the greeting with a subscribe and, when there is a cursor, a resume right behind it, as the
// JavaScript library does.
func (s *pusherSession) subscribe(greeting pusherFrame, send Send) error {
	data := map[string]any{"channel": s.sub.Channel, "auth": ""}
	if strings.HasPrefix(s.sub.Channel, "private-") || strings.HasPrefix(s.sub.Channel, "presence-") {
		if err := s.authorize(greeting.Data, data); err != nil {
			return err
		}
	}
	if err := send(s.frame("subscribe", data)); err != nil {
		return err
	}
	if s.sub.From == (Cursor{}) {
		return nil
	}
	position := map[string]any{"stream_id": s.sub.From.Stream, "serial": s.sub.From.Serial}
	inner, err := json.Marshal(map[string]any{"channel_positions": map[string]any{s.sub.Channel: position}})
	if err != nil {
		return err
	}
	return send(s.frame("resume", string(inner)))
}

// Join implements Joiner.
func (s *pusherSession) Join(channel string) []byte {
	return s.frame("subscribe", map[string]any{"channel": channel})
}

// Leave implements Joiner.
func (s *pusherSession) Leave(channel string) []byte {
	return s.frame("unsubscribe", map[string]any{"channel": channel})
}

// authorize does what an application's backend would: it signs for this socket and this channel.
func (s *pusherSession) authorize(greeting json.RawMessage, data map[string]any) error {
	var text string
	var who struct {
		Socket string `json:"socket_id"`
	}
	if json.Unmarshal(greeting, &text) != nil || json.Unmarshal([]byte(text), &who) != nil || who.Socket == "" {
		return reject("a greeting without socket_id", greeting)
	}
	toSign := who.Socket + ":" + s.sub.Channel
	if strings.HasPrefix(s.sub.Channel, "presence-") {
		member := fmt.Sprintf(`{"user_id":"user-%d"}`, s.sub.Index)
		data["channel_data"] = member
		toSign += ":" + member
	}
	c := s.protocol.config
	data["auth"] = c.Key + ":" + sign(c.Secret, toSign)
	return nil
}

func (s *pusherSession) frame(event string, data any) []byte {
	b, err := json.Marshal(map[string]any{"event": s.protocol.Name() + ":" + event, "data": data})
	if err != nil {
		panic("bench: a frame of strings cannot fail to marshal: " + err.Error())
	}
	return b
}

var serialMember, streamMember = []byte(`"serial":`), []byte(`"stream_id":"`)

// follow takes the position out of an event frame without decoding it. The members may stand on either side of the data.
func (s *pusherSession) follow(frame, afterMark []byte) {
	for _, part := range [][]byte{afterMark, frame[:len(frame)-len(afterMark)]} {
		if i := bytes.Index(part, serialMember); i >= 0 {
			s.cursor.Serial = leadingUint(part[i+len(serialMember):])
		}
		if i := bytes.Index(part, streamMember); i >= 0 {
			id, _, ok := bytes.Cut(part[i+len(streamMember):], []byte{'"'})
			if ok && string(id) != s.cursor.Stream {
				s.cursor.Stream = string(id)
			}
		}
	}
}

// leadingUint reads the digits that b begins with.
func leadingUint(b []byte) (v uint64) {
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		v = v*10 + uint64(c-'0')
	}
	return v
}

func sign(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func (p *pusher) Publisher(ctx context.Context, _ bool) (Publisher, error) {
	path := "/apps/" + p.config.App + "/events"
	h := httpPublisher{
		host: p.config.URL.Host,
		body: func(dst []byte, channel string, data []byte) []byte {
			dst = append(dst, `{"name":"bench","channel":"`...)
			dst = append(dst, channel...)
			dst = append(dst, `","data":"`...)
			dst = append(dst, data...)
			return append(dst, `"}`...)
		},
	}
	if p.config.Signed {
		h.target = func(_ string, body []byte) string { return path + "?" + p.config.signature(path, body, time.Now()) }
	} else {
		h.target = func(string, []byte) string { return path }
		h.header = "Authorization: Bearer " + p.config.Key + ":" + p.config.Secret + "\r\nContent-Type: application/json\r\n"
	}
	return h.dial(ctx)
}

func (c Config) signature(path string, body []byte, at time.Time) string {
	query := "auth_key=" + c.Key + "&auth_timestamp=" + strconv.FormatInt(at.Unix(), 10) +
		"&auth_version=1.0&body_md5=" + md5Hex(body)
	return query + "&auth_signature=" + sign(c.Secret, "POST\n"+path+"\n"+query)
}
