package rooms

import (
	"strconv"

	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// frame builds one frame, member by member.
type frame struct{ b []byte }

func begin(dst []byte, kind string) frame {
	return frame{append(append(append(dst, `{"kind":"`...), kind...), '"')}
}

// roomFrame begins a frame about a room.
func roomFrame(dst []byte, kind, room string) frame {
	f := begin(dst, kind)
	f.text("room_id", room)
	return f
}

// name begins a member whose name needs no escape, key one of any name.
func (f *frame) name(n string) {
	f.comma()
	f.b = append(append(append(f.b, '"'), n...), '"', ':')
}

func (f *frame) key(n string) {
	f.comma()
	f.b = append(envelope.AppendString(f.b, n), ':')
}

func (f *frame) comma() {
	if c := f.b[len(f.b)-1]; c != '{' && c != '[' {
		f.b = append(f.b, ',')
	}
}

// object begins a member that is an object; close ends it.
func (f *frame) object(n string) {
	f.name(n)
	f.b = append(f.b, '{')
}

func (f *frame) close() { f.b = append(f.b, '}') }

func (f *frame) text(n, v string) {
	f.name(n)
	f.b = envelope.AppendString(f.b, v)
}

func (f *frame) bytes(n string, v []byte) {
	f.name(n)
	f.b = envelope.AppendString(f.b, v)
}

func (f *frame) uint(n string, v uint64) {
	f.name(n)
	f.b = strconv.AppendUint(f.b, v, 10)
}

func (f *frame) int(n string, v int64) {
	f.name(n)
	f.b = strconv.AppendInt(f.b, v, 10)
}

func (f *frame) bool(n string, v bool) {
	f.name(n)
	f.b = strconv.AppendBool(f.b, v)
}

// raw writes a value that is JSON already.
func (f *frame) raw(n string, v []byte) {
	f.name(n)
	f.b = append(f.b, v...)
}

// serial writes a message serial as the identity that clients see: a string in decimal.
func (f *frame) serial(n string, v uint64) {
	f.name(n)
	f.b = append(strconv.AppendUint(append(f.b, '"'), v, 10), '"')
}

func (f *frame) end() []byte { return append(f.b, '}') }

// answer ends a frame that answers a request.
func (f *frame) answer(correlation string) []byte {
	if correlation != "" {
		f.text("correlation_id", correlation)
	}
	return f.end()
}
