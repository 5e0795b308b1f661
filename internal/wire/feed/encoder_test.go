package feed

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/continuo-rt/continuo/internal/core/filter"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/wiretest"
)

// samples are entries of every kind that a frame can show.
func samples() []session.Delivery {
	ref := stream.Ref{App: "app-id", Channel: "fixtures"}
	long := strings.Repeat("é", 300)
	data := []stream.Data{
		{}, {Type: stream.Text}, {Type: stream.Text, Bytes: []byte("text")}, {Type: stream.Text, Bytes: []byte(`{"a":[1]}`)},
		{Type: stream.Text, Bytes: []byte(`{"a":`)}, {Type: stream.Text, Bytes: []byte(long)}, {Type: stream.Text, Bytes: bytes.Repeat([]byte("x"), 70_000)},
		{Type: stream.JSON, Bytes: []byte(` {"n":null,"t":true,"f":false,"s":"\u00e9\n\"","e":{},"l":[],"deep":[[[1]]]} `)},
		{Type: stream.JSON, Bytes: []byte(`[0,1,127,128,255,256,65535,65536,4294967295,4294967296,9223372036854775807,18446744073709551615,1e3,1.5,-0.25]`)},
		{Type: stream.JSON, Bytes: []byte(`[-1,-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,-9223372036854775808]`)},
		{Type: stream.JSON, Bytes: []byte(`"` + strings.Repeat("y", 300) + `"`)},
		{Type: stream.JSON, Bytes: many(20)}, {Type: stream.JSON, Bytes: many(70_000)}, {Type: stream.JSON, Bytes: manyMembers(20)}, {Type: stream.JSON, Bytes: manyMembers(70_000)},
	}
	var all []session.Delivery
	for i, d := range data {
		e := stream.Entry{Serial: uint64(i + 1), Time: 1_787_000_000_000 + int64(i), Kind: stream.Create, Message: uint64(i + 1), Event: "price", Data: d}
		all = append(all, session.Delivery{Ref: ref, Entry: &e})
		if len(d.Bytes) > 100_000 {
			continue // once is enough
		}
		keyed := e
		keyed.Kind, keyed.Key, keyed.Event = stream.Put, `k"`+long, "UPDATE"
		all = append(all, session.Delivery{Ref: ref, Entry: &keyed})
		fleeting := e
		fleeting.Serial, fleeting.Message = 0, 0
		all = append(all, session.Delivery{Ref: ref, Entry: &fleeting})
		for _, kind := range []stream.Kind{stream.Update, stream.Append, stream.Delete} {
			changed := stream.Entry{Serial: 100, Time: 5, Kind: kind, Message: 7, Version: 2}
			state := message.State{Begun: message.Stamp{Serial: 7}, Content: message.Content{Event: "price", Data: d}}
			all = append(all, session.Delivery{Ref: ref, Entry: &changed, State: &state})
		}
	}
	return all
}

func many(n int) []byte { return []byte("[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]") }

func manyMembers(n int) []byte {
	m := map[int]int{}
	for i := range n {
		m[i] = i
	}
	b, _ := json.Marshal(m)
	return b
}

// plainNumbers makes values of the two forms comparable: numbers as float64, as JavaScript reads both.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = plainNumbers(x)
		}
	case []any:
		for i, x := range v {
			v[i] = plainNumbers(x)
		}
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case float64, string, bool, nil:
	default:
		return reflect.ValueOf(v).Convert(reflect.TypeFor[float64]()).Float()
	}
	return v
}

func TestBinaryEqualsJSON(t *testing.T) {
	list := samples()
	list = append(list, session.Delivery{Ref: list[0].Ref, Entry: &stream.Entry{Serial: 1, Kind: stream.Create,
		Data: stream.Data{Type: stream.Bytes, Bytes: []byte{0, 0xff, 7}}}})
	for _, d := range list {
		text, ok := Encoder{}.Entry([]byte("before"), d)
		packed, ok2 := Encoder{Packed: true}.Entry([]byte("before"), d)
		if !ok || !ok2 {
			t.Fatalf("%+v: not shown", d.Entry)
		}
		var a, b any
		if err := json.Unmarshal(text[6:], &a); err != nil {
			t.Fatalf("%v in %.200s", err, text)
		}
		if err := msgpack.Unmarshal(packed[6:], &b); err != nil {
			t.Fatalf("%v in %x", err, packed[:min(200, len(packed))])
		}
		if b = plainNumbers(b); !reflect.DeepEqual(a, b) {
			t.Fatalf("JSON %.300v\nbinary %.300v", a, b)
		}
	}
}

func TestOrderOfMembers(t *testing.T) {
	d := session.Delivery{Ref: stream.Ref{Channel: "c"}, Entry: &stream.Entry{Serial: 2, Time: 1, Kind: stream.Update, Message: 1},
		State: &message.State{Begun: message.Stamp{Serial: 1}, Content: message.Content{Event: "e", Data: stream.Data{Type: stream.JSON, Bytes: []byte(`{"b":1,"a":2}`)}}}}
	text, _ := Encoder{}.Entry(nil, d)
	if want := `{"channel":"c","type":"UPDATE","messageSerial":"1","event":"e","payload":{"b":1,"a":2},"ts":1,"entryId":"1-2"}`; string(text) != want {
		t.Errorf("%s\nwant %s", text, want)
	}
	packed, _ := Encoder{Packed: true}.Entry(nil, d)
	dec := msgpack.NewDecoder(bytes.NewReader(packed))
	n, err := dec.DecodeMapLen()
	if err != nil || n != 7 {
		t.Fatal(n, err)
	}
	var names []string
	for range n {
		name, err := dec.DecodeString()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
		if err := dec.Skip(); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(names, " "); got != "channel type messageSerial event payload ts entryId" {
		t.Error(got)
	}
}

func TestNotShown(t *testing.T) {
	gone := message.State{}
	for _, d := range []session.Delivery{
		{Entry: &stream.Entry{Serial: 1, Kind: stream.Annotate}},
		{Entry: &stream.Entry{Serial: 1, Kind: stream.Unannotate}},
		{Entry: &stream.Entry{Serial: 1, Kind: stream.Update}},
		{Entry: &stream.Entry{Serial: 1, Kind: stream.Append}, State: &gone},
	} {
		for _, packed := range []bool{false, true} {
			if out, ok := (Encoder{Packed: packed}).Entry([]byte("x"), d); ok || string(out) != "x" {
				t.Errorf("%v: %q, %v", d.Entry.Kind, out, ok)
			}
		}
	}
}

func TestEncoderTraits(t *testing.T) {
	e := Encoder{Packed: true, Conflate: true}
	if !e.Binary() || !e.Whole() || !e.Conflates() || e.Position(nil, stream.Ref{}, "", 1) != nil {
		t.Error("traits")
	}
	for kind, want := range map[stream.Kind]bool{stream.Create: false, stream.Put: false, stream.Update: true, stream.Append: true, stream.Delete: true, stream.Annotate: false} {
		if e.State(kind) != want {
			t.Errorf("State(%v) = %v", kind, !want)
		}
	}
}

func TestFilterOfDeletions(t *testing.T) {
	set, err := filter.Compile(filter.Spec{Clauses: []filter.Clause{{Path: "/s", Values: []string{"1"}}}})
	if err != nil {
		t.Fatal(err)
	}
	e := Encoder{Filter: set}
	one := stream.Entry{Serial: 2, Kind: stream.Delete, Key: "k"}
	for name, c := range map[string]struct {
		state *message.State
		want  bool
	}{
		"of a match":       {&message.State{Begun: message.Stamp{Serial: 1}, Content: message.Content{Data: stream.Data{Type: stream.JSON, Bytes: []byte(`{"s":1}`)}}}, true},
		"of another":       {&message.State{Begun: message.Stamp{Serial: 1}, Content: message.Content{Data: stream.Data{Type: stream.JSON, Bytes: []byte(`{"s":2}`)}}}, false},
		"cleared":          {&message.State{Begun: message.Stamp{Serial: 1}}, true},
		"ended":            {&message.State{}, true},
		"nothing is known": {nil, true},
	} {
		if _, ok := e.Entry(nil, session.Delivery{Entry: &one, State: c.state}); ok != c.want {
			t.Errorf("%s: %v", name, ok)
		}
	}
}

// A number that no double holds is shown as it was written, in text.
func TestPackNumberTooLarge(t *testing.T) {
	var v any
	if err := msgpack.Unmarshal(packNumber(nil, "1e999"), &v); err != nil || v != "1e999" {
		t.Errorf("%v, %v", v, err)
	}
	v = nil
	if err := msgpack.Unmarshal(packNumber(nil, "99999999999999999999"), &v); err != nil || math.Abs(v.(float64)-1e20) > 1e5 {
		t.Errorf("%v, %v", v, err)
	}
}

// FuzzPack compares the two forms of any JSON payload.
func FuzzPack(f *testing.F) {
	for _, d := range samples() {
		if len(d.Entry.Data.Bytes) < 1000 {
			f.Add(d.Entry.Data.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		d := session.Delivery{Ref: stream.Ref{Channel: "c"}, Entry: &stream.Entry{Serial: 1, Kind: stream.Create,
			Data: stream.Data{Type: stream.Text, Bytes: payload}}}
		packed, _ := Encoder{Packed: true}.Entry(nil, d)
		var v map[string]any
		if err := msgpack.Unmarshal(packed, &v); err != nil {
			t.Fatal(err)
		}
		text, _ := Encoder{}.Entry(nil, d)
		if !json.Valid(text) {
			t.Fatalf("%s", text)
		}
	})
}

// FuzzDecodeLogin feeds any first frame to a machine: it never panics, and answers at most once.
func FuzzDecodeLogin(f *testing.F) {
	for _, frame := range wiretest.Clients(vectors) {
		f.Add([]byte(frame))
	}
	o, err := testOptions(map[string]string{"filters": "on"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		login, r := DecodeLogin(frame)
		if (login == nil) == (r == nil) {
			t.Fatal("neither a login nor a refusal")
		}
		w := wiretest.NewWorld()
		c := w.Open("1", New(o))
		c.Step(session.Frame{Data: frame})
		for _, got := range c.Inbox {
			if !json.Valid([]byte(got)) {
				t.Fatalf("not valid JSON: %q", got)
			}
		}
		if c.Closed == nil && len(c.Inbox) == 0 {
			t.Fatal("no answer")
		}
	})
}

func BenchmarkEntry(b *testing.B) {
	payload := []byte(`{"sportId":1,"fixture":{"id":"f-17","home":"Alpha","away":"Beta"},"score":[1,0],"minute":37,"odds":{"home":1.85,"draw":3.4,"away":4.2}}`)
	d := session.Delivery{Ref: stream.Ref{Channel: "scores"}, Entry: &stream.Entry{Serial: 17, Time: 1_787_000_000_000, Kind: stream.Put, Key: "f-17",
		Event: "UPDATE", Data: stream.Data{Type: stream.JSON, Bytes: payload}}}
	for name, e := range map[string]Encoder{"json": {}, "binary": {Packed: true}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf, _ = e.Entry(buf[:0], d)
			}
		})
	}
}
