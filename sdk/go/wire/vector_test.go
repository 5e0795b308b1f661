package wire

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

type vector struct {
	Name      string          `json:"name"`
	Text      string          `json:"text"`
	Frame     map[string]any  `json:"frame"`
	Malformed bool            `json:"malformed"`
	Ignored   bool            `json:"ignored"`
	Encode    json.RawMessage `json:"encode"`
}

func load(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("../../../spec/vectors/client/codec.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestVectors(t *testing.T) {
	for _, v := range load(t) {
		t.Run(v.Name, func(t *testing.T) {
			if v.Encode != nil {
				encodes(t, v)
				return
			}
			f, err := Decode([]byte(v.Text))
			var malformed *Malformed
			switch {
			case v.Ignored:
				if !errors.Is(err, ErrIgnored) {
					t.Errorf("got %v, want it ignored", err)
				}
			case v.Malformed:
				if !errors.As(err, &malformed) || malformed.Why == "" {
					t.Errorf("got %+v, %v, want it malformed", f, err)
				}
			case err != nil:
				t.Error(err)
			default:
				same(t, reflect.ValueOf(f).Elem(), v.Frame)
			}
		})
	}
}

func encodes(t *testing.T, v vector) {
	var c Command
	if err := json.Unmarshal(v.Encode, &c); err != nil {
		t.Fatal(err)
	}
	if string(c.Payload) == "" && strings.Contains(string(v.Encode), `"payload":null`) {
		c.Payload = json.RawMessage("null") // json.Unmarshal takes null for nothing
	}
	text, err := Encode(&c)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	_, _ = json.Unmarshal(text, &got), json.Unmarshal([]byte(v.Text), &want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s, want %s", text, v.Text)
	}
}

// same compares a frame with all the members that it should have: what has none is zero.
func same(t *testing.T, f reflect.Value, want map[string]any) {
	t.Helper()
	for i := range f.NumField() {
		name := wireName(f.Type().Field(i).Name)
		value, ok := want[name]
		field := f.Field(i)
		switch {
		case name == "member_count" && !ok:
		case !ok && !field.IsZero():
			t.Errorf("%s is %v, want nothing", name, field)
		case ok && name == "items":
			for i := range field.Len() {
				same(t, field.Index(i).Elem(), value.([]any)[i].(map[string]any))
			}
		case ok && name == "retry":
			if r := field.Interface().(Retry); float64(r.BaseMS) != value.(map[string]any)["base_ms"] || float64(r.MaxMS) != value.(map[string]any)["max_ms"] {
				t.Errorf("retry is %v", r)
			}
		case ok:
			text, _ := json.Marshal(field.Interface())
			var got any
			_ = json.Unmarshal(text, &got)
			if !reflect.DeepEqual(got, value) {
				t.Errorf("%s is %v, want %v", name, got, value)
			}
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("there is no %s in a frame", name)
	}
}

// wireName is the name of a member: RetryAfterMS is retry_after_ms.
func wireName(field string) string {
	if field == "SnapshotURL" {
		return "snapshot_url"
	}
	var b strings.Builder
	for i, r := range field {
		if i > 0 && unicode.IsUpper(r) && !unicode.IsUpper(rune(field[i-1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// FuzzDecode holds Decode to what any text must come to: a frame that says what its kind needs, or an error.
func FuzzDecode(f *testing.F) {
	for _, v := range load(f) {
		f.Add([]byte(v.Text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		frame, err := Decode(text)
		if (frame == nil) == (err == nil) {
			t.Fatalf("%v, %v", frame, err)
		}
		if err != nil {
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(text, &plain); err != nil || plain["kind"] != frame.Kind {
			t.Fatalf("the frame %q comes from %q (%v)", frame.Kind, text, err)
		}
		if room, ok := plain["room_id"].(string); ok && room != frame.RoomID {
			t.Fatalf("the room %q should be %q", frame.RoomID, room)
		}
	})
}

// FuzzEncode shows that what any text was put into is JSON, and that the text comes out again.
func FuzzEncode(f *testing.F) {
	f.Add("lobby", "hello", `{"a":1}`)
	f.Add("\x00\xff", "\u2028</script>", "{")
	f.Fuzz(func(t *testing.T, room, text, payload string) {
		encoded, err := Encode(&Command{Kind: Send, RoomID: room, Text: &text, Payload: json.RawMessage(payload)})
		if err != nil {
			if json.Valid([]byte(payload)) {
				t.Fatal(err)
			}
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(encoded, &plain); err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if want := strings.ToValidUTF8(text, "\ufffd"); len(want) == len(text) && plain["text"] != text {
			t.Fatalf("%q became %q", text, plain["text"])
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	text := []byte(`{"kind":"chat.message","room_id":"lobby","event_id":42,"message_id":"42","sender":"ann","ts":1787000000000,"payload":{"price":101.5,"pair":"BTC/USD","at":"2026-11-22T02:00:00Z","bids":[[101.4,2],[101.3,1]]},"event":"price","key":"BTC","version":17}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Decode(text); err != nil {
			b.Fatal(err)
		}
	}
}
