package ws

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// header is what the first bytes of a frame say.
type header struct {
	fin        bool
	compressed bool // RSV1
	op         byte
	mask       [4]byte
	size       int
}

// message is a data message that did not lie in the read buffer whole: fragmented, compressed, large or slow.
type message struct {
	binary     bool
	compressed bool
	data       []byte
	text       validator
}

// Read returns the next data message. The payload of a text message is valid UTF-8. It is the caller's to change, and
// valid until the next Read.
//
// The error is a *CloseError when the peer closed, a *ViolationError when it broke the protocol or exceeded the read
// limit (ReplyTo makes the answer to both), io.EOF when it left without a word, net.ErrClosed in the chain after Close,
// or what the socket said. After an error Read returns the same error for ever.
func (c *Conn) Read() (binary bool, payload []byte, err error) {
	if c.broken != nil {
		return false, nil, c.broken
	}
	binary, payload, err = c.read()
	if err != nil {
		c.broken = err
		c.releaseBuffer()
	}
	return binary, payload, err
}

func (c *Conn) read() (bool, []byte, error) {
	var m *message
	for {
		h, err := c.header(m)
		switch {
		case err != nil:
			return false, nil, err
		case h.op >= OpClose:
			if err := c.controlFrame(h); err != nil {
				return false, nil, err
			}
			continue
		case m == nil && h.fin && !h.compressed && h.size <= len(c.in.unread()):
			p := c.take(h)
			if h.op == OpText && !utf8.Valid(p) {
				return false, nil, violation(CodeInvalidPayload, "text is not valid UTF-8")
			}
			return h.op == OpBinary, p, nil
		case m == nil:
			m = &message{binary: h.op == OpBinary, compressed: h.compressed}
		}
		if err := c.receive(m, h); err != nil {
			return false, nil, err
		}
		if h.fin {
			p, err := c.complete(m)
			return m.binary, p, err
		}
	}
}

// header reads and checks the next frame's header; m is the message that is being assembled, nil between messages.
func (c *Conn) header(m *message) (header, error) {
	if err := c.need(2); err != nil {
		return header{}, err
	}
	b := c.in.unread()
	h := header{fin: b[0]&bitFin != 0, compressed: b[0]&bitRsv1 != 0, op: b[0] & 0x0f}
	if err := c.checkFirst(b, h, m); err != nil {
		return header{}, err
	}
	n, ext := 2, 0
	size := uint64(b[1] &^ bitMask)
	switch size {
	case 126:
		ext = 2
	case 127:
		ext = 8
	}
	if err := c.need(n + ext); err != nil {
		return header{}, err
	}
	b = c.in.unread()
	switch ext {
	case 2:
		size = uint64(binary.BigEndian.Uint16(b[2:]))
	case 8:
		size = binary.BigEndian.Uint64(b[2:])
	}
	switch {
	case ext == 2 && size < 126, ext == 8 && (size <= 0xffff || size>>63 != 0):
		return header{}, violation(CodeProtocol, "frame length in the wrong encoding")
	case h.op < OpClose && size > uint64(c.readLimit-m.len()):
		return header{}, violation(CodeTooBig, "message too large")
	}
	n += ext
	if err := c.need(n + len(h.mask)); err != nil {
		return header{}, err
	}
	h.size = int(size)
	copy(h.mask[:], c.in.unread()[n:])
	c.in.r += n + len(h.mask)
	return h, nil
}

// len is what has been assembled; 0 for none.
func (m *message) len() int {
	if m == nil {
		return 0
	}
	return len(m.data)
}

// checkFirst judges the first two bytes of a frame.
func (c *Conn) checkFirst(b []byte, h header, m *message) error {
	if op := ws.OpCode(h.op); op.IsReserved() {
		return violation(CodeProtocol, "reserved opcode")
	}
	control := h.op >= OpClose
	first := h.op == OpText || h.op == OpBinary
	switch {
	case b[0]&bitRsvs&^bitRsv1 != 0, h.compressed && !(c.deflate && first):
		return violation(CodeProtocol, "reserved bit without an extension")
	case b[1]&bitMask == 0:
		return violation(CodeProtocol, "frame is not masked")
	case control && !h.fin:
		return violation(CodeProtocol, "fragmented control frame")
	case control && b[1]&^bitMask > maxCtl:
		return violation(CodeProtocol, "control frame too large")
	case first && m != nil:
		return violation(CodeProtocol, "new message inside a fragmented one")
	case !control && !first && m == nil:
		return violation(CodeProtocol, "continuation of nothing")
	}
	return nil
}

// take consumes a frame's payload that lies in the buffer whole.
func (c *Conn) take(h header) []byte {
	p := c.in.buf[c.in.r : c.in.r+h.size : c.in.r+h.size]
	c.in.r += h.size
	ws.Cipher(p, h.mask, 0)
	return p
}

// receive adds a frame's payload to m as it arrives: memory grows with what came, not with what was announced, and
// invalid text is noticed at its first byte.
func (c *Conn) receive(m *message, h header) error {
	for got := 0; got < h.size; {
		if err := c.need(1); err != nil {
			return err
		}
		p := c.in.unread()
		p = p[:min(len(p), h.size-got)]
		ws.Cipher(p, h.mask, got)
		if !m.binary && !m.compressed && !m.text.add(p) {
			return violation(CodeInvalidPayload, "text is not valid UTF-8")
		}
		m.data = append(m.data, p...)
		c.in.r += len(p)
		got += len(p)
	}
	return nil
}

// complete returns the payload of a message whose last frame has come.
func (c *Conn) complete(m *message) ([]byte, error) {
	if m.compressed {
		p, err := inflate(m.data, c.readLimit)
		if err == nil && !m.binary && !utf8.Valid(p) {
			err = violation(CodeInvalidPayload, "text is not valid UTF-8")
		}
		return p, err
	}
	if !m.binary && !m.text.done() {
		return nil, violation(CodeInvalidPayload, "text is not valid UTF-8")
	}
	return m.data, nil
}

// controlFrame consumes a control frame. Only a close frame is an error.
func (c *Conn) controlFrame(h header) error {
	if err := c.need(h.size); err != nil {
		return err
	}
	p := c.take(h)
	switch {
	case h.op == OpClose:
		return peerClosed(p)
	case c.control == nil:
	case h.op == OpPing:
		c.control.OnPing(p)
	default:
		c.control.OnPong()
	}
	return nil
}

// peerClosed judges the payload of a close frame.
func peerClosed(p []byte) error {
	if len(p) == 0 {
		return &CloseError{Code: CodeNoStatus}
	}
	if len(p) == 1 {
		return violation(CodeProtocol, "close frame with half a code")
	}
	code, reason := int(binary.BigEndian.Uint16(p)), p[2:]
	switch {
	case !validCode(code):
		return violation(CodeProtocol, "close code is not allowed")
	case !utf8.Valid(reason):
		return violation(CodeInvalidPayload, "close reason is not valid UTF-8")
	}
	return &CloseError{Code: code, Reason: string(reason)}
}
