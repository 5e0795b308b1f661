package ws

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
)

const (
	// bufferSize is what one read from a plain socket can take. Frames that lie in it whole are never copied.
	bufferSize = 4 << 10
	// blockingSize is the part of it that a connection uses whose reads block, since it is held meanwhile.
	blockingSize = 1 << 10
)

var (
	buffers         = sync.Pool{New: func() any { return new([bufferSize]byte) }}
	blockingBuffers = sync.Pool{New: func() any { return new([blockingSize]byte) }}
)

func takeBuffer() *[bufferSize]byte  { return buffers.Get().(*[bufferSize]byte) }
func dropBuffer(b *[bufferSize]byte) { buffers.Put(b) }

// input is what has been read from the socket and not yet consumed: buf[r:w]. While a plain connection waits, it has no
// buf, and what little there is (the beginning of a header or of a control frame) lies in stash.
type input struct {
	buf   []byte
	r, w  int
	stash []byte
	err   error // of the read attempt in onReadable
}

// unread returns the bytes that are there.
func (in *input) unread() []byte { return in.buf[in.r:in.w] }

// need makes at least n bytes available at in.unread, n being small. io.EOF means that the peer closed the socket
// between two frames' bytes or inside a frame: without a close frame it is abnormal anyhow.
func (c *Conn) need(n int) error {
	for c.in.w-c.in.r < n {
		if err := c.fill(); err != nil {
			return err
		}
	}
	return nil
}

// fill reads more input, at least one byte. On return there is a buffer unless there was an error.
func (c *Conn) fill() error {
	if c.raw != nil {
		c.in.err = nil
		if err := c.raw.Read(c.readRaw); err != nil {
			c.releaseBuffer()
			return err
		}
		if c.in.err != nil {
			c.releaseBuffer()
		}
		return c.in.err
	}
	c.in.ready(func() []byte { return blockingBuffers.Get().(*[blockingSize]byte)[:] })
	n, err := c.nc.Read(c.in.buf[c.in.w:])
	c.in.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	c.releaseBuffer()
	return err
}

// preset gives the input what came with the handshake.
func (in *input) preset(p []byte) {
	if len(p) > 0 {
		in.buf = make([]byte, len(p)+blockingSize) // with room for the rest of a header
		in.w = copy(in.buf, p)
	}
}

// ready makes sure that there is a buffer with room at its end.
func (in *input) ready(take func() []byte) {
	if in.buf == nil {
		in.buf = take()
		in.r, in.w = 0, 0
		in.w = copy(in.buf, in.stash)
		in.stash = nil
		return
	}
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
}

// park gives the buffer back before the connection waits for its socket.
func (c *Conn) park() {
	if c.in.w > c.in.r {
		c.in.stash = append([]byte(nil), c.in.unread()...)
	}
	c.releaseBuffer()
}

func (c *Conn) releaseBuffer() {
	in := &c.in
	switch buf := in.buf; cap(buf) {
	case bufferSize:
		buffers.Put((*[bufferSize]byte)(buf[:bufferSize]))
	case blockingSize:
		blockingBuffers.Put((*[blockingSize]byte)(buf[:blockingSize]))
	}
	in.buf, in.r, in.w = nil, 0, 0
}

// onReadable makes one read that does not block. It is what the runtime calls whenever the socket may be readable; false
// means to wait, which is done without a buffer.
func (c *Conn) onReadable(fd uintptr) bool {
	in := &c.in
	in.ready(func() []byte { return takeBuffer()[:] })
	n, err := readFD(fd, in.buf[in.w:])
	switch {
	case errors.Is(err, syscall.EAGAIN):
		c.park()
		return false
	case err != nil:
		in.err = os.NewSyscallError("read", err)
	case n == 0:
		in.err = io.EOF
	default:
		in.w += n
	}
	return true
}
