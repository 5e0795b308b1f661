package message_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// keyed is a log about key k: put 1, update 2, put 3, append 4, delete 5, put 6 (a new message), and a message 7
// without a key, appended to at 8.
func keyed(t *testing.T) []*stream.Entry {
	w := newWorld(t, true)
	w.must(stream.Entry{Kind: stream.Put, Key: "k", Event: "a", Data: text("one"), User: "ann"})
	w.must(stream.Entry{Kind: stream.Update, Key: "k", Set: stream.FieldData, Data: text("two")})
	w.must(stream.Entry{Kind: stream.Put, Key: "k", Event: "b", Data: text("three"), User: "bob"})
	w.must(stream.Entry{Kind: stream.Append, Key: "k", Data: text("+")})
	w.must(stream.Entry{Kind: stream.Delete, Message: 1})
	w.must(stream.Entry{Kind: stream.Put, Key: "k", Event: "c", Data: text("six")})
	w.must(stream.Entry{Kind: stream.Create, Data: text("x")})
	w.must(stream.Entry{Kind: stream.Append, Message: 7, Data: text("y")})
	return w.log
}

func TestAsOf(t *testing.T) {
	log := keyed(t)
	tests := []struct {
		row, at       uint64
		data          string
		version       uint32
		edit, message uint64
		deleted       bool
	}{
		{1, 1, "one", 1, 1, 1, false},
		{1, 2, "two", 2, 2, 1, false},
		{1, 8, "two", 2, 2, 1, false}, // superseded by the put at 3: its own last version, for ever
		{3, 3, "three", 3, 3, 1, false},
		{3, 4, "three+", 4, 4, 1, false},
		{3, 8, "three+", 5, 5, 1, true},
		{6, 8, "six", 1, 6, 6, false},
		{7, 7, "x", 1, 7, 7, false},
		{7, 9, "xy", 2, 8, 7, false},
	}
	for _, test := range tests {
		row := log[test.row-1]
		for _, later := range [][]*stream.Entry{log, log[test.row:], log[test.row-1:]} {
			s, err := message.AsOf(row, later, test.at)
			if err != nil {
				t.Fatal(err)
			}
			if string(s.Data.Bytes) != test.data || s.Version != test.version || s.Edit.Serial != test.edit ||
				s.Message() != test.message || s.Row.Serial != test.row || s.Deleted() != test.deleted {
				t.Errorf("row %d at %d: %+v", test.row, test.at, s)
			}
		}
	}
}

func TestAsOfRefuses(t *testing.T) {
	log := keyed(t)
	if _, err := message.AsOf(log[2], []*stream.Entry{log[4]}, 9); !errors.Is(err, message.ErrGap) {
		t.Errorf("with an entry missing: %v", err)
	}
	if s, err := message.AsOf(log[1], nil, 9); err != nil || s.Exists() {
		t.Errorf("of an update: %+v, %v", s, err)
	}
}

// Rows over any range shows for each row what AsOf shows, and knows more only of who began superseded messages.
func TestRowsIsAsOf(t *testing.T) {
	forSeeds(t, func(t *testing.T, r *rand.Rand) {
		w := newWorld(t, true)
		for range steps {
			w.append(randomEntry(r, w.meta.Head))
		}
		from := r.IntN(len(w.log))
		to := from + r.IntN(len(w.log)-from) + 1
		rows, err := message.Rows(w.log[from:to])
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range w.log[from:to] {
			if !e.Kind.Row() {
				continue
			}
			want, err := message.AsOf(e, w.log, uint64(to))
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) == 0 {
				t.Fatalf("no row for %d", e.Serial)
			}
			got := rows[0]
			rows = rows[1:]
			want.Begun, want.Annotations = got.Begun, got.Annotations
			equal(t, "row", &got, &want)
			latest(t, w, &got, uint64(to), from == 0)
		}
		if len(rows) != 0 {
			t.Fatalf("%d rows too many", len(rows))
		}
	})
}

// latest checks that a row that was not superseded is the message's latest version, annotations and all, if the whole
// message was there.
func latest(t *testing.T, w *world, row *message.State, at uint64, whole bool) {
	t.Helper()
	entries := slices.DeleteFunc(slices.Clone(w.log[:at]), func(e *stream.Entry) bool { return e.Message != row.Message() })
	s, err := message.Continue(nil, entries)
	if err != nil {
		t.Fatal(err)
	}
	if s.Row.Serial == row.Row.Serial && whole {
		equal(t, "latest", row, &s)
	}
}

func TestVersions(t *testing.T) {
	w := newWorld(t, true)
	const r = "r:distinct.v1"
	w.must(stream.Entry{Kind: stream.Create, Event: "chat", Data: text("a")})
	w.must(stream.Entry{Kind: stream.Append, Message: 1, Data: text("b")})
	w.must(stream.Entry{Kind: stream.Annotate, Message: 1, Annot: &stream.Annotation{Type: r, Name: "x"}})
	w.must(stream.Entry{Kind: stream.Append, Message: 1, Data: text("c")})
	w.must(stream.Entry{Kind: stream.Update, Message: 1, Set: stream.FieldName, Event: "talk"})
	w.must(stream.Entry{Kind: stream.Delete, Message: 1, Clear: stream.FieldData})
	type shown struct {
		serial      uint64
		data, shown string
		event       string
	}
	all := []shown{{1, "a", "a", "chat"}, {2, "ab", "b", "chat"}, {4, "abc", "c", "chat"}, {5, "abc", "abc", "talk"}, {6, "", "", "talk"}}
	for split := range w.log {
		base, err := message.Continue(nil, w.log[:split])
		if err != nil {
			t.Fatal(err)
		}
		list, err := message.Versions(base, w.log[split:])
		if err != nil {
			t.Fatal(err)
		}
		var got []shown
		for _, v := range list {
			got = append(got, shown{v.Edit.Serial, string(v.Data.Bytes), string(v.Shown().Bytes), v.Event})
		}
		want := slices.DeleteFunc(slices.Clone(all), func(s shown) bool { return s.serial <= uint64(split) })
		if !slices.Equal(got, want) {
			t.Errorf("from %d: %+v, want %+v", split+1, got, want)
		}
	}
	if _, err := message.Versions(message.State{}, []*stream.Entry{w.log[0], w.log[3]}); !errors.Is(err, message.ErrGap) {
		t.Errorf("with versions missing: %v", err)
	}
	if list, err := message.Versions(message.State{}, w.log[1:]); list != nil || err != nil {
		t.Errorf("of an ended message: %+v, %v", list, err)
	}
}
