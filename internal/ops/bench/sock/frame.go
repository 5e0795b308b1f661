package sock

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gobwas/ws"
)

// maxMessage bounds what a server may send in one message, so that a wrong length cannot eat the memory of the machine
// that is being measured.
const maxMessage = 16 << 20

var (
	errMasked   = errors.New("websocket: the server sent a masked frame")
	errReserved = errors.New("websocket: the server sent a frame with reserved bits")
	errTooLong  = fmt.Errorf("websocket: the server sent a message of more than %d bytes", maxMessage)
	errSequence = errors.New("websocket: the server mixed up continuation frames")
)

// CloseError says that the server closed the connection with a close frame.
type CloseError struct {
	Code   ws.StatusCode
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("websocket: closed by the server: %d %s", e.Code, e.Reason)
}

type header struct {
	fin    bool
	op     ws.OpCode
	size   int // of the header itself
	length int // of the payload
}

// parseHeader reads the header of a frame that a server sent. ok is false while b does not hold all of it.
func parseHeader(b []byte) (h header, ok bool, err error) {
	if len(b) < 2 {
		return h, false, nil
	}
	if b[0]&0x70 != 0 {
		return h, false, errReserved
	}
	if b[1]&0x80 != 0 {
		return h, false, errMasked
	}
	h = header{fin: b[0]&0x80 != 0, op: ws.OpCode(b[0] & 0x0f), size: 2, length: int(b[1])}
	switch h.length {
	case 126:
		if h.size = 4; len(b) < h.size {
			return h, false, nil
		}
		h.length = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if h.size = 10; len(b) < h.size {
			return h, false, nil
		}
		n := binary.BigEndian.Uint64(b[2:])
		if n > maxMessage {
			return h, false, errTooLong
		}
		h.length = int(n)
	}
	return h, true, nil
}

// mask is the key of every frame sent. The protocol wants an unpredictable one to protect proxies; here there are none, and
// a constant costs the client nothing while the server does the same work.
var mask = [4]byte{0x5a, 0xc3, 0x69, 0x96}

// appendFrame appends a final, masked frame.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|126, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x80|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[start:], mask, 0)
	return dst
}

// assembler turns frames into messages.
type assembler struct {
	op      ws.OpCode // of the message under way, 0 when there is none
	partial []byte
}

// add takes one data frame; done says that message is whole. It is valid until the next call.
func (a *assembler) add(h header, payload []byte) (op ws.OpCode, message []byte, done bool, err error) {
	if h.op == ws.OpContinuation {
		if a.op == 0 {
			return 0, nil, false, errSequence
		}
	} else if a.op != 0 {
		return 0, nil, false, errSequence
	} else if h.fin {
		return h.op, payload, true, nil
	} else {
		a.op = h.op
	}
	if len(a.partial)+len(payload) > maxMessage {
		return 0, nil, false, errTooLong
	}
	a.partial = append(a.partial, payload...)
	if !h.fin {
		return 0, nil, false, nil
	}
	op, message = a.op, a.partial
	a.op, a.partial = 0, a.partial[:0]
	return op, message, true, nil
}
