// Package ws holds the server's side of WebSocket connections (RFC 6455, permessage-deflate of RFC 7692).
//
// A connection costs little while nothing happens: over plain TCP it waits for its socket without a buffer. It writes
// nothing by itself, neither pongs nor close frames: they are the owner's to queue, so that they never land inside
// another frame.
//
// Every data message is read with Read; frames are made once (Frame, CompressedFrame), shared by reference, and written
// by whoever owns the write side, one call at a time (TryWrite, WriteSome, Write).
package ws

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Control hears of the control frames that Read meets. It is called by the goroutine that reads.
type Control interface {
	// OnPing asks for a pong with the same payload (PongFrame), which is valid during the call only. A ping may remain
	// unanswered if a later one is answered.
	OnPing(payload []byte)
	// OnPong tells of a pong, asked for or not.
	OnPong()
}

// Conn is a connection of the server after the handshake. One goroutine reads, one writes; Close may be called by any.
type Conn struct {
	nc       net.Conn
	raw      syscall.RawConn // nil: reads and writes block (TLS, and connections that are no file)
	readRaw  func(fd uintptr) bool
	writeRaw func(fd uintptr) bool
	control  Control

	in     input
	out    output
	broken error // what Read returned, and will return

	readLimit    int
	writeTimeout time.Duration
	closed       atomic.Bool
	tls          bool
	deflate      bool
}

// New makes a connection of a socket whose handshake is done. pending is what has been read from it already; it is
// copied. Upgrade is the usual way here.
func New(nc net.Conn, pending []byte, o Options) *Conn {
	c := &Conn{nc: nc, control: o.Control, readLimit: o.readLimit(), writeTimeout: o.WriteTimeout}
	c.in.preset(pending)
	if s, ok := nc.(syscall.Conn); ok && rawIO {
		if raw, err := s.SyscallConn(); err == nil {
			c.raw, c.readRaw, c.writeRaw = raw, c.onReadable, c.onWritable
		}
	}
	return c
}

// Bind sets who hears of control frames, before the first Read. Without one, they are dropped.
func (c *Conn) Bind(control Control) { c.control = control }

// RemoteAddr is the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// TLS says whether the connection came over TLS.
func (c *Conn) TLS() bool { return c.tls }

// Compression says whether permessage-deflate was negotiated: then CompressedFrame may be sent, too.
func (c *Conn) Compression() bool { return c.deflate }

// Close closes the socket. A Read or write under way returns an error with net.ErrClosed in its chain. Only the first
// call does anything.
func (c *Conn) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	return c.nc.Close()
}

// lingerLimit is how much input Linger discards before it loses patience.
const lingerLimit = 256 << 10

// Linger ends a connection whose close frame has been written: it closes the write side, discards input until the peer
// closes too or d has passed, then closes. Closing at once, with input unread, would make the kernel reset the
// connection and could cost the peer the close frame. A Read under way in another goroutine is first served: it gets what
// comes next, or after d a timeout; what follows may be discarded under it, so its outcome means nothing any more.
func (c *Conn) Linger(d time.Duration) error {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && !c.closed.Load() {
		if half.CloseWrite() == nil && c.nc.SetReadDeadline(time.Now().Add(d)) == nil {
			buf := takeBuffer()
			for got := 0; got < lingerLimit; {
				n, err := c.nc.Read(buf[:])
				if err != nil {
					break
				}
				got += n
			}
			dropBuffer(buf)
		}
	}
	return c.Close()
}
