package pusher

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// BenchmarkEntry is the hot path: one live entry of 200 bytes.
func BenchmarkEntry(b *testing.B) {
	data := []byte(`{"symbol":"BTC-USD","price":64250.5,"volume":12.25,"side":"buy","venue":"` + strings.Repeat("0123456789", 12) + `"}`)
	d := session.Delivery{Ref: stream.Ref{App: "a", Channel: "ticker:BTC"}, Stream: "3kTMd2pQ0a9xYzAbCdEf",
		Entry: &stream.Entry{Serial: 123456, Time: 1, Kind: stream.Create, Message: 123456, Version: 1, Event: "price",
			Data: stream.Data{Type: stream.Text, Bytes: data}}}
	for name, e := range map[string]Encoder{"V1": {Protocol: V1}, "V2": {Protocol: V2}, "V2-mutable": {Protocol: V2, Mutable: true},
		"V2-value": {Protocol: V2, Value: true}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]byte, 0, 1024)
			for b.Loop() {
				dst, _ = e.Entry(dst[:0], d)
			}
		})
	}
}

func TestEncoderData(t *testing.T) {
	text := func(s string) stream.Data { return stream.Data{Type: stream.Text, Bytes: []byte(s)} }
	value := func(s string) stream.Data { return stream.Data{Type: stream.JSON, Bytes: []byte(s)} }
	tests := []struct {
		name, event      string
		data             stream.Data
		v1, v2, v2values string
	}{
		{"text", "e", text("42"), `"42"`, `"42"`, `"42"`},
		{"text that is an object", "e", text(`{"a":1}`), `"{\"a\":1}"`, `"{\"a\":1}"`, `{"a":1}`},
		{"text that is an array", "e", text(` [1]`), `"[1]"`, `"[1]"`, `[1]`},
		{"text that only begins like an object", "e", text(`{a`), `"{a"`, `"{a"`, `"{a"`},
		{"object", "e", value(`{"a":1}`), `"{\"a\":1}"`, `"{\"a\":1}"`, `{"a":1}`},
		{"number", "e", value(`42`), `"42"`, `"42"`, `42`},
		{"nothing", "e", stream.Data{}, `"null"`, `"null"`, `null`},
		{"bytes", "e", stream.Data{Type: stream.Bytes, Bytes: []byte{0, 255}}, `"AP8="`, `"AP8="`, `"AP8="`},
		{"client event with a value", "client-x", value(`{"a":1}`), `{"a":1}`, `{"a":1}`, `{"a":1}`},
		{"client event with a text", "client-x", text(`{"a":1}`), `"{\"a\":1}"`, `"{\"a\":1}"`, `"{\"a\":1}"`},
		{"client event with nothing", "client-x", stream.Data{}, ``, ``, ``},
		{"invalid UTF-8", "e", text("a\xff"), `"a` + "\uFFFD" + `"`, `"a` + "\uFFFD" + `"`, `"a` + "\uFFFD" + `"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := session.Delivery{Ref: stream.Ref{App: "a", Channel: "c"}, Stream: "s",
				Entry: &stream.Entry{Serial: 1, Kind: stream.Create, Event: tt.event, Data: tt.data}}
			for i, e := range []Encoder{{Protocol: V1}, {Protocol: V2}, {Protocol: V2, Value: true}} {
				payload, ok := e.Entry(nil, d)
				if !ok {
					t.Fatal("not encoded")
				}
				var got map[string]json.RawMessage
				if err := json.Unmarshal(payload, &got); err != nil {
					t.Fatalf("%s: %v", payload, err)
				}
				want := []string{tt.v1, tt.v2, tt.v2values}[i]
				if string(got["data"]) != strings.TrimSpace(want) && !(tt.name == "text that is an array" && i < 2) {
					t.Errorf("%+v: data %s, want %s", e, got["data"], want)
				}
			}
		})
	}
}

func TestEphemeralCarriesNoIdentity(t *testing.T) {
	d := session.Delivery{Ref: stream.Ref{App: "a", Channel: "c"}, Stream: "s",
		Entry: &stream.Entry{Kind: stream.Create, Event: "client-typing", Data: stream.Data{Type: stream.JSON, Bytes: []byte("true")}, User: "u1"}}
	got, ok := Encoder{Protocol: V2, Mutable: true}.Entry(nil, d)
	if want := `{"event":"client-typing","channel":"c","data":true,"user_id":"u1"}`; !ok || string(got) != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

// BenchmarkAttach is what the machine costs a connection that subscribes to a channel, and one that resumes it.
func BenchmarkAttach(b *testing.B) {
	for name, frames := range map[string][]string{
		"V1": {`{"event":"pusher:subscribe","data":{"auth":"","channel":"room"}}`},
		"V2": {`{"event":"sockudo:subscribe","data":{"auth":"","channel":"room"}}`,
			`{"event":"sockudo:resume","data":"{\"channel_positions\":{\"room\":{\"stream_id\":\"s\",\"serial\":7,\"last_message_id\":\"m\"}}}"}`},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			query := map[string]string{"V1": "protocol=7", "V2": "protocol=2"}[name]
			m, err := machineFor(query, nil)
			if err != nil {
				b.Fatal(err)
			}
			o := m.(*Machine).opts
			var out []session.Effect
			for b.Loop() {
				m := New(o)
				m.Step(1000, session.Opened{ID: "1.1"}, out[:0])
				for _, frame := range frames {
					out = m.Step(1000, session.Frame{Data: []byte(frame)}, out[:0])
				}
				out = m.Step(1000, session.Followed{Tag: 2, Bounds: stream.Bounds{Stream: "s", Head: 9, Logged: true}}, out[:0])
			}
		})
	}
}
