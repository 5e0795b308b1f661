package rooms

import (
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// The longest that the texts of a frame may be, in bytes, where no limit of the app says so.
const (
	maxCorrelation = 128
	maxKey         = 200
	maxIdempotency = 128
	maxReaction    = 128
	maxEvents      = 100
	maxToken       = 8 << 10
	maxCursor      = 4 << 10
)

// Request is one frame of a client. It refers to the frame's bytes.
type Request struct {
	Kind        string
	Correlation string
	room        string
	value       envelope.Value
}

// Decode reads a frame as far as all kinds have the same members. With an error the request has what could be read, so
// that the answer can repeat the correlation id.
func Decode(data []byte) (r Request, err error) {
	v, err := envelope.Parse(data)
	if err != nil {
		return r, err
	}
	if v.Kind() != envelope.Object {
		return r, fault.New(fault.Invalid, "a frame is a JSON object")
	}
	r.value = v
	if r.Correlation, err = r.text("correlation_id", maxCorrelation); err != nil {
		return r, err
	}
	if r.Kind, err = r.text("kind", 64); err == nil && r.Kind == "" {
		err = fault.New(fault.Invalid, "the member kind is missing").In("kind")
	}
	return r, err
}

// text reads a string; absent and null are the empty one.
func (r *Request) text(name string, most int) (string, error) {
	v := r.value.Get(name)
	if !v.Given() {
		return "", nil
	}
	s, ok := v.Text()
	switch {
	case !ok:
		return "", fault.New(fault.Invalid, "%s must be a string", name).In(name)
	case len(s) > most:
		return "", fault.New(fault.Invalid, "%s has %d bytes, more than the %d allowed", name, len(s), most).In(name)
	}
	return s, nil
}

// number reads a whole number that is not negative.
func (r *Request) number(name string) (n uint64, given bool, err error) {
	return number(r.value.Get(name), name)
}

func number(v envelope.Value, name string) (n uint64, given bool, err error) {
	if !v.Given() {
		return 0, false, nil
	}
	n, ok := v.Uint()
	if !ok {
		return 0, false, fault.New(fault.Invalid, "%s must be a whole number of 0 or more", name).In(name)
	}
	return n, true, nil
}

func (r *Request) flag(name string) (bool, error) {
	v := r.value.Get(name)
	b, ok := v.Bool()
	if v.Given() && !ok {
		return false, fault.New(fault.Invalid, "%s must be true or false", name).In(name)
	}
	return b, nil
}

// raw copies a JSON value; nil when it is absent or null.
func (r *Request) raw(name string) []byte {
	v := r.value.Get(name)
	if !v.Given() {
		return nil
	}
	return append([]byte(nil), v...)
}

// name reads room_id.
func (r *Request) name(most int) (channel.Name, error) {
	s, err := r.text("room_id", 4<<10)
	if err != nil {
		return channel.Name{}, err
	}
	if s == "" {
		return channel.Name{}, fault.New(fault.Invalid, "the member room_id is missing").In("room_id")
	}
	n, err := channel.Parse(s, most)
	if err != nil {
		return n, fault.Of(err).In("room_id")
	}
	r.room = s
	return n, nil
}

// message reads message_id: a serial in decimal, as messages carry it.
func (r *Request) message() (uint64, error) {
	s, err := r.text("message_id", 32)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || n > stream.MaxSerial || strconv.FormatUint(n, 10) != s {
		return 0, fault.New(fault.Invalid, "message_id must be the message_id of a message").In("message_id")
	}
	return n, nil
}

// data reads what a client says: a plain string in text, or any JSON in payload.
func (r *Request) data(most int) (stream.Data, error) {
	text, payload := r.value.Get("text"), r.value.Get("payload")
	d := stream.Data{}
	switch {
	case text.Given() && payload.Kind() != envelope.Absent:
		return d, fault.New(fault.Invalid, "a message has text or payload, not both").In("payload")
	case text.Given() && text.Kind() != envelope.String:
		return d, fault.New(fault.Invalid, "text must be a string; any other JSON is a payload").In("text")
	case text.Given():
		d = stream.Data{Type: stream.Text, Bytes: text.AppendText(nil)}
	case payload.Kind() != envelope.Absent:
		d = stream.Data{Type: stream.JSON, Bytes: append([]byte(nil), payload...)}
	}
	if most > 0 && len(d.Bytes) > most {
		return d, fault.New(fault.TooLarge, "the message has %d bytes, more than the %d allowed", len(d.Bytes), most)
	}
	return d, nil
}
