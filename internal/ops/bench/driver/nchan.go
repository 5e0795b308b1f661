package driver

import (
	"bytes"
	"context"
	"net/url"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/ops/bench/sock"
	"github.com/continuo-rt/continuo/internal/ops/bench/stamp"
)

// nchan is the nchan module of nginx: subscribers at /sub/<channel>, publishers at /pub/<channel>. To resume, the location
// needs "nchan_subscriber_last_message_id $arg_last_event_id".
type nchan struct{ config Config }

func (p *nchan) Name() string   { return "nchan" }
func (p *nchan) Op() ws.OpCode  { return ws.OpText }
func (p *nchan) Recovers() bool { return true }

// metaProtocol makes the server put the id of each message in front of it.
const metaProtocol = "ws+meta.nchan"

func (p *nchan) Request(sub Sub) sock.Request {
	query := ""
	if sub.From.ID != "" {
		query = "last_event_id=" + url.QueryEscape(sub.From.ID)
	}
	if sub.Track {
		return p.config.request("/sub/"+sub.Channel, query, metaProtocol)
	}
	return p.config.request("/sub/"+sub.Channel, query)
}

func (p *nchan) Session(sub Sub, sink Sink) Session {
	return &nchanSession{sub: sub, sink: sink, id: []byte(sub.From.ID)}
}

type nchanSession struct {
	sub  Sub
	sink Sink
	id   []byte
}

// Start is ready at once: the address is the subscription.
func (s *nchanSession) Start(Send) error {
	s.sink.Ready()
	return nil
}

func (s *nchanSession) Cursor() Cursor { return Cursor{ID: string(s.id)} }

func (s *nchanSession) Feed(payload []byte, _ Send) error {
	if s.sub.Track {
		if value, ok := bytes.CutPrefix(payload, []byte("id: ")); ok {
			id, _, _ := bytes.Cut(value, []byte{'\n'})
			s.id = append(s.id[:0], id...)
		}
	}
	if m, _, ok := stamp.Next(payload); ok {
		s.sink.Message(m)
	}
	return nil
}

func (p *nchan) Publisher(ctx context.Context, _ bool) (Publisher, error) {
	return httpPublisher{
		host:   p.config.URL.Host,
		header: "Content-Type: text/plain\r\n",
		target: func(channel string, _ []byte) string { return "/pub/" + channel },
		body:   func(dst []byte, _ string, data []byte) []byte { return append(dst, data...) },
	}.dial(ctx)
}
