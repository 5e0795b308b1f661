package continuo

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// transport carries text frames over one connection.
type transport interface {
	// read returns the next text frame; the bytes are good until the next call. After an error there is nothing more.
	read() ([]byte, error)
	// write sends a text frame; it may block.
	write(text []byte) error
	// close says why, and ends read and write within a second or so.
	close(code int)
	// expire ends write, also one that blocks, within a second or so.
	expire()
}

// refusal is the error of a handshake that was answered by something else than a WebSocket.
type refusal struct {
	status int // 0: it was not answered by HTTP
	after  time.Duration
	err    error
}

func (r *refusal) Error() string { return "the handshake was refused: " + r.err.Error() }

// closure is the error of a connection that has ended.
type closure struct {
	code int
	err  error
}

func (c *closure) Error() string { return "the connection has ended: " + c.err.Error() }

// errBinary is the error of a message that is no text; the connection goes on.
var errBinary = errors.New("a binary message")

const (
	subprotocol = "continuo.rooms.v1"
	maxMessage  = 16 << 20
	closeWithin = time.Second
)

// dialer opens WebSockets.
type dialer struct {
	url    string // of /rooms, ws or wss
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	header http.Header
}

func (d *dialer) open(ctx context.Context, token string) (transport, error) {
	header := d.header.Clone()
	if token != "" {
		if header == nil {
			header = http.Header{}
		}
		header.Set("Authorization", "Bearer "+token)
	}
	refused := &refusal{}
	w := ws.Dialer{NetDial: d.dial, Protocols: []string{subprotocol}, Header: ws.HandshakeHeaderHTTP(header)}
	w.OnStatusError = func(status int, _ []byte, answer io.Reader) {
		refused.status = status
		if r, err := http.ReadResponse(bufio.NewReader(answer), nil); err == nil {
			refused.after = retryAfter(r.Header)
			_ = r.Body.Close()
		}
	}
	conn, buffered, _, err := w.Dial(ctx, d.url)
	if err != nil {
		refused.err = err
		return nil, refused
	}
	if buffered == nil {
		buffered = bufio.NewReaderSize(conn, 8<<10)
	}
	return &socket{conn: conn, in: buffered}, nil
}

// retryAfter reads the seconds of a Retry-After.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 24)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// endpoints are the addresses of a server whose base is http(s) or ws(s): of its sockets, and of its HTTP.
func endpoints(base string) (sockets, plain *url.URL, err error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, nil, err
	}
	secure := u.Scheme == "https" || u.Scheme == "wss"
	if !secure && u.Scheme != "http" && u.Scheme != "ws" || u.Host == "" {
		return nil, nil, errors.New("continuo: the url " + strconv.Quote(base) + " is none of http, https, ws or wss")
	}
	s, p := *u, *u
	s.Scheme, p.Scheme = "ws", "http"
	if secure {
		s.Scheme, p.Scheme = "wss", "https"
	}
	return s.JoinPath("rooms"), &p, nil
}

// socket is a WebSocket.
type socket struct {
	conn    net.Conn
	in      *bufio.Reader
	message []byte

	mu  sync.Mutex // guards writing
	out []byte
}

func (s *socket) read() ([]byte, error) {
	s.message = s.message[:0]
	text := true
	for {
		h, err := ws.ReadHeader(s.in)
		if err != nil {
			return nil, s.ended(1006, err)
		}
		if h.Rsv != 0 || h.Masked || h.OpCode.IsReserved() || h.OpCode.IsControl() && (!h.Fin || h.Length > ws.MaxControlFramePayloadSize) {
			// That is no word of the server: something between may have garbled it.
			return nil, s.ended(1006, errors.New("a frame that is none of the WebSocket protocol"))
		}
		if h.Length > int64(maxMessage-len(s.message)) {
			return nil, s.ended(1009, errors.New("a message that is too large"))
		}
		start := len(s.message)
		s.message = append(s.message, make([]byte, h.Length)...)
		if _, err := io.ReadFull(s.in, s.message[start:]); err != nil {
			return nil, s.ended(1006, err)
		}
		switch {
		case h.OpCode.IsControl():
			err := s.control(h.OpCode, s.message[start:])
			s.message = s.message[:start]
			if err != nil {
				return nil, err
			}
			continue
		case h.OpCode != ws.OpContinuation:
			text = h.OpCode == ws.OpText
		}
		if h.Fin && !text {
			return nil, errBinary
		}
		if h.Fin {
			return s.message, nil
		}
	}
}

func (s *socket) control(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		if err := s.frame(ws.OpPong, payload); err != nil {
			return s.ended(1006, err)
		}
	case ws.OpClose:
		code := 1005
		if len(payload) >= 2 {
			code = int(binary.BigEndian.Uint16(payload))
		}
		_ = s.frame(ws.OpClose, payload[:min(2, len(payload))])
		return s.ended(code, errors.New("the server has closed it"))
	}
	return nil
}

// ended ends the socket and returns why.
func (s *socket) ended(code int, err error) error {
	_ = s.conn.Close()
	return &closure{code, err}
}

func (s *socket) write(text []byte) error { return s.frame(ws.OpText, text) }

func (s *socket) frame(op ws.OpCode, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Mask: ws.NewMask(), Length: int64(len(payload))}
	s.out = s.out[:0]
	buffer := appender{s.out}
	if err := ws.WriteHeader(&buffer, h); err != nil {
		return err
	}
	start := len(buffer.b)
	s.out = append(buffer.b, payload...)
	ws.Cipher(s.out[start:], h.Mask, 0)
	_, err := s.conn.Write(s.out)
	return err
}

// appender is a Writer into memory.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

func (s *socket) expire() { _ = s.conn.SetDeadline(time.Now().Add(closeWithin)) }

// close says the code and lets the server answer, but not for long.
func (s *socket) close(code int) {
	s.expire()
	var payload [2]byte
	binary.BigEndian.PutUint16(payload[:], uint16(code))
	if s.frame(ws.OpClose, payload[:]) != nil {
		_ = s.conn.Close()
	}
}
