package wire

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestDecodeSnapshot(t *testing.T) {
	f, err := DecodeSnapshot([]byte(`{"room_id":"a","stream_id":"A","event_id":0,"kind":"x","items":5,"messages":[{"kind":"chat.message","room_id":"a","event_id":3,"message_id":"3","ts":1,"text":"x"}],
		"members":[{"user_id":"bob"}],"presence_id":7,"has_more":true,"next_cursor":"c"}`))
	if err != nil {
		t.Fatal(err)
	}
	if f.Kind != Snapshot || f.RoomID != "a" || f.StreamID != "A" || len(f.Items) != 1 || *f.Items[0].Text != "x" || f.MemberCount != 1 || !f.HasMore || f.NextCursor != "c" {
		t.Errorf("got %+v", f)
	}
	for _, text := range []string{"", "<html>", "5", "[]", "{}", `{"stream_id":"A","event_id":1}`, `{"stream_id":"A","messages":[]}`, `{"event_id":1,"messages":[]}`,
		`{"stream_id":"A","event_id":1,"messages":{}}`, `{"stream_id":"A","event_id":"1","messages":[]}`, `{"stream_id":"A","event_id":1,"messages":[{"kind":"room.left","room_id":"a"}]}`} {
		var malformed *Malformed
		if f, err := DecodeSnapshot([]byte(text)); !errors.As(err, &malformed) || !strings.Contains(err.Error(), "snapshot") {
			t.Errorf("%s is %+v, %v", text, f, err)
		}
	}
}

// TestMarshal shows that events and answers come out of JSON as they went in.
func TestMarshal(t *testing.T) {
	for _, v := range load(t) {
		f, err := Decode([]byte(v.Text))
		if v.Encode != nil || err != nil || strings.HasPrefix(f.Kind, "server.") || f.Kind == Joined {
			continue
		}
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(text)
		if err != nil || !reflect.DeepEqual(plain(t, again), plain(t, f)) {
			t.Errorf("%s became %s (%v)", v.Text, text, err)
		}
	}
	joined, err := Decode([]byte(`{"kind":"room.joined","room_id":"a","stream_id":"A","event_id":0,"resumed":false,"members":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(joined)
	if want := `{"kind":"room.joined","room_id":"a","stream_id":"A","event_id":0,"members":[],"member_count":0,"resumed":false}`; string(text) != want {
		t.Errorf("got %s", text)
	}
}

// plain is a frame without the spelling of its JSON.
func plain(t *testing.T, f *Frame) any {
	t.Helper()
	c := *f
	var payload, info any
	if c.Payload != nil && json.Unmarshal(c.Payload, &payload) != nil || c.Info != nil && json.Unmarshal(c.Info, &info) != nil {
		t.Fatal("a payload that is no JSON")
	}
	items := []any{}
	for _, item := range c.Items {
		items = append(items, plain(t, item))
	}
	c.Payload, c.Info, c.Items = nil, nil, nil
	return []any{c, payload, info, items}
}

func TestIsEvent(t *testing.T) {
	for f, want := range map[*Frame]bool{
		{Kind: Message}: true, {Kind: PresenceChanged}: true, {Kind: Presence}: true, {Kind: Presence, CorrelationID: "r1"}: false,
		{Kind: Joined}: false, {Kind: Joined, Members: []Member{}}: true, {Kind: Accepted}: false, {Kind: History}: false, {Kind: Error}: false,
	} {
		if f.IsEvent() != want {
			t.Errorf("%+v is an event: %v", f, !want)
		}
	}
}

// FuzzDecodeSnapshot holds DecodeSnapshot to a frame or an error, never both.
func FuzzDecodeSnapshot(f *testing.F) {
	f.Add([]byte(`{"room_id":"a","stream_id":"A","event_id":0,"messages":[{"kind":"chat.message","room_id":"a","event_id":3,"message_id":"3","ts":1,"text":"x"}],"next_cursor":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		frame, err := DecodeSnapshot(text)
		if (frame == nil) == (err == nil) || err == nil && frame.StreamID == "" && !strings.Contains(string(text), "stream_id") && !strings.Contains(string(text), `\u`) {
			t.Fatalf("%v, %v", frame, err)
		}
	})
}
