package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/ops/bench/sock"
	"github.com/continuo-rt/continuo/internal/ops/bench/stamp"
)

// centrifugo is Centrifugo's JSON protocol over WebSocket, with publishing over its HTTP API. The server has to allow
// anonymous clients to connect and to subscribe.
type centrifugo struct{ config Config }

func (p *centrifugo) Name() string   { return "centrifugo" }
func (p *centrifugo) Op() ws.OpCode  { return ws.OpText }
func (p *centrifugo) Recovers() bool { return true }

func (p *centrifugo) Request(Sub) sock.Request {
	return p.config.request("/connection/websocket", "")
}

func (p *centrifugo) Session(sub Sub, sink Sink) Session {
	return &centrifugoSession{sub: sub, sink: sink, cursor: sub.From}
}

type centrifugoSession struct {
	sub    Sub
	sink   Sink
	cursor Cursor
}

func (s *centrifugoSession) Start(send Send) error { return send([]byte(`{"id":1,"connect":{}}`)) }
func (s *centrifugoSession) Cursor() Cursor        { return s.cursor }

var pushPrefix, offsetMember = []byte(`{"push":`), []byte(`"offset":`)

// Feed takes a frame, which holds one or more JSON documents, one a line. Marks are counted in all of them, since the
// answer to a subscribe carries the recovered publications itself.
func (s *centrifugoSession) Feed(payload []byte, send Send) error {
	for m, rest, ok := stamp.Next(payload); ok; m, rest, ok = stamp.Next(rest) {
		s.sink.Message(m)
	}
	for line := range bytes.Lines(payload) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
		case bytes.HasPrefix(line, pushPrefix):
			if err := s.push(line); err != nil {
				return err
			}
		case string(line) == "{}":
			if err := send(line); err != nil {
				return err
			}
		default:
			if err := s.reply(line, send); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *centrifugoSession) push(line []byte) error {
	if _, rest, ok := stamp.Next(line); ok {
		if s.sub.Track {
			if i := bytes.Index(rest, offsetMember); i >= 0 {
				s.cursor.Serial = leadingUint(rest[i+len(offsetMember):])
			}
		}
		return nil
	}
	if bytes.Contains(line, []byte(`"unsubscribe":`)) || bytes.Contains(line, []byte(`"disconnect":`)) {
		return reject("the subscription was ended", line)
	}
	return nil
}

func (s *centrifugoSession) reply(line []byte, send Send) error {
	var r struct {
		ID        int             `json:"id"`
		Error     json.RawMessage `json:"error"`
		Subscribe *struct {
			Epoch     string `json:"epoch"`
			Offset    uint64 `json:"offset"`
			Recovered bool   `json:"recovered"`
		} `json:"subscribe"`
	}
	if err := json.Unmarshal(line, &r); err != nil || r.Error != nil {
		return reject("an answer", line)
	}
	if r.Subscribe == nil {
		return send(s.subscribe())
	}
	if s.sub.From != (Cursor{}) && !r.Subscribe.Recovered {
		return reject("recovery", line)
	}
	s.cursor = Cursor{Stream: r.Subscribe.Epoch, Serial: r.Subscribe.Offset}
	s.sink.Ready()
	return nil
}

func (s *centrifugoSession) subscribe() []byte {
	if s.sub.From == (Cursor{}) {
		return fmt.Appendf(nil, `{"id":2,"subscribe":{"channel":%q}}`, s.sub.Channel)
	}
	return fmt.Appendf(nil, `{"id":2,"subscribe":{"channel":%q,"recover":true,"epoch":%q,"offset":%d}}`,
		s.sub.Channel, s.sub.From.Stream, s.sub.From.Serial)
}

func (p *centrifugo) Publisher(ctx context.Context, _ bool) (Publisher, error) {
	return httpPublisher{
		host:   p.config.URL.Host,
		header: "X-API-Key: " + p.config.Key + "\r\nContent-Type: application/json\r\n",
		target: func(string, []byte) string { return "/api/publish" },
		body: func(dst []byte, channel string, data []byte) []byte {
			dst = append(dst, `{"channel":"`...)
			dst = append(dst, channel...)
			dst = append(dst, `","data":"`...)
			dst = append(dst, data...)
			return append(dst, `"}`...)
		},
		check: func(answer []byte) error {
			if bytes.HasPrefix(answer, []byte(`{"error"`)) {
				return reject("publish", answer)
			}
			return nil
		},
	}.dial(ctx)
}
