package pusher

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

var _ session.Encoder = Encoder{}

// Encoder makes the frames of a channel's entries. Equal encoders make equal bytes.
type Encoder struct {
	Protocol Protocol
	Value    bool // V2: data as the JSON value instead of a string
	Full     bool // V2: appends as the whole text
	Mutable  bool // V2: creates carry the headers that begin a mutable message, too
	// Roll is how long live appends may wait for more to the same message, to come as one.
	Roll time.Duration
}

// Rollup is Roll, for the hub.
func (e Encoder) Rollup() time.Duration { return e.Roll }

// Binary implements session.Encoder: JSON is text.
func (e Encoder) Binary() bool { return false }

// Whole implements session.Encoder.
func (e Encoder) Whole() bool { return e.Full }

// State implements session.Encoder: mutations repeat what the message keeps (its name, its extras), and an update or a
// delete shows the data whole.
func (e Encoder) State(k stream.Kind) bool { return e.Protocol == V2 && k.Mutation() }

// Position implements session.Encoder.
func (e Encoder) Position(dst []byte, ref stream.Ref, id stream.ID, serial uint64) []byte {
	if e.Protocol != V2 || ref.Log != stream.Messages {
		return nil
	}
	f := frame{append(dst, `{"event":"sockudo_internal:position"`...)}
	f.channel(ref.Channel)
	f.position(id, serial)
	return append(f.b, '}')
}

// Entry implements session.Encoder.
func (e Encoder) Entry(dst []byte, d session.Delivery) (payload []byte, ok bool) {
	s, ok := e.show(d)
	if !ok {
		return dst, false
	}
	f := frame{append(dst, `{"event":`...)}
	if s.mutation {
		f.b = append(append(append(f.b, `"sockudo:message.`...), s.action...), '"')
	} else {
		f.b = envelope.AppendString(f.b, s.name)
	}
	f.channel(d.Ref.Channel)
	e.data(&f, &s)
	if s.mutation && s.name != "" {
		f.b = envelope.AppendString(append(f.b, `,"name":`...), s.name)
	}
	if s.user != "" && (e.Protocol == V2 || strings.HasPrefix(s.name, "client-")) {
		f.b = envelope.AppendString(append(f.b, `,"user_id":`...), s.user)
	}
	if e.Protocol == V2 {
		e.envelope(&f, d, &s)
	}
	return append(f.b, '}'), true
}

// shown is what a frame says of an entry.
type shown struct {
	action   string // create, update, append or delete
	mutation bool   // the frame is a sockudo:message.… event, and name goes into a member of its own
	name     string
	data     stream.Data
	tags     []byte
	extras   []byte
	user     string
	frame    string
	message  uint64
	serial   uint64
	time     int64
}

// show decides what becomes of an entry; false: it is not for this protocol.
func (e Encoder) show(d session.Delivery) (shown, bool) {
	entry := d.Entry
	s := shown{action: "create", name: entry.Event, data: entry.Data, tags: entry.Tags, extras: entry.Extras, user: entry.User,
		frame: entry.Frame, message: entry.Message, serial: entry.Serial, time: entry.Time}
	switch {
	case d.Rewound && d.State != nil && d.State.Exists():
		s.rewound(d.State)
		s.mutation = s.mutation && (e.Protocol == V2 || s.action == "delete")
	case entry.Kind.Row():
		if entry.Version > 1 {
			s.action = "update"
		}
	case entry.Kind.Mutation():
		s.mutated(entry, d.State, e.Full)
	default:
		return s, false
	}
	return s, e.Protocol == V2 || !s.mutation
}

// rewound shows a row of history as the message was at the serial of the fold.
func (s *shown) rewound(m *message.State) {
	s.name, s.data, s.tags, s.extras, s.user = m.Event, m.Data, m.Tags, m.Extras, m.Edit.User
	s.frame, s.message, s.serial, s.time = m.Edit.Frame, m.Message(), m.Edit.Serial, m.Edit.Time
	switch {
	case m.Edit.Kind == stream.Delete:
		s.action, s.mutation = "delete", true
	case !m.Edit.Kind.Row(): // of an appended text all is shown, and that is an update
		s.action, s.mutation = "update", true
	case m.Version > 1:
		s.action = "update"
	}
}

// mutated shows an entry that changes a message. What the message keeps comes from its state; of a message whose
// beginning retention has taken only the entry is left.
func (s *shown) mutated(entry *stream.Entry, m *message.State, full bool) {
	s.action, s.mutation = entry.Kind.String(), true
	if m == nil || !m.Exists() {
		return
	}
	s.name, s.extras = m.Event, m.Extras
	if entry.Kind != stream.Append || full {
		s.data = m.Data
	}
}

// data writes the member data. Strings stay strings; a JSON value is sent as its text, but for client events, which
// keep what the client sent.
func (e Encoder) data(f *frame, s *shown) {
	client := !s.mutation && strings.HasPrefix(s.name, "client-")
	switch s.data.Type {
	case stream.NoData:
		switch {
		case s.mutation || client:
		case e.Value:
			f.b = append(f.b, `,"data":null`...)
		default:
			f.b = append(f.b, `,"data":"null"`...)
		}
		return
	case stream.Bytes:
		f.data()
		f.b = append(f.b, '"')
		f.b = base64.StdEncoding.AppendEncode(f.b, s.data.Bytes)
		f.b = append(f.b, '"')
		return
	case stream.JSON:
		f.data()
		if e.Value || client {
			f.b = append(f.b, s.data.Bytes...)
			return
		}
	default:
		f.data()
		if e.Value && !client && isTree(s.data.Bytes) {
			f.b = append(f.b, s.data.Bytes...)
			return
		}
	}
	f.b = envelope.AppendString(f.b, s.data.Bytes)
}

// isTree reports whether a text is a JSON object or array. Any other text, "42" too, is shown as the string that it is.
func isTree(text []byte) bool {
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '{', '[':
			_, err := envelope.Parse(text)
			return err == nil
		}
		return false
	}
	return false
}

// envelope writes the members that only V2 has.
func (e Encoder) envelope(f *frame, d session.Delivery, s *shown) {
	if len(s.tags) > 0 {
		f.b = append(append(f.b, `,"tags":`...), s.tags...)
	}
	switch {
	case s.frame != "":
		f.id(s.frame)
	case s.serial > 0: // as stream.Entry.FrameID
		f.b = envelope.AppendString(append(f.b, `,"message_id":`...), string(d.Stream))
		f.b = strconv.AppendUint(append(f.b[:len(f.b)-1], ':'), s.serial, 10)
		f.b = append(f.b, '"')
	}
	if s.serial > 0 {
		f.position(d.Stream, s.serial)
	}
	if s.serial > 0 && (e.Mutable || s.mutation || d.Entry.Key != "") {
		f.b = appendExtras(f.b, s)
	} else if len(s.extras) > 0 {
		f.b = append(append(f.b, `,"extras":`...), s.extras...)
	}
}
