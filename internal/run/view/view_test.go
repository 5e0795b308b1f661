package view_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/view"
)

var room = stream.Ref{App: "app", Channel: "room"}

func text(s string) stream.Data { return stream.Data{Type: stream.Text, Bytes: []byte(s)} }

func fill(t *testing.T, entries ...stream.Entry) *memory.Store {
	t.Helper()
	s := memory.New(memory.Options{Now: func() int64 { return 1 }, Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold}})
	for _, e := range entries {
		results, err := s.Append(context.Background(), []stream.Op{{Ref: room, Entry: e}})
		if err != nil || results[0].Outcome != stream.Applied {
			t.Fatalf("%v %+v", err, results)
		}
	}
	return s
}

func TestMessage(t *testing.T) {
	s := fill(t,
		stream.Entry{Kind: stream.Create, Data: text("a")},
		stream.Entry{Kind: stream.Append, Message: 1, Data: text("b")},
		stream.Entry{Kind: stream.Put, Key: "k", Data: text("1")},
		stream.Entry{Kind: stream.Append, Message: 1, Data: text("c")},
		stream.Entry{Kind: stream.Put, Key: "k", Data: text("2")},
		stream.Entry{Kind: stream.Delete, Message: 1, Clear: stream.FieldData})
	tests := []struct {
		serial uint64
		key    string
		at     uint64
		want   string
	}{
		{1, "", 0, "deleted "}, {1, "", 6, "deleted "}, {1, "", 5, "abc"}, {1, "", 3, "ab"}, {1, "", 1, "a"},
		{0, "k", 0, "2"}, {0, "k", 4, "1"}, {0, "k", 2, "none"}, {3, "", 5, "2"}, {0, "other", 0, "none"}, {9, "", 0, "none"},
	}
	for _, test := range tests {
		got, b, err := view.Message(context.Background(), s, room, test.serial, test.key, test.at)
		if err != nil || b.Head != 6 {
			t.Fatalf("%+v: %v, head %d", test, err, b.Head)
		}
		shown := string(got.Data.Bytes)
		switch {
		case !got.Exists():
			shown = "none"
		case got.Deleted():
			shown = "deleted " + shown
		}
		if shown != test.want {
			t.Errorf("message %d %q at %d shows %q, want %q", test.serial, test.key, test.at, shown, test.want)
		}
	}
}

type broken struct{ page stream.Page }

func (b broken) Read(context.Context, stream.Query) (stream.Page, error) {
	if b.page.Entries == nil {
		return stream.Page{}, errors.New("the disk is away")
	}
	return b.page, nil
}

func TestMessageThatCannotBeRead(t *testing.T) {
	if _, _, err := view.Message(context.Background(), broken{}, room, 1, "", 0); err == nil {
		t.Error("a failed read was no error")
	}
	gap := stream.Page{Entries: []*stream.Entry{{Serial: 1, Kind: stream.Create, Message: 1, Version: 1}, {Serial: 3, Kind: stream.Append, Message: 1, Version: 3}}}
	if _, _, err := view.Message(context.Background(), broken{gap}, room, 1, "", 0); err == nil {
		t.Error("a version that is missing was no error")
	}
	row := &stream.Entry{Serial: 1, Kind: stream.Put, Key: "k", Message: 1, Version: 1}
	if _, err := view.Row(context.Background(), broken{}, room, row, 3, true); err == nil {
		t.Error("a row that could not be read was no error")
	}
}

// A row shows what a fold over the whole log says it showed at the serial, whatever the store keeps folded.
func TestRowAgreesWithTheFoldOfTheWholeLog(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var log []stream.Entry
		var open []uint64
		for i := range 120 {
			serial := uint64(i + 1)
			switch n := rnd.IntN(6); {
			case n == 0 || len(open) == 0:
				log = append(log, stream.Entry{Kind: stream.Create, Data: text(fmt.Sprint("m", serial))})
				open = append(open, serial)
			case n == 1:
				log = append(log, stream.Entry{Kind: stream.Put, Key: fmt.Sprint("k", rnd.IntN(2)), Data: text(fmt.Sprint("p", serial))})
			case n == 2:
				log = append(log, stream.Entry{Kind: stream.Update, Message: open[rnd.IntN(len(open))], Set: stream.FieldData, Data: text(fmt.Sprint("u", serial))})
			default:
				log = append(log, stream.Entry{Kind: stream.Append, Message: open[rnd.IntN(len(open))], Data: text(".")})
			}
		}
		s := fill(t, log...)
		page, err := s.Read(context.Background(), stream.Query{Ref: room, Limit: len(log)})
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			at := uint64(1 + rnd.IntN(len(log)))
			row := page.Entries[rnd.IntN(int(at))]
			if !row.Kind.Row() {
				continue
			}
			want, err := message.AsOf(row, page.Entries, at)
			if err != nil {
				t.Fatal(err)
			}
			got, err := view.Row(context.Background(), s, room, row, at, page.Bounds.Mutated)
			if err != nil || string(got.Data.Bytes) != string(want.Data.Bytes) || got.Row != want.Row || got.Version != want.Version {
				t.Fatalf("seed %d: row %d at %d shows %q version %d, want %q version %d (%v)", seed, row.Serial, at, got.Data.Bytes, got.Version,
					want.Data.Bytes, want.Version, err)
			}
		}
	}
}

// A log in which nothing was changed needs no read for its rows.
func TestRowOfAnUnchangedLogIsTheEntry(t *testing.T) {
	row := &stream.Entry{Serial: 1, Kind: stream.Create, Message: 1, Version: 1, Data: text("a")}
	for _, mutated := range []bool{false, true} {
		got, err := view.Row(context.Background(), broken{}, room, row, 1, mutated)
		if err != nil || string(got.Data.Bytes) != "a" {
			t.Errorf("%q, %v", got.Data.Bytes, err)
		}
	}
}
