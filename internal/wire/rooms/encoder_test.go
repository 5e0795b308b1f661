package rooms

import (
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

var room1 = stream.Ref{App: "app", Channel: "room"}

// TestEntry has the frames that the scripts of spec/vectors do not reach.
func TestEntry(t *testing.T) {
	for _, test := range []struct {
		name string
		enc  Encoder
		d    session.Delivery
		want string // empty: the entry is not shown
	}{
		{"bytes", Encoder{}, session.Delivery{Ref: room1, Entry: &stream.Entry{Serial: 1, Time: 2, Kind: stream.Create, Message: 1, Data: stream.Data{Type: stream.Bytes, Bytes: []byte{0xff, 0}}}},
			`{"kind":"chat.message","room_id":"room","event_id":1,"message_id":"1","ts":2,"payload":"/wA="}`},
		{"an update of a message whose beginning is gone", Encoder{}, session.Delivery{Ref: room1, State: &message.State{},
			Entry: &stream.Entry{Serial: 5, Time: 2, Kind: stream.Update, Message: 1, Version: 3, Set: stream.FieldData, Data: stream.Data{Type: stream.Text, Bytes: []byte("x")}}},
			`{"kind":"message.update","room_id":"room","event_id":5,"message_id":"1","ts":2,"text":"x","version":3}`},
		{"an annotation that is no reaction", Encoder{}, session.Delivery{Ref: room1, State: &message.State{Begun: message.Stamp{Serial: 1}},
			Entry: &stream.Entry{Serial: 5, Kind: stream.Annotate, Message: 1, Annot: &stream.Annotation{Type: "votes:total.v1"}}}, ""},
		{"a rewound row that is gone", Encoder{}, session.Delivery{Ref: room1, State: &message.State{}, Rewound: true, Entry: &stream.Entry{Serial: 5, Kind: stream.Create}}, ""},
		{"another event than those wanted", Encoder{events: "\x00a\x00"}, session.Delivery{Ref: room1, Entry: &stream.Entry{Serial: 1, Kind: stream.Create, Event: "b"}}, ""},
		{"an event name that spans two wanted ones", Encoder{events: "\x00a\x00b\x00"}, session.Delivery{Ref: room1, Entry: &stream.Entry{Serial: 1, Kind: stream.Create, Event: "a\x00b"}}, ""},
		{"a plain message where that is wanted", Encoder{events: "\x00chat.message\x00"}, session.Delivery{Ref: room1, Entry: &stream.Entry{Serial: 1, Kind: stream.Create, Message: 1}},
			`{"kind":"chat.message","room_id":"room","event_id":1,"message_id":"1","ts":0}`},
	} {
		got, ok := test.enc.Entry(nil, test.d)
		if ok != (test.want != "") || string(got) != test.want {
			t.Errorf("%s: %s (%v), want %s", test.name, got, ok, test.want)
		}
	}
}

func TestPosition(t *testing.T) {
	if got := string(Encoder{}.Position(nil, room1, "s", 42)); got != `{"kind":"room.position","room_id":"room","event_id":42}` {
		t.Errorf("the position is %s", got)
	}
}

// TestState asks for the message only where a frame shows more than the entry has.
func TestState(t *testing.T) {
	for kind, want := range map[stream.Kind][2]bool{stream.Create: {}, stream.Put: {}, stream.Update: {true, true}, stream.Append: {false, true},
		stream.Delete: {false, true}, stream.Annotate: {true, true}, stream.Unannotate: {true, true}} {
		if got := [2]bool{Encoder{}.State(kind), Encoder{events: "\x00a\x00"}.State(kind)}; got != want {
			t.Errorf("%v: %v, want %v", kind, got, want)
		}
	}
}

func BenchmarkEntry(b *testing.B) {
	e := &stream.Entry{Serial: 123456, Time: 1787000000000, Kind: stream.Create, Message: 123456, User: "ann", Event: plainEvent,
		Data: stream.Data{Type: stream.Text, Bytes: make([]byte, 200)}}
	for i := range e.Data.Bytes {
		e.Data.Bytes[i] = 'x'
	}
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = Encoder{}.Entry(dst[:0], session.Delivery{Ref: room1, Entry: e})
	}
}
