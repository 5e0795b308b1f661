package rooms

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// Reactions is the type of annotations that message.react adds.
const Reactions = "reactions:distinct.v1"

// plainEvent is the event name that chat.message stands for: it is not repeated in frames.
const plainEvent = "chat.message"

var _ session.Encoder = Encoder{}

// Encoder makes the frames of a room's messages. Equal encoders make equal bytes.
type Encoder struct {
	// events are the names that a join asked for, sorted, each between zero bytes; empty: all.
	events string
}

// Binary implements session.Encoder: JSON is text.
func (e Encoder) Binary() bool { return false }

// Whole implements session.Encoder: an append is sent as its fragment.
func (e Encoder) Whole() bool { return false }

// State implements session.Encoder: an update shows the message whole, a reaction its counts, and a filter asks for the
// message's event name.
func (e Encoder) State(k stream.Kind) bool {
	return k == stream.Update || k == stream.Annotate || k == stream.Unannotate || e.events != "" && k.Mutation()
}

// Position implements session.Encoder.
func (e Encoder) Position(dst []byte, ref stream.Ref, _ stream.ID, serial uint64) []byte {
	f := roomFrame(dst, "room.position", ref.Channel)
	f.uint("event_id", serial)
	return f.end()
}

// Entry implements session.Encoder.
func (e Encoder) Entry(dst []byte, d session.Delivery) (payload []byte, ok bool) {
	s, ok := show(&d)
	if !ok || !e.passes(s.event) {
		return dst, false
	}
	return s.append(dst, d.Ref.Channel), true
}

func (e Encoder) passes(event string) bool {
	if e.events == "" {
		return true
	}
	if event == "" {
		event = plainEvent
	}
	return strings.IndexByte(event, 0) < 0 && strings.Contains(e.events, "\x00"+event+"\x00")
}

// encoder reads the filter of a join.
func (m *Machine) encoder(r *Request) (Encoder, error) {
	v := r.value.Get("events")
	if !v.Given() {
		return Encoder{}, nil
	}
	if v.Kind() != envelope.Array {
		return Encoder{}, fault.New(fault.Invalid, "events must be a list of event names").In("events")
	}
	names := map[string]bool{}
	for item := range v.Items() {
		name, ok := item.Text()
		if !ok || name == "" || len(name) > m.opts.App.Limits.EventNameLength || strings.IndexByte(name, 0) >= 0 {
			return Encoder{}, fault.New(fault.Invalid, "events has %s, which is no event name", channel.Quote(string(item))).In("events")
		}
		if names[name] = true; len(names) > maxEvents {
			return Encoder{}, fault.New(fault.Invalid, "events has more than %d names", maxEvents).In("events")
		}
	}
	if len(names) == 0 {
		return Encoder{}, fault.New(fault.Invalid, "events is empty: leave it out to get all").In("events")
	}
	return Encoder{events: "\x00" + strings.Join(sorted(names), "\x00") + "\x00"}, nil
}

// shown is what a frame says of a message.
type shown struct {
	kind    string
	id      uint64 // event_id; 0: ephemeral
	message uint64
	sender  string
	ts      int64
	data    stream.Data
	text    bool // data is shown as text, whatever it looks like
	event   string
	key     string
	version uint32 // 0: not shown
	edited  int64  // when the version was made, if that was later than ts
	state   *message.State
}

// show decides what a frame shows of an entry; false: nothing.
func show(d *session.Delivery) (shown, bool) {
	e := d.Entry
	if d.Rewound && d.State != nil {
		return showState(d.State), d.State.Exists()
	}
	s := shown{kind: plainEvent, id: e.Serial, message: e.Message, sender: e.User, ts: e.Time, data: e.Data, event: e.Event,
		key: e.Key, version: e.Version}
	there := d.State != nil && d.State.Exists()
	if there && !e.Kind.Row() {
		s.event = d.State.Event
	}
	switch e.Kind {
	case stream.Create:
		s.version = 0
	case stream.Put:
	case stream.Update:
		s.kind = "message.update"
		if there {
			s.data = d.State.Data
		}
	case stream.Append:
		s.kind, s.text = "message.append", true
	case stream.Delete:
		s.kind, s.data = "message.delete", stream.Data{}
	default:
		s.kind, s.state = "message.reactions", d.State
		return s, there && e.Annot != nil && e.Annot.Type == Reactions
	}
	return s, true
}

// showState shows a message as it is visible: a row of history, a rewind or a snapshot.
func showState(m *message.State) shown {
	s := shown{kind: plainEvent, id: m.Row.Serial, message: m.Message(), sender: m.Row.User, ts: m.Row.Time, data: m.Data,
		event: m.Event, key: m.Key, version: m.Version, state: m}
	if m.Edit.Serial != m.Row.Serial {
		s.edited = m.Edit.Time
	}
	if m.Deleted() {
		s.kind, s.data = "message.delete", stream.Data{}
	}
	return s
}

func (s *shown) append(dst []byte, room string) []byte {
	f := roomFrame(dst, s.kind, room)
	if s.id > 0 {
		f.uint("event_id", s.id)
		f.serial("message_id", s.message)
	}
	if s.sender != "" {
		f.text("sender", s.sender)
	}
	f.int("ts", s.ts)
	s.payload(&f)
	if s.event != "" && s.event != plainEvent && s.kind != "message.append" && s.kind != "message.delete" && s.kind != "message.reactions" {
		f.text("event", s.event)
	}
	if s.key != "" {
		f.text("key", s.key)
	}
	if s.version > 0 && s.kind != "message.reactions" {
		f.uint("version", uint64(s.version))
	}
	if s.edited > 0 {
		f.int("edited_ts", s.edited)
	}
	if s.state != nil {
		s.counts(&f)
	}
	return f.end()
}

// payload shows data: text as text, JSON as a payload, and a text that is a JSON object or array as the value that it is.
// Fragments of a text stay text.
func (s *shown) payload(f *frame) {
	switch d := s.data; {
	case d.Type == stream.NoData:
	case d.Type == stream.JSON, d.Type == stream.Text && !s.text && structured(d.Bytes):
		f.raw("payload", d.Bytes)
	case d.Type == stream.Bytes:
		f.text("payload", base64.StdEncoding.EncodeToString(d.Bytes))
	default:
		f.bytes("text", d.Bytes)
	}
}

// structured reports whether a text is a JSON object or array.
func structured(text []byte) bool {
	if len(text) < 2 || text[0] != '{' && text[0] != '[' {
		return false
	}
	_, err := envelope.Parse(text)
	return err == nil
}

// counts shows how many users gave each reaction. In a listing a message without reactions has none.
func (s *shown) counts(f *frame) {
	names := s.state.Annotations.Of(Reactions)
	if len(names) == 0 && s.kind != "message.reactions" {
		return
	}
	f.object("counts")
	for _, n := range names {
		f.key(n.Name)
		f.b = strconv.AppendInt(f.b, int64(len(n.Users)), 10)
	}
	f.close()
}

// AppendMessage appends a message as it is visible, in the form of the live frame.
func AppendMessage(dst []byte, room string, m *message.State) []byte {
	s := showState(m)
	return s.append(dst, room)
}
