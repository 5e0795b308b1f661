package ws

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// output is one write under way. It lives in the connection, so that a write allocates nothing.
type output struct {
	p     []byte
	n     int
	err   error
	block bool
}

// CanTryWrite says whether TryWrite works: the connection is a plain socket.
func (c *Conn) CanTryWrite() bool { return c.raw != nil }

// TryWrite makes exactly one attempt to write, which does not block, and returns how many bytes the socket took. A full
// socket takes 0, without an error.
func (c *Conn) TryWrite(p []byte) (int, error) {
	if c.raw == nil {
		return 0, errors.ErrUnsupported
	}
	return c.rawWrite(p, false)
}

// WriteSome writes p or, on a plain socket, the first bytes of it: it blocks until the socket took at least one. It fails
// with os.ErrDeadlineExceeded in the chain when the socket took nothing for the write timeout.
func (c *Conn) WriteSome(p []byte) (int, error) {
	if c.raw == nil {
		return len(p), c.Write(p)
	}
	if c.writeTimeout > 0 {
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
			return 0, err
		}
	}
	n, err := c.rawWrite(p, true)
	if c.writeTimeout > 0 && err == nil {
		err = c.nc.SetWriteDeadline(time.Time{}) // or TryWrite would fail, later
	}
	return n, err
}

// Write writes all of p. On a plain socket the write timeout counts from the last byte that the socket took, over TLS for
// the whole of p (after a timeout a TLS connection is broken).
func (c *Conn) Write(p []byte) error {
	if c.raw == nil {
		return c.blockingWrite(p)
	}
	for len(p) > 0 {
		n, err := c.WriteSome(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (c *Conn) blockingWrite(p []byte) error {
	if c.writeTimeout > 0 {
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
			return err
		}
	}
	_, err := c.nc.Write(p)
	return err
}

func (c *Conn) rawWrite(p []byte, block bool) (int, error) {
	o := &c.out
	o.p, o.n, o.err, o.block = p, 0, nil, block
	err := c.raw.Write(c.writeRaw)
	o.p = nil
	if err == nil {
		err = o.err
	}
	return o.n, err
}

// onWritable makes one write that does not block. False makes the runtime wait until the socket can take something, and
// call again.
func (c *Conn) onWritable(fd uintptr) bool {
	o := &c.out
	n, err := writeFD(fd, o.p)
	switch {
	case err == nil:
		o.n = n
	case errors.Is(err, syscall.EAGAIN):
		return !o.block || len(o.p) == 0
	default:
		o.err = os.NewSyscallError("write", err)
	}
	return true
}
