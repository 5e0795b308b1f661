package stream_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// full is an entry with every field set.
func full() *stream.Entry {
	return &stream.Entry{Serial: 300, Time: 1_700_000_000_123, Cum: 123_456, Kind: stream.Update, Message: 7, Version: 4, Key: "k/1",
		Frame: "frame-1", Event: "said", Data: stream.Data{Type: stream.JSON, Bytes: []byte(`{"a":1}`)}, Tags: []byte(`{"t":"v"}`),
		Extras: []byte(`{"x":2}`), User: "ann", Conn: "1.2", NoEcho: true, Set: stream.FieldName | stream.FieldData,
		Clear: stream.FieldExtras, Note: &stream.Note{Description: "typo", Metadata: []byte(`[1]`)},
		Annot:  &stream.Annotation{Type: "reactions:distinct.v1", Name: "like", Count: 3},
		Member: &stream.Member{User: "ann", Conn: "1.2", Node: "n1", Boot: "b1", Cause: "timeout", Update: true}}
}

// The golden bytes of version 1. A change here means that stores written before cannot be read any more: add a tag, or
// a version and a test for both, but never edit these.
var golden = []struct {
	name  string
	bytes string
	entry *stream.Entry
}{
	{"full", "01020304fbd095ffbc3106c0c4070807" + "0a05" + "0d036b2f31" + "0f076672616d652d31" + "110473616964" + "1202" +
		"15077b2261223a317d" + "17097b2274223a2276227d" + "19077b2278223a327d" + "1b03616e6e" + "1d03312e32" + "1e07" + "2003" + "2204" +
		"25047479706f" + "27035b315d" + "29157265616374696f6e733a64697374696e63742e7631" + "2b046c696b65" + "2c03" + "2f03616e6e" +
		"3103312e32" + "33026e31" + "35026231" + "370774696d656f7574", full()},
	{"plain", "0102010464" + "1102" + "6576" + "1201" + "15026869", &stream.Entry{Serial: 9, Time: 100, Kind: stream.Create, Message: 9, Version: 1,
		Event: "ev", Data: stream.Data{Type: stream.Text, Bytes: []byte("hi")}}},
	{"empty", "01", &stream.Entry{Serial: 1, Message: 1, Version: 1}},
	{"version 0", "010a01", &stream.Entry{Serial: 1, Message: 1}},
}

func TestGoldenEntries(t *testing.T) {
	for _, tt := range golden {
		got := hex.EncodeToString(stream.AppendEntry(nil, tt.entry))
		if got != tt.bytes {
			t.Errorf("%s is now written as\n     %s\nwant %s", tt.name, got, tt.bytes)
		}
		b, err := hex.DecodeString(tt.bytes)
		if err != nil {
			t.Fatal(err)
		}
		e, err := stream.DecodeEntry(tt.entry.Serial, b)
		if err != nil || !reflect.DeepEqual(e, tt.entry) {
			t.Errorf("%s is now read as\n     %+v (%v)\nwant %+v", tt.name, e, err, tt.entry)
		}
	}
}

func TestGoldenRows(t *testing.T) {
	m := fullMeta()
	if got, want := hex.EncodeToString(stream.AppendMeta(nil, &m)), "0102010402060208050a060c070e081009120a140b160c180d1a01"; got != want {
		t.Errorf("meta is now written as\n     %s\nwant %s", got, want)
	}
	h := fullHeader()
	if got, want := hex.EncodeToString(stream.AppendHeader(nil, &h)), "010303616c690402060308040a050c010e01100612071408160919036d61781a0a1d03312e321e01"; got != want {
		t.Errorf("header is now written as\n     %s\nwant %s", got, want)
	}
	k := fullKept()
	if got, want := hex.EncodeToString(stream.AppendKept(nil, &k)), "0103100102030405060708090a0b0c0d0e0f100402060308040a050c060e07"; got != want {
		t.Errorf("receipt is now written as\n     %s\nwant %s", got, want)
	}
}

func fullMeta() stream.Meta {
	return stream.Meta{Incarnation: stream.Incarnation{Forget: 1, Resets: 2}, Class: stream.Volatile,
		Extent: stream.Extent{Base: 5, Floor: 6, Head: 7, FloorTime: 8, HeadTime: 9, FloorCum: 10, HeadCum: 11}, Born: 12, Keys: 13, Mutated: true}
}

func fullHeader() stream.Header {
	return stream.Header{Alias: "ali", Message: 2, Row: 3, Last: 4, Version: 5, Deleted: true, Text: true, Len: 6, StateAt: 7, Since: 8,
		LenAt: 9, Creator: "max", BegunAt: 10, BegunConn: "1.2", Annotated: true}
}

func fullKept() stream.Kept {
	return stream.Kept{Fingerprint: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, Expires: 2,
		Entry: stream.EntryID{Time: 3, Serial: 4}, Message: 5, Row: 6, Version: 7}
}

func TestRowsRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	n := func() uint64 { return r.Uint64() >> r.IntN(64) }
	for range 2000 {
		m := stream.Meta{Incarnation: stream.Incarnation{Forget: n(), Resets: n()}, Class: stream.Durability(r.IntN(3)), Born: int64(n()), Keys: n(), Mutated: r.IntN(2) == 0}
		m.Base = n() / 4
		m.Floor = m.Base + n()/4
		m.Head = m.Floor + n()/4
		m.FloorTime, m.HeadTime, m.FloorCum = int64(n()), int64(n()), n()/4
		m.HeadCum = m.FloorCum + n()/4
		if got, err := stream.DecodeMeta(stream.AppendMeta(nil, &m)); err != nil || got != m {
			t.Fatalf("%+v came back as %+v (%v)", m, got, err)
		}
		h := stream.Header{Alias: word(r), Message: n(), Row: n(), Last: n(), Version: r.Uint32(), Deleted: r.IntN(2) == 0, Text: r.IntN(2) == 0,
			Len: n(), StateAt: n(), Since: r.Uint32(), LenAt: n(), Creator: word(r), BegunAt: int64(n()), BegunConn: word(r), Annotated: r.IntN(2) == 0}
		if got, err := stream.DecodeHeader(stream.AppendHeader(nil, &h)); err != nil || got != h {
			t.Fatalf("%+v came back as %+v (%v)", h, got, err)
		}
		k := stream.Kept{Expires: int64(n()), Entry: stream.EntryID{Time: int64(n()), Serial: n()}, Message: n(), Row: n(), Version: r.Uint32()}
		k.Fingerprint[r.IntN(16)] = byte(r.Uint32())
		if got, err := stream.DecodeKept(stream.AppendKept(nil, &k)); err != nil || got != k {
			t.Fatalf("%+v came back as %+v (%v)", k, got, err)
		}
	}
}

func word(r *rand.Rand) string {
	b := make([]byte, r.IntN(4)*r.IntN(100))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func randomEntry(r *rand.Rand) *stream.Entry {
	e := &stream.Entry{Serial: r.Uint64()>>r.IntN(64) | 1, Time: int64(r.Uint64() >> (1 + r.IntN(63))), Cum: r.Uint64() >> r.IntN(64),
		Kind: stream.Kind(1 + r.IntN(7)), Version: r.Uint32() >> r.IntN(32), Key: word(r), Frame: word(r), Event: word(r), User: word(r),
		Conn: word(r), NoEcho: r.IntN(2) == 0, Set: stream.Fields(r.IntN(8)), Clear: stream.Fields(r.IntN(8))}
	e.Message = e.Serial
	if r.IntN(2) == 0 {
		e.Message = 1 + r.Uint64()>>(1+r.IntN(63))
	}
	some := func() []byte {
		if w := word(r); w != "" {
			return []byte(w)
		}
		return nil
	}
	e.Data, e.Tags, e.Extras = stream.Data{Type: stream.DataType(r.IntN(4)), Bytes: some()}, some(), some()
	if r.IntN(3) == 0 {
		e.Note = &stream.Note{Description: "d" + word(r), Metadata: some()}
	}
	if r.IntN(3) == 0 {
		e.Annot = &stream.Annotation{Type: "t" + word(r), Name: word(r), Count: r.Uint32()}
	}
	if r.IntN(3) == 0 {
		e.Member = &stream.Member{User: word(r), Conn: word(r), Node: word(r), Boot: word(r), Cause: word(r), Update: r.IntN(2) == 0}
	}
	return e
}

func TestEntryRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for range 200 {
		e := randomEntry(r)
		b := stream.AppendEntry([]byte("before"), e)
		if !bytes.HasPrefix(b, []byte("before")) {
			t.Fatal("AppendEntry changed what was there")
		}
		b = b[6:]
		got, err := stream.DecodeEntry(e.Serial, b)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("%+v came back as %+v (%v)", e, got, err)
		}
		if e.Size() < 32 || e.Size() > len(b)+64 {
			t.Fatalf("size %d of an entry that takes %d bytes", e.Size(), len(b))
		}
		for i := range b { // what was cut off is an error or an entry that ends at a field, never a panic
			if short, err := stream.DecodeEntry(e.Serial, b[:i]); err != nil && (short != nil || !errors.Is(err, stream.ErrCorrupt)) {
				t.Fatalf("the first %d bytes: %+v, %v", i, short, err)
			}
		}
	}
}

// TestUnknownTags shows that rows of a later version that only added fields can be read.
func TestUnknownTags(t *testing.T) {
	var later []byte
	later = binary.AppendUvarint(later, 200<<1)
	later = binary.AppendUvarint(later, 1<<40)
	later = binary.AppendUvarint(later, 201<<1|1)
	later = binary.AppendUvarint(later, 3)
	later = append(later, "abc"...)
	e, err := stream.DecodeEntry(300, append(stream.AppendEntry(nil, full()), later...))
	if err != nil || !reflect.DeepEqual(e, full()) {
		t.Errorf("entry: %+v, %v", e, err)
	}
	wantMeta, wantHeader, wantKept := fullMeta(), fullHeader(), fullKept()
	if m, err := stream.DecodeMeta(append(stream.AppendMeta(nil, &wantMeta), later...)); err != nil || m != wantMeta {
		t.Errorf("meta: %+v, %v", m, err)
	}
	if h, err := stream.DecodeHeader(append(stream.AppendHeader(nil, &wantHeader), later...)); err != nil || h != wantHeader {
		t.Errorf("header: %+v, %v", h, err)
	}
	if k, err := stream.DecodeKept(append(stream.AppendKept(nil, &wantKept), later...)); err != nil || k != wantKept {
		t.Errorf("receipt: %+v, %v", k, err)
	}
}

func TestCorruptRows(t *testing.T) {
	for name, row := range map[string]string{
		"nothing":              "",
		"another version":      "02",
		"tag 0":                "010001",
		"a tag without value":  "0102",
		"a tag that is huge":   "01feffffff0f01",
		"a varint too long":    "0102ffffffffffffffffffff01",
		"bytes that are short": "011105" + "6576",
		"a length past all":    "0111ffffffffffffffff7f",
	} {
		b, err := hex.DecodeString(row)
		if err != nil {
			t.Fatal(err)
		}
		_, entry := stream.DecodeEntry(1, b)
		_, meta := stream.DecodeMeta(b)
		_, header := stream.DecodeHeader(b)
		_, kept := stream.DecodeKept(b)
		for what, err := range map[string]error{"entry": entry, "meta": meta, "header": header, "receipt": kept} {
			if !errors.Is(err, stream.ErrCorrupt) {
				t.Errorf("%s as %s: %v", name, what, err)
			}
		}
	}
	for name, m := range map[string]stream.Extent{"base above floor": {Base: 2, Floor: 1, Head: 3}, "floor above head": {Floor: 4, Head: 3},
		"fewer bytes than before": {Floor: 1, Head: 2, FloorCum: 5, HeadCum: 4}} {
		if _, err := stream.DecodeMeta(stream.AppendMeta(nil, &stream.Meta{Extent: m})); !errors.Is(err, stream.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	for _, tt := range golden {
		f.Add(tt.entry.Serial, stream.AppendEntry(nil, tt.entry))
	}
	f.Fuzz(func(t *testing.T, serial uint64, b []byte) {
		e, err := stream.DecodeEntry(serial, b)
		if err != nil {
			return
		}
		again, err := stream.DecodeEntry(serial, stream.AppendEntry(nil, e))
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if a, b := stream.AppendEntry(nil, e), stream.AppendEntry(nil, again); !bytes.Equal(a, b) {
			t.Fatalf("written twice:\n%x\n%x", a, b)
		}
	})
}

func FuzzDecodeMeta(f *testing.F) {
	m := fullMeta()
	f.Add(stream.AppendMeta(nil, &m))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := stream.DecodeMeta(b)
		if err != nil {
			return
		}
		if again, err := stream.DecodeMeta(stream.AppendMeta(nil, &m)); err != nil || again != m {
			t.Fatalf("%+v came back as %+v (%v)", m, again, err)
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	h := fullHeader()
	f.Add(stream.AppendHeader(nil, &h))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := stream.DecodeHeader(b)
		if err != nil {
			return
		}
		if again, err := stream.DecodeHeader(stream.AppendHeader(nil, &h)); err != nil || again != h {
			t.Fatalf("%+v came back as %+v (%v)", h, again, err)
		}
	})
}

func FuzzDecodeKept(f *testing.F) {
	k := fullKept()
	f.Add(stream.AppendKept(nil, &k))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := stream.DecodeKept(b)
		if err != nil {
			return
		}
		if again, err := stream.DecodeKept(stream.AppendKept(nil, &k)); err != nil || again != k {
			t.Fatalf("%+v came back as %+v (%v)", k, again, err)
		}
	})
}
