package message_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// full has every field, each with a value that can be told from the others.
func full() message.State {
	return message.State{
		Begun: message.Stamp{Serial: 17, Time: 1_766_414_833_582, User: "ann", Conn: "1.2"},
		Row:   message.Stamp{Serial: 4700, Time: 1_766_414_900_000, User: "bob", Conn: "3.4"},
		Edit: message.Edit{Stamp: message.Stamp{Serial: 4709, Time: 1_766_414_900_001, User: "cy", Conn: "5.6"},
			Kind: stream.Append, Frame: "f-1", Note: &stream.Note{Description: "typo", Metadata: []byte(`{"n":1}`)}},
		Last: 4711, Version: 212, Key: "BTC",
		Content: message.Content{Event: "price", Data: text("héllo"), Tags: []byte(`{"s":"x"}`), Extras: []byte(`{"e":2}`)},
		Annotations: message.Annotations{
			{Type: "a:distinct.v1", Names: []message.Reaction{{Name: "", Users: []string{""}}}},
			{Type: "r:distinct.v1", Names: []message.Reaction{{Name: "boo", Users: []string{"ann"}}, {Name: "like", Users: []string{"ann", "bob"}}}},
		},
	}
}

func simple() message.State {
	s := message.Stamp{Serial: 3, Time: 5}
	return message.State{Begun: s, Row: s, Edit: message.Edit{Stamp: s, Kind: stream.Create}, Last: 3, Version: 1}
}

// The stored form is what data folders hold: a change of these bytes breaks every store that there is.
func TestGolden(t *testing.T) {
	tests := []struct {
		name  string
		state message.State
		want  string
	}{
		{"simple", simple(), "01020304051a012601"},
		{"full", full(), "01021104aeaf9db4b4330703616e6e0903312e320acb240cf286040f03626f621103332e3412091401170263791903352e36" +
			"1a041d03662d311e0121047479706f23077b226e223a317d240226d40129034254432b0570726963652c012f0668c3a96c6c" +
			"6f31097b2273223a2278227d33077b2265223a327d3513030d613a64697374696e63742e7631050007003529030d723a6469" +
			"7374696e63742e76310503626f6f0703616e6e05046c696b650703616e6e0703626f62"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			row := test.state.Encode(nil)
			if got := hex.EncodeToString(row); got != test.want {
				t.Errorf("encoded\n%s, want\n%s", got, test.want)
			}
			back, err := message.Decode(row)
			if err != nil || !reflect.DeepEqual(back, test.state) {
				t.Errorf("decoded %+v, %v", back, err)
			}
			if allocs := testing.AllocsPerRun(10, func() { test.state.Encode(nil) }); allocs > 1 {
				t.Errorf("Encode allocates %v times", allocs)
			}
			if got := test.state.Encode([]byte("x")); string(got) != "x"+string(row) {
				t.Errorf("Encode does not append to its destination: %x", got)
			}
		})
	}
}

func TestDecodeSkipsWhatItDoesNotKnow(t *testing.T) {
	s := full()
	row := s.Encode(nil)
	row = binary.AppendUvarint(row, 300<<1)
	row = binary.AppendUvarint(row, 7)
	row = binary.AppendUvarint(row, 301<<1|1)
	row = append(binary.AppendUvarint(row, 3), "abc"...)
	got, err := message.Decode(row)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "with fields of a newer version", &got, &s)
}

func TestDecodeNothing(t *testing.T) {
	s, err := message.Decode(nil)
	if err != nil || s.Exists() || s.Live() || s.Encode(nil) != nil {
		t.Errorf("nothing decodes to %+v, %v", s, err)
	}
}

func TestDecodeCorrupt(t *testing.T) {
	s := simple()
	row := s.Encode(nil)
	field := func(tag, v uint64) string { return string(binary.AppendUvarint(binary.AppendUvarint(nil, tag<<1), v)) }
	bytes := func(tag int, s string) string {
		return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(tag)<<1|1), uint64(len(s)))) + s
	}
	const summary = 26
	typ, name, user := func(s string) string { return bytes(1, s) }, func(s string) string { return bytes(2, s) }, func(s string) string { return bytes(3, s) }
	tests := map[string]string{
		"unknown version":        "\x02" + string(row[1:]),
		"no message":             "\x01",
		"tag 0":                  string(row) + "\x00\x00",
		"tag too large":          string(row) + field(1<<21, 1),
		"half a tag":             string(row) + "\x80",
		"half a number":          string(row) + "\x02\x80",
		"longer than the row":    string(row) + "\x07\x05abc",
		"no version":             "\x01" + field(1, 3) + field(13, 1),
		"kind of no version":     "\x01" + field(1, 3) + field(13, 6) + field(19, 1),
		"kind too large":         "\x01" + field(1, 3) + field(13, 257) + field(19, 1),
		"data type":              string(row) + field(22, 4),
		"row before message":     string(row) + field(5, 1<<64-1),
		"edit before row":        string(row) + field(9, 1<<64-2),
		"last before edit":       string(row) + field(18, 1<<64-1),
		"summary framing":        string(row) + bytes(summary, "\x80"),
		"summary empty":          string(row) + bytes(summary, ""),
		"summary without name":   string(row) + bytes(summary, typ("t")),
		"summary without user":   string(row) + bytes(summary, typ("t")+name("n")),
		"summary name, no user":  string(row) + bytes(summary, typ("t")+name("a")+name("b")+user("u")),
		"summary without type":   string(row) + bytes(summary, name("n")+user("u")),
		"summary user first":     string(row) + bytes(summary, typ("t")+user("u")),
		"summary two types":      string(row) + bytes(summary, typ("t")+typ("u")+name("n")+user("u")),
		"summary names unsorted": string(row) + bytes(summary, typ("t")+name("b")+user("u")+name("a")+user("u")),
		"summary users unsorted": string(row) + bytes(summary, typ("t")+name("b")+user("u")+user("u")),
		"summary types unsorted": string(row) + bytes(summary, typ("t")+name("b")+user("u")) + bytes(summary, typ("t")+name("b")+user("u")),
	}
	for name, row := range tests {
		t.Run(name, func(t *testing.T) {
			if s, err := message.Decode([]byte(row)); !errors.Is(err, stream.ErrCorrupt) {
				t.Errorf("decoded to %+v, %v", s, err)
			}
		})
	}
}

// FuzzDecode: whatever bytes a row holds, Decode answers; what it accepts has one form, and can be folded on.
func FuzzDecode(f *testing.F) {
	// Decode reaches decodeSummary and fields.
	a, b := simple(), full()
	f.Add(a.Encode(nil))
	f.Add(b.Encode(nil))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, row []byte) {
		s, err := message.Decode(row)
		if err != nil {
			if !errors.Is(err, stream.ErrCorrupt) {
				t.Fatalf("error %v is not ErrCorrupt", err)
			}
			return
		}
		canonical := s.Encode(nil)
		again, err := message.Decode(canonical)
		if err != nil {
			t.Fatalf("own form refused: %v", err)
		}
		equal(t, "decoded again", &again, &s)
		r := rand.New(rand.NewPCG(uint64(len(row)), 1))
		for range 8 {
			e := randomEntry(r, s.Last)
			e.Serial, e.Message, e.Key, e.Version = s.Last+1, s.Message(), s.Key, s.Version+1
			if !e.Kind.Row() && !e.Kind.Mutation() {
				e.Version--
			}
			if s.Apply(&e) == nil {
				s.Encode(nil)
			}
		}
	})
}
