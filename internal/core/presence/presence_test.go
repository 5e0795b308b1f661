package presence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

func entry(serial uint64, kind stream.Kind, version uint32, user string, m Member, update bool) *stream.Entry {
	e := &stream.Entry{Serial: serial, Time: 1000 + int64(serial), Kind: kind, Version: version, Key: user,
		Data: m.Data(), Member: &stream.Member{User: user, Update: update}}
	if kind == stream.Delete {
		e.Set = stream.FieldData
	}
	return e
}

func TestChangeOf(t *testing.T) {
	m := Member{Conns: []Conn{{ID: "c"}}}
	tests := []struct {
		e    *stream.Entry
		want Change
		more int
	}{
		{entry(1, stream.Put, 1, "u", m, false), Added, 1},
		{entry(1, stream.Put, 1, "u", m, true), Added, 1}, // whoever says update: the user was not there
		{entry(1, stream.Put, 2, "u", m, false), None, 0},
		{entry(1, stream.Put, 2, "u", m, true), Updated, 0},
		{entry(1, stream.Delete, 3, "u", m, false), Removed, -1},
		{entry(1, stream.Annotate, 1, "u", m, false), None, 0},
		{&stream.Entry{Kind: stream.Put, Version: 5}, None, 0},
	}
	for _, tt := range tests {
		if got := ChangeOf(tt.e); got != tt.want || got.Members() != tt.more {
			t.Errorf("%v version %d: %v %d, want %v", tt.e.Kind, tt.e.Version, got, got.Members(), tt.want)
		}
	}
	if s := fmt.Sprint(None, Added, Updated, Removed); s != "none member_added member_updated member_removed" {
		t.Error(s)
	}
}

func TestMembership(t *testing.T) {
	m := Member{User: "u"}
	m, err := m.With(Conn{ID: "1", Node: "n", Boot: "b"}, json.RawMessage(`{"a":"}],\"conns\":"}`))
	if err != nil || !m.Has("1") || m.Has("2") {
		t.Fatal(m, err)
	}
	n, _ := m.With(Conn{ID: "2 \"\u2028"}, nil)
	if n, _ = n.With(Conn{ID: "1"}, nil); len(n.Conns) != 2 || n.Conns[1] != (Conn{ID: "1"}) || len(m.Conns) != 1 {
		t.Fatal(n, m)
	}
	back, err := Of("u", n.Data())
	if err != nil || string(back.Info) != string(m.Info) || fmt.Sprint(back.Conns) != fmt.Sprint(n.Conns) {
		t.Fatal(back, err)
	}
	if n = n.Without("1").Without("1"); len(n.Conns) != 1 || n.Has("1") {
		t.Fatal(n)
	}
	for i := range MaxConns {
		n, err = n.With(Conn{ID: fmt.Sprint("more", i)}, nil)
		if (err != nil) != (i == MaxConns-1) {
			t.Fatalf("connection %d: %v", i+2, err)
		}
	}
	for _, bad := range []stream.Data{{}, {Type: stream.Text, Bytes: []byte(`{}`)}, {Type: stream.JSON, Bytes: []byte(`[`)}} {
		if _, err := Of("u", bad); err == nil {
			t.Errorf("%v is a membership", bad)
		}
	}
}

func TestInfoOf(t *testing.T) {
	for in, want := range map[string]string{`{"a" : 1}`: `{"a":1}`, `null`: `null`, ` "<x>" `: `"<x>"`} {
		if got, err := InfoOf([]byte(in)); string(got) != want || err != nil {
			t.Errorf("%s: %s %v", in, got, err)
		}
	}
	for _, in := range []string{"", "{", `"` + "\xff" + `"`, "1 2"} {
		if got, err := InfoOf([]byte(in)); err == nil {
			t.Errorf("%q: %s", in, got)
		}
	}
	if got, err := InfoOf(nil); got != nil || err != nil {
		t.Error(got, err)
	}
}

func TestStateInfo(t *testing.T) {
	long := `{"n":{"a":[1,"x\\\",\"conns\":[",true],"b":{}},"m":"` + strings.Repeat("}", 9) + `"}`
	for _, info := range []string{"", "1", "-1.5e3", `"a,b"`, `"\\"`, `"\""`, "null", "[]", "{}", `[[],{"conns":[]}]`, long} {
		m := Member{Conns: []Conn{{ID: "c"}}}
		if info != "" {
			m.Info = json.RawMessage(info)
		}
		s := State{User: "u", Data: m.Data()}
		if got, err := s.Info(); string(got) != info || err != nil {
			t.Errorf("%s: %s %v", info, got, err)
		}
	}
	s := State{User: "u", Data: stream.Data{Type: stream.JSON, Bytes: []byte(`{ "info" : [1], "conns" : [{"id":"c"}] }`)}}
	if got, err := s.Info(); string(got) != "[1]" || err != nil {
		t.Error(string(got), err)
	}
}

func TestNote(t *testing.T) {
	for _, n := range []Note{{}, {ObservedAt: 5}, {Count: 7}, {ObservedAt: 5, Count: 7}} {
		if got := NoteOf(&stream.Entry{Extras: n.Extras()}); got != n {
			t.Errorf("%+v: %+v", n, got)
		}
	}
	if n := NoteOf(&stream.Entry{Extras: []byte(`{"count":"x"}`)}); n != (Note{}) {
		t.Error(n)
	}
}

func TestStateKeepsTheNewestTransition(t *testing.T) {
	m := Member{Conns: []Conn{{ID: "c"}}}
	entries := []*stream.Entry{
		entry(1, stream.Put, 1, "u", m, false), entry(2, stream.Put, 2, "u", m, true), entry(5, stream.Put, 3, "u", m, false),
		entry(6, stream.Delete, 4, "u", Member{}, false), entry(9, stream.Put, 1, "u", m, false),
	}
	want := []struct {
		here      bool
		event     Change
		at, since uint64
	}{{true, Added, 1, 1}, {true, Updated, 2, 1}, {true, Updated, 2, 1}, {false, Removed, 6, 1}, {true, Added, 9, 9}}
	var row []byte
	for i, e := range entries {
		next, live, err := Fold(row, e)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Decode(next)
		if err != nil || s.Here != want[i].here || live != s.Here || s.Event != want[i].event || s.At.Serial != want[i].at ||
			s.Since.Serial != want[i].since || s.Last != e.ID() || s.User != "u" {
			t.Fatalf("after %d: %+v %v", e.Serial, s, err)
		}
		row = next
	}
	all, _, err := Fold(nil, entries...)
	if err != nil || !bytes.Equal(all, row) {
		t.Fatal("one fold differs from many", err)
	}
	// A log whose beginning is gone: the user is there, as of what is left.
	s, err := Continue(nil, entries[2:3])
	if err != nil || !s.Here || s.Event != Added || s.At.Serial != 5 {
		t.Fatalf("%+v %v", s, err)
	}
}

func FuzzDecode(f *testing.F) {
	m := Member{Info: json.RawMessage(`{"a":1}`), Conns: []Conn{{ID: "c", Node: "n", Boot: "b"}}}
	row, _, _ := Fold(nil, entry(1, stream.Put, 1, "user", m, false))
	f.Add(row)
	gone, _, _ := Fold(row, entry(2, stream.Delete, 2, "user", Member{}, false))
	f.Add(gone)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil || len(b) == 0 {
			return
		}
		again, err := Decode(s.append(nil))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(s) {
			t.Fatalf("%+v became %+v: %v", s, again, err)
		}
		_, _ = s.Info()
	})
}
