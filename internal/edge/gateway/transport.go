package gateway

import (
	"errors"

	"github.com/continuo-rt/continuo/internal/edge/ws"
)

// transport is a ws.Conn in the words of a session's connection.
type transport struct {
	*ws.Conn
	tooLarge int // close code for a message beyond the read limit; 0: RFC 6455's
}

// Answer implements conn.Transport.
func (t *transport) Answer(err error) (frame []byte, clean bool) {
	var closed *ws.CloseError
	var broken *ws.ViolationError
	if t.tooLarge > 0 && errors.As(err, &broken) && broken.Code == ws.CodeTooBig {
		return ws.CloseFrame(t.tooLarge, ""), false
	}
	return ws.ReplyTo(err), errors.As(err, &closed)
}

// Message implements conn.Transport.
func (t *transport) Message(binary bool, payload []byte) []byte { return Frame(binary, payload) }

// Ping implements conn.Transport.
func (t *transport) Ping() []byte { return ws.PingFrame(nil) }

// Pong implements conn.Transport.
func (t *transport) Pong(payload []byte) []byte { return ws.PongFrame(payload) }

// CloseFrame implements conn.Transport.
func (t *transport) CloseFrame(code uint16, reason string) []byte {
	return ws.CloseFrame(int(code), reason)
}

// Frame makes the complete WebSocket frame of a payload: what hubs share among sessions.
func Frame(binary bool, payload []byte) []byte {
	if binary {
		return ws.Frame(ws.OpBinary, payload)
	}
	return ws.Frame(ws.OpText, payload)
}
