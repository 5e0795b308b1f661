package gateway

import (
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/edge/ws"
)

// deflated is the encoder of clients that negotiated compression. It is a value that compares as the inner one does, so a
// hub compresses an entry once for all of them; others on the channel follow with the inner encoder and get its frames.
type deflated struct{ session.Encoder }

// Unwrap gives the encoder of the payloads.
func (d deflated) Unwrap() session.Encoder { return d.Encoder }

// smallest is the shortest payload that is worth compressing.
const smallest = 128

// Frame makes the compressed frame of a payload, or the plain one where that is no longer: the extension allows both.
func (d deflated) Frame(payload []byte) []byte {
	plain := Frame(d.Binary(), payload)
	if len(payload) < smallest {
		return plain
	}
	op := ws.OpText
	if d.Binary() {
		op = ws.OpBinary
	}
	if short := ws.CompressedFrame(op, payload); len(short) < len(plain) {
		return short
	}
	return plain
}
