package feed

import (
	"encoding/base64"
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/filter"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// Encoder makes data frames. Filter must be interned, so that equal filters are the same pointer and share their
// frames; nil passes everything.
type Encoder struct {
	Packed   bool // MessagePack in binary frames
	Conflate bool // the channel's policy lets followers that are behind skip superseded versions
	Filter   *filter.Set
}

var _ session.Encoder = Encoder{}

// Binary implements session.Encoder.
func (e Encoder) Binary() bool { return e.Packed }

// State implements session.Encoder: a mutation is sent as the whole new payload.
func (e Encoder) State(k stream.Kind) bool { return k.Mutation() }

// Whole implements session.Encoder.
func (e Encoder) Whole() bool { return true }

// Conflates reports whether a follower that is behind may be sent the newest version of each key alone.
func (e Encoder) Conflates() bool { return e.Conflate }

// Position implements session.Encoder: the protocol has no frame for it. The cursor of a filtered client may age out.
func (e Encoder) Position([]byte, stream.Ref, stream.ID, uint64) []byte { return nil }

// Entry implements session.Encoder.
func (e Encoder) Entry(dst []byte, d session.Delivery) ([]byte, bool) {
	f, ok := show(d)
	if !ok || !e.passes(&f) {
		return dst, false
	}
	if e.Packed {
		return f.pack(dst), true
	}
	return f.json(dst), true
}

// passes applies the filters to the payload, a deletion's to what was deleted. A deletion of which nothing is left goes
// to everybody: who had the message must learn that it is gone.
func (e Encoder) passes(f *frame) bool {
	return e.Filter == nil || f.deleted && f.payload.Type == stream.NoData || e.Filter.Match(f.event, f.payload.Bytes)
}

// frame is one data frame before it has a form.
type frame struct {
	channel string
	deleted bool
	key     string
	message uint64 // 0: none
	event   string
	payload stream.Data
	id      stream.EntryID // Serial 0: ephemeral
}

// show says what a frame shows of an entry; false: nothing.
func show(d session.Delivery) (frame, bool) {
	e := d.Entry
	f := frame{channel: d.Ref.Channel, key: e.Key, event: e.Event, payload: e.Data, id: e.ID()}
	if e.Kind.Row() {
		return f, true
	}
	there := d.State != nil && d.State.Exists()
	switch {
	case !e.Kind.Mutation():
		return f, false
	case there:
		f.event, f.payload = d.State.Event, d.State.Data
	case e.Kind == stream.Delete: // retention has ended the message: that it was deleted still holds
		f.payload = stream.Data{}
	default:
		return f, false
	}
	f.deleted = e.Kind == stream.Delete
	if f.key == "" {
		f.message = e.Message
	}
	return f, true
}

func (f *frame) kind() string {
	if f.deleted {
		return "DELETE"
	}
	return "UPDATE"
}

// named reports whether the published event name says more than the type does.
func (f *frame) named() bool { return f.event != "" && f.event != "UPDATE" && f.event != "DELETE" }

func (f *frame) json(dst []byte) []byte {
	dst = envelope.AppendString(append(dst, `{"channel":`...), f.channel)
	dst = append(append(append(dst, `,"type":"`...), f.kind()...), '"')
	if f.key != "" {
		dst = envelope.AppendString(append(dst, `,"key":`...), f.key)
	}
	if f.message != 0 {
		dst = append(strconv.AppendUint(append(dst, `,"messageSerial":"`...), f.message, 10), '"')
	}
	if f.named() {
		dst = envelope.AppendString(append(dst, `,"event":`...), f.event)
	}
	if !f.deleted {
		dst = AppendPayload(append(dst, `,"payload":`...), f.payload)
	}
	dst = strconv.AppendInt(append(dst, `,"ts":`...), f.id.Time, 10)
	if f.id.Serial != 0 {
		dst = append(appendID(append(dst, `,"entryId":"`...), f.id), '"')
	}
	return append(dst, '}')
}

func appendID(dst []byte, id stream.EntryID) []byte {
	return strconv.AppendUint(append(strconv.AppendInt(dst, id.Time, 10), '-'), id.Serial, 10)
}

// AppendPayload shows data as a JSON value: JSON as it is, a text that is a JSON object or array as that value, any
// other text as a string, bytes in base64, nothing as null.
func AppendPayload(dst []byte, d stream.Data) []byte {
	switch {
	case d.Type == stream.JSON, d.Type == stream.Text && structured(d.Bytes):
		return append(dst, d.Bytes...)
	case d.Type == stream.Bytes:
		return envelope.AppendString(dst, base64.StdEncoding.EncodeToString(d.Bytes))
	case d.Type == stream.Text:
		return envelope.AppendString(dst, d.Bytes)
	}
	return append(dst, "null"...)
}

// structured reports whether a text is a JSON object or array.
func structured(text []byte) bool {
	if len(text) < 2 || text[0] != '{' && text[0] != '[' {
		return false
	}
	_, err := envelope.Parse(text)
	return err == nil
}
