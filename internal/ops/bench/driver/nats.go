package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/ops/bench/sock"
	"github.com/continuo-rt/continuo/internal/ops/bench/stamp"
)

// nats is the text protocol of NATS inside binary WebSocket messages: core NATS, that is without history.
type nats struct{ config Config }

func (p *nats) Name() string             { return "nats" }
func (p *nats) Op() ws.OpCode            { return ws.OpBinary }
func (p *nats) Recovers() bool           { return false }
func (p *nats) Request(Sub) sock.Request { return p.config.request("/", "") }

const natsConnect = `CONNECT {"verbose":false,"pedantic":false,"lang":"go","version":"1","protocol":1,"headers":false}` + "\r\n"

func (p *nats) Session(sub Sub, sink Sink) Session {
	return &natsSession{hello: natsConnect + "SUB " + sub.Channel + " 1\r\nPING\r\n", sink: sink}
}

type natsSession struct {
	hello  string // what to say to the server's INFO
	sink   Sink
	stream natsStream
	ready  bool
}

func (s *natsSession) Start(Send) error { return nil }
func (s *natsSession) Cursor() Cursor   { return Cursor{} }

func (s *natsSession) Feed(payload []byte, send Send) error {
	return s.stream.feed(payload, func(verb natsVerb, data []byte) error {
		switch verb {
		case natsMsg:
			if m, _, ok := stamp.Next(data); ok {
				s.sink.Message(m)
			}
		case natsInfo:
			if s.hello != "" {
				hello := []byte(s.hello)
				s.hello = ""
				return send(hello)
			}
		case natsPing:
			return send([]byte("PONG\r\n"))
		case natsPong:
			if !s.ready {
				s.ready = true
				s.sink.Ready()
			}
		case natsErr:
			return reject("NATS", data)
		}
		return nil
	})
}

type natsVerb uint8

const (
	natsMsg natsVerb = iota
	natsInfo
	natsPing
	natsPong
	natsOK
	natsErr
)

var errNATS = errors.New("NATS: malformed operation")

// maxOperation bounds what is kept of an operation that is not yet complete.
const maxOperation = 16 << 20

// natsStream cuts the byte stream inside the messages into operations. An operation may span messages.
type natsStream struct{ rest []byte }

// feed takes the next bytes and hands over each complete operation: the payload of a MSG, the line of others.
func (n *natsStream) feed(b []byte, handle func(natsVerb, []byte) error) error {
	if len(n.rest) > 0 {
		n.rest = append(n.rest, b...)
		b = n.rest
	}
	for len(b) > 0 {
		verb, data, size, err := natsOperation(b)
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if err := handle(verb, data); err != nil {
			return err
		}
		b = b[size:]
	}
	if len(b) > maxOperation {
		return errNATS
	}
	n.rest = append(n.rest[:0], b...)
	return nil
}

var crlf = []byte("\r\n")

// natsOperation reads the operation at the start of b. size is 0 while it is not complete.
func natsOperation(b []byte) (verb natsVerb, data []byte, size int, err error) {
	i := bytes.Index(b, crlf)
	if i < 0 {
		return 0, nil, 0, nil
	}
	line, after := b[:i], i+len(crlf)
	switch {
	case bytes.HasPrefix(line, []byte("MSG ")):
		n, err := strconv.ParseUint(string(line[bytes.LastIndexByte(line, ' ')+1:]), 10, 24)
		if err != nil {
			return 0, nil, 0, errNATS
		}
		end := after + int(n)
		if len(b) < end+len(crlf) {
			return 0, nil, 0, nil
		}
		if b[end] != '\r' || b[end+1] != '\n' {
			return 0, nil, 0, errNATS
		}
		return natsMsg, b[after:end], end + len(crlf), nil
	case bytes.HasPrefix(line, []byte("INFO ")):
		verb = natsInfo
	case string(line) == "PING":
		verb = natsPing
	case string(line) == "PONG":
		verb = natsPong
	case string(line) == "+OK":
		verb = natsOK
	case bytes.HasPrefix(line, []byte("-ERR")):
		verb = natsErr
	default:
		return 0, nil, 0, fmt.Errorf("%w: %.60q", errNATS, line)
	}
	return verb, line, after, nil
}

// natsFlushEvery is how many publishes an unacknowledged publisher sends before it asks whether they arrived, so that it
// hears of errors and cannot run ahead of the server without bound.
const natsFlushEvery = 256

func (p *nats) Publisher(ctx context.Context, acked bool) (Publisher, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	c, err := sock.Dial(ctx, p.Request(Sub{}))
	if err != nil {
		return nil, err
	}
	pub := &natsPublisher{conn: c, every: natsFlushEvery, out: []byte(natsConnect)}
	if acked {
		pub.every = 1
	}
	if err := pub.flush(); err != nil {
		c.Drop()
		return nil, err
	}
	return pub, nil
}

type natsPublisher struct {
	conn   *sock.Conn
	stream natsStream
	out    []byte
	every  int
	unsure int // publishes since the last flush
}

func (p *natsPublisher) Publish(_ context.Context, channel string, data []byte) error {
	b := append(p.out[:0], "PUB "...)
	b = append(b, channel...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(data)), 10)
	b = append(b, crlf...)
	b = append(b, data...)
	p.out = append(b, crlf...)
	if p.unsure++; p.unsure >= p.every {
		return p.flush()
	}
	return p.conn.Write(ws.OpBinary, p.out)
}

// flush sends what is in out with a PING behind it and waits for the PONG: the server works in order, so it has then
// taken everything before.
func (p *natsPublisher) flush() error {
	p.unsure = 0
	p.out = append(p.out, "PING\r\n"...)
	if err := p.conn.SetReadDeadline(time.Now().Add(Timeout)); err != nil {
		return err
	}
	if err := p.conn.Write(ws.OpBinary, p.out); err != nil {
		return err
	}
	for pong := false; !pong; {
		err := p.conn.Read(func(payload []byte) error {
			return p.stream.feed(payload, func(verb natsVerb, data []byte) error {
				switch verb {
				case natsPong:
					pong = true
				case natsPing:
					return p.conn.Write(ws.OpBinary, []byte("PONG\r\n"))
				case natsErr:
					return reject("NATS", data)
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *natsPublisher) Close() error { return p.conn.Close() }
