// Package sock is a WebSocket client connection for load generation: one read system call hands over every frame it
// brought, nothing is allocated per message, and an idle connection holds 1 KiB of buffer.
package sock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gobwas/ws"
)

const (
	firstBuffer = 1 << 10
	fullBuffer  = 64 << 10 // a buffer that a read fills grows up to this, so that a busy connection reads in large pieces
)

// Request says what to connect to.
type Request struct {
	URL       *url.URL // ws://host:port/path?query
	Header    http.Header
	Protocols []string // subprotocols to offer
	Local     net.IP   // source address, nil for any
}

// Conn is one connection. Read and Write may overlap with each other and with Close, but not with themselves.
type Conn struct {
	nc    net.Conn
	in    []byte // received and not yet handed over
	out   []byte // scratch of Write
	parts assembler
}

// Dial connects and upgrades. The deadline of ctx bounds both.
func Dial(ctx context.Context, r Request) (*Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: false}}
	if r.Local != nil {
		d.LocalAddr = &net.TCPAddr{IP: r.Local}
	}
	nc, err := d.DialContext(ctx, "tcp", r.URL.Host)
	if err != nil {
		return nil, err
	}
	c := &Conn{nc: nc}
	if err := c.upgrade(ctx, r); err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) upgrade(ctx context.Context, r Request) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.nc.SetDeadline(deadline); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { c.nc.Close() })
	defer stop()
	d := ws.Dialer{ReadBufferSize: firstBuffer, WriteBufferSize: firstBuffer, Protocols: r.Protocols}
	if len(r.Header) > 0 {
		d.Header = ws.HandshakeHeaderHTTP(r.Header)
	}
	br, _, err := d.Upgrade(c.nc, r.URL)
	if err != nil {
		return fmt.Errorf("websocket handshake with %s: %w", r.URL.Redacted(), err)
	}
	c.in = make([]byte, 0, firstBuffer)
	if br != nil { // the server's first frames came together with its answer
		early, err := br.Peek(br.Buffered())
		if err != nil {
			return err
		}
		c.in = append(c.in, early...)
		ws.PutReader(br)
	}
	return c.nc.SetDeadline(time.Time{})
}

// Early says that frames came with the handshake, so that Read has something to hand over without reading.
func (c *Conn) early() bool { return len(c.in) > 0 }

// Read waits for bytes and gives every message that is then complete to handle, in order; a payload is valid only during
// the call. Pings are answered here. It returns *CloseError when the server said goodbye.
func (c *Conn) Read(handle func(payload []byte) error) error {
	if c.early() {
		n := len(c.in)
		if err := c.drain(handle); err != nil || len(c.in) < n {
			return err
		}
	}
	if len(c.in) == cap(c.in) {
		c.in = append(make([]byte, 0, 2*cap(c.in)), c.in...)
	}
	n, err := c.nc.Read(c.in[len(c.in):cap(c.in)])
	if n > 0 {
		c.in = c.in[:len(c.in)+n]
		if full := len(c.in) == cap(c.in); full && cap(c.in) < fullBuffer {
			c.in = append(make([]byte, 0, 2*cap(c.in)), c.in...)
		}
		return errors.Join(c.drain(handle), err)
	}
	return err
}

// drain hands over the complete frames and moves the rest to the front.
func (c *Conn) drain(handle func([]byte) error) error {
	b := c.in
	for {
		h, ok, err := parseHeader(b)
		if err != nil {
			return err
		}
		if !ok || len(b) < h.size+h.length {
			break
		}
		payload := b[h.size : h.size+h.length]
		b = b[h.size+h.length:]
		if err := c.frame(h, payload, handle); err != nil {
			return err
		}
	}
	c.in = c.in[:copy(c.in, b)]
	return nil
}

func (c *Conn) frame(h header, payload []byte, handle func([]byte) error) error {
	switch h.op {
	case ws.OpPing:
		_, err := c.nc.Write(appendFrame(nil, ws.OpPong, payload))
		return err
	case ws.OpPong:
		return nil
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		return &CloseError{Code: code, Reason: reason}
	}
	_, message, done, err := c.parts.add(h, payload)
	if err != nil || !done {
		return err
	}
	return handle(message)
}

// Write sends one message.
func (c *Conn) Write(op ws.OpCode, payload []byte) error {
	c.out = appendFrame(c.out[:0], op, payload)
	_, err := c.nc.Write(c.out)
	return err
}

// SetReadDeadline bounds the reads to come; zero lifts the bound.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.nc.SetReadDeadline(t) }

// Close ends the connection as a browser that leaves does: a close frame, then the end of the stream.
func (c *Conn) Close() error {
	_ = c.nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // a server that does not read must not hold us up
	_, _ = c.nc.Write(appendFrame(nil, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
	return c.nc.Close()
}

// Drop ends the connection as a cable that breaks does: no close frame, and the server learns of it by a reset. It leaves
// no port behind in TIME_WAIT, which matters when ten thousand connections end at once.
func (c *Conn) Drop() error {
	if tcp, ok := c.nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	return c.nc.Close()
}

// SourceAddress spreads connections over the addresses of the loopback network, since one source address has only some
// 28,000 ports to one destination. The first share uses none in particular.
func SourceAddress(target net.IP, index int) net.IP {
	const share = 8_000
	four := target.To4()
	if four == nil || four[0] != 127 || index < share {
		return nil
	}
	return net.IPv4(127, 0, 0, byte(2+(index/share-1)%250))
}
