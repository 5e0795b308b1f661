package serverapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// state folds entries that a committer could have made.
func state(t *testing.T, entries ...*stream.Entry) *message.State {
	t.Helper()
	s, err := message.Continue(nil, entries)
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestItem(t *testing.T) {
	create := &stream.Entry{Serial: 3, Time: 1000, Kind: stream.Create, Message: 3, Version: 1, Event: "chat", Data: stream.Data{Type: stream.Text, Bytes: []byte("a\"b")},
		Extras: []byte(`{"headers":{"x":1,"sockudo_action":"forged"},"other":{}}`), Tags: []byte(`{"a":"b"}`), User: "u1"}
	grown := &stream.Entry{Serial: 5, Time: 2000, Kind: stream.Append, Message: 3, Version: 2, Data: stream.Data{Type: stream.Text, Bytes: []byte("c")}, Frame: "f5",
		Note: &stream.Note{Description: "d", Metadata: []byte(`[1]`)}}
	cleared := &stream.Entry{Serial: 6, Time: 3000, Kind: stream.Delete, Message: 3, Version: 3, Clear: stream.FieldData}
	s := state(t, create)
	headers := func(action, version, at string) string {
		return `"extras":{"headers":{"sockudo_action":"message.` + action + `","sockudo_message_serial":"3","sockudo_version_serial":"` + version +
			`","sockudo_version_timestamp_ms":` + at + `,"sockudo_history_serial":3,"x":1},"other":{}}`
	}
	tests := []struct {
		name string
		item Item
		want string
	}{
		{"plain", Item{Channel: "c", Stream: "s", State: s, Data: s.Data, Plain: true},
			`{"event":"chat","channel":"c","data":"a\"b","user_id":"u1","tags":{"a":"b"},"message_id":"s:3","stream_id":"s","serial":3,` +
				`"extras":{"headers":{"x":1,"sockudo_action":"forged"},"other":{}}}`},
		{"create", Item{Channel: "c", Stream: "s", State: s, Data: s.Data, Versioned: true},
			`{"event":"sockudo:message.create","channel":"c","data":"a\"b","name":"chat","user_id":"u1","tags":{"a":"b"},"message_id":"s:3","stream_id":"s","serial":3,` +
				headers("create", "3", "1000") + `,"action":"create","message_serial":"3","history_serial":3,"delivery_serial":3,` +
				`"version":{"serial":"3","number":1,"client_id":"u1","timestamp_ms":1000}}`},
		{"append", Item{Channel: "c", Stream: "s", State: state(t, create, grown), Data: grown.Data, Versioned: true},
			`{"event":"sockudo:message.append","channel":"c","data":"c","name":"chat","tags":{"a":"b"},"message_id":"f5","stream_id":"s","serial":5,` +
				headers("append", "5", "2000") + `,"action":"append","message_serial":"3","history_serial":3,"delivery_serial":5,` +
				`"version":{"serial":"5","number":2,"timestamp_ms":2000,"description":"d","metadata":[1]}}`},
		{"cleared", Item{Channel: "c", Stream: "s", State: state(t, create, grown, cleared), Versioned: true},
			`{"event":"sockudo:message.delete","channel":"c","name":"chat","tags":{"a":"b"},"message_id":"s:6","stream_id":"s","serial":6,` +
				headers("delete", "6", "3000") + `,"action":"delete","message_serial":"3","history_serial":3,"delivery_serial":6,` +
				`"version":{"serial":"6","number":3,"timestamp_ms":3000}}`},
	}
	for _, tt := range tests {
		if got := string(AppendItem(nil, &tt.item)); got != tt.want || !json.Valid([]byte(got)) {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestAppendData(t *testing.T) {
	if got := string(AppendData(nil, stream.Data{Type: stream.Bytes, Bytes: []byte{0, 255}}, true)); got != `"AP8="` {
		t.Error(got)
	}
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	if got := string(AppendData(nil, stream.Data{Type: stream.Text, Bytes: []byte(deep)}, true)); got != `"`+deep+`"` {
		t.Error("what cannot be read safely stays a string", got)
	}
}

func TestMatches(t *testing.T) {
	for header, want := range map[string]bool{`"a"`: true, `W/"a"`: true, `"b", "a"`: true, `*`: true, `"b"`: false, `a`: false, ``: false} {
		if Matches(header, `"a"`) != want {
			t.Errorf("%s: %v", header, !want)
		}
	}
}

// TestReceiptsDiffer: a fingerprint changes with every part of the payload, and with nothing else.
func TestReceiptsDiffer(t *testing.T) {
	base := `{"name":"e","channel":"c","data":"x","idempotency_key":"k"`
	same := []string{base + `}`, base + `,"info":"position"}`, strings.Replace(base, `"channel":"c"`, `"channels":["d"]`, 1) + `}`, base + `,"message_id":"m"}`}
	different := []string{strings.Replace(base, `"e"`, `"f"`, 1) + `}`, strings.Replace(base, `"x"`, `["x"]`, 1) + `}`, base + `,"key":"a"}`,
		base + `,"tags":{"a":"b"}}`, base + `,"extras":{"a":"b"}}`, base + `,"socket_id":"1.2"}`}
	prints := map[[16]byte]string{}
	for i, body := range append(same, different...) {
		e, err := DecodePublish([]byte(body), &limits)
		if err != nil {
			t.Fatal(err)
		}
		key, print := e.Receipt()
		if key != "k:k" {
			t.Fatal(key)
		}
		other, seen := prints[print]
		if seen != (i > 0 && i < len(same)) {
			t.Errorf("%s and %s", body, other)
		}
		prints[print] = body
	}
}
