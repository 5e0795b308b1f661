package pusher

import (
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// frame writes one JSON frame, its members in the protocol's order: event, channel, data, message_id, stream_id, serial.
type frame struct {
	b []byte
}

// event begins a frame of the protocol's own; size is a guess at what follows.
func (p Protocol) event(name string, size int) frame { return begin(p.public(), name, size) }

// inner begins an internal one.
func (p Protocol) inner(name string, size int) frame { return begin(p.internal(), name, size) }

func begin(prefix, name string, size int) frame {
	b := make([]byte, 0, 128+size)
	b = append(append(append(b, `{"event":"`...), prefix...), name...)
	return frame{append(b, '"')}
}

func (f *frame) channel(name string) {
	f.b = envelope.AppendString(append(f.b, `,"channel":`...), name)
}

// data begins the member data, whose value is appended to f.b.
func (f *frame) data() { f.b = append(f.b, `,"data":`...) }

// text is data as a string that holds JSON.
func (f *frame) text(json []byte) {
	f.data()
	f.b = envelope.AppendString(f.b, json)
}

// position is where the client's cursor goes.
func (f *frame) position(id stream.ID, serial uint64) {
	f.b = envelope.AppendString(append(f.b, `,"stream_id":`...), string(id))
	f.b = strconv.AppendUint(append(f.b, `,"serial":`...), serial, 10)
}

// id is the frame's message_id; empty: none.
func (f *frame) id(id string) {
	if id != "" {
		f.b = envelope.AppendString(append(f.b, `,"message_id":`...), id)
	}
}

// end closes a frame that has no more members but its id.
func (f *frame) end(id string) []byte {
	f.id(id)
	return append(f.b, '}')
}

func appendError(dst []byte, code int, message string) []byte {
	dst = strconv.AppendInt(append(dst, `{"code":`...), int64(code), 10)
	dst = envelope.AppendString(append(dst, `,"message":`...), message)
	return append(dst, '}')
}
