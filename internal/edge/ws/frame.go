package ws

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// The opcodes of complete frames.
const (
	OpText   = byte(ws.OpText)
	OpBinary = byte(ws.OpBinary)
	OpClose  = byte(ws.OpClose)
	OpPing   = byte(ws.OpPing)
	OpPong   = byte(ws.OpPong)
)

const (
	bitFin  = 0x80
	bitRsv1 = 0x40
	bitRsvs = 0x70
	bitMask = 0x80
	maxCtl  = ws.MaxControlFramePayloadSize
)

// Frame returns a complete, unmasked frame of the server: bytes that any number of subscribers can share. A text
// payload must be valid UTF-8, a control frame's at most 125 bytes.
func Frame(op byte, payload []byte) []byte {
	return AppendFrame(make([]byte, 0, headerSize(len(payload))+len(payload)), op, payload)
}

// AppendFrame appends to dst what Frame returns.
func AppendFrame(dst []byte, op byte, payload []byte) []byte {
	return append(appendHeader(dst, bitFin|op, len(payload)), payload...)
}

// PingFrame returns a ping. A payload beyond 125 bytes is cut.
func PingFrame(payload []byte) []byte { return Frame(OpPing, payload[:min(len(payload), maxCtl)]) }

// PongFrame returns the answer to a ping with this payload, which is copied. A payload beyond 125 bytes is cut.
func PongFrame(payload []byte) []byte { return Frame(OpPong, payload[:min(len(payload), maxCtl)]) }

// CloseFrame returns a close frame. Code 0 leaves code and reason out. A reason beyond 123 bytes is cut at a rune.
func CloseFrame(code int, reason string) []byte {
	if code == 0 {
		return Frame(OpClose, nil)
	}
	n := min(len(reason), maxCtl-2)
	for n < len(reason) && n > 0 && !utf8.RuneStart(reason[n]) {
		n--
	}
	return Frame(OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), reason[:n]))
}

// appendHeader appends the header of an unmasked frame whose first byte is first.
func appendHeader(dst []byte, first byte, size int) []byte {
	switch {
	case size <= 125:
		return append(dst, first, byte(size))
	case size <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(size))
}

func headerSize(size int) int { return ws.HeaderSize(ws.Header{Length: int64(size)}) }
