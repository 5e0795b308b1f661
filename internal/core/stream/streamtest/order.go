package streamtest

import (
	"fmt"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

var orderTests = []test{
	{"a channel without a row", nil, (*world).testAbsent},
	{"serials are contiguous over trim and reset", nil, (*world).testSerials},
	{"channels and logs are apart", nil, (*world).testApart},
	{"time never runs backwards", nil, (*world).testTime},
	{"every field comes back", nil, (*world).testFields},
	{"a batch is decided in order", nil, (*world).testBatch},
	{"concurrent appends leave no hole", nil, (*world).testConcurrent},
	{"impossible ops", nil, (*world).testImpossible},
	{"a change of class is a new incarnation", nil, (*world).testClass},
	{"a change of class in the middle of a batch", nil, (*world).testClassBatch},
}

func (w *world) testAbsent() {
	before := w.bounds(room)
	if before.Stream == "" || before.Head != 0 || before.Floor != 0 || !before.Logged {
		w.Fatalf("bounds of a channel without a row: %+v", before)
	}
	if again := w.bounds(room); again != before {
		w.Fatalf("bounds change by looking: %+v, then %+v", before, again)
	}
	p := w.read(stream.Query{Ref: room, Limit: 10, HasWitness: true})
	if len(p.Entries) != 0 || p.More || p.Witness != (stream.Witness{}) {
		w.Fatalf("page of a channel without a row: %+v", p)
	}
	if r := w.cut(room, stream.Trim, 100); r.After != before || r.Entries != 0 {
		w.Fatalf("a trim of nothing did %+v", r)
	}
	r := w.applied(create(room, "one"))[0]
	if r.Stream != before.Stream || r.Entry.Serial != 1 {
		w.Fatalf("the first append is %v in %s; subscribers were told %s", r.Entry, r.Stream, before.Stream)
	}
	if after := w.bounds(room); after.Stream != before.Stream || after.Head != 1 {
		w.Fatalf("bounds after the first append: %+v", after)
	}
	other := w.bounds(stream.Ref{App: "app", Channel: "room2"})
	if other.Stream == before.Stream {
		w.Fatalf("two channels have one stream id %s", other.Stream)
	}
}

func (w *world) testSerials() {
	seen := map[stream.ID]bool{}
	next := uint64(1)
	for round := range 4 {
		for range 5 {
			if r := w.applied(create(room, "x"))[0]; r.Entry.Serial != next {
				w.Fatalf("serial %d, want %d", r.Entry.Serial, next)
			}
			next++
		}
		w.all(room)
		w.cut(room, stream.Trim, next-3)
		if b := w.bounds(room); b.Floor != next-3 || b.Head != next-1 {
			w.Fatalf("after a trim to %d: %+v", next-3, b)
		}
		w.wantSerials("after a trim", w.all(room), next-2, next-1)
		old := w.bounds(room)
		if seen[old.Stream] {
			w.Fatalf("round %d: stream id %s was used before", round, old.Stream)
		}
		seen[old.Stream] = true
		r := w.cut(room, stream.Reset, 0)
		if r.Before != old || r.After != w.bounds(room) || r.Entries != 2 {
			w.Fatalf("reset did %+v", r)
		}
		b := r.After
		if b.Head != next || b.Floor != next || b.Base != next || b.Stream == old.Stream || b.Truncated() {
			w.Fatalf("bounds after a reset at head %d: %+v", next-1, b)
		}
		if b.Keys != 0 || b.Mutated || b.RetainedBytes() != 0 {
			w.Fatalf("a reset left something: %+v", b)
		}
		next++
	}
	w.cut(room, stream.Trim, 1_000_000)
	w.applied(create(room, "x"))
	r := w.cut(room, stream.Trim, 1_000_000)
	if r.After.Floor != r.After.Head || r.Entries != 1 || !r.After.Truncated() {
		w.Fatalf("a trim beyond the head: %+v", r)
	}
	if r := w.applied(create(room, "x"))[0]; r.Entry.Serial != next+1 {
		w.Fatalf("serial %d after a full trim, want %d", r.Entry.Serial, next+1)
	}
}

func (w *world) testApart() {
	refs := []stream.Ref{room, {App: "app", Channel: "room", Log: stream.Presence}, {App: "app2", Channel: "room"},
		{App: "ap", Channel: "proom"}, {App: "app", Channel: "roo"}, {App: "app", Channel: "room\x00"}}
	ids := map[stream.ID]bool{}
	for i, ref := range refs {
		for n := range i + 1 {
			w.applied(put(ref, fmt.Sprint("k", n), fmt.Sprint(ref)))
		}
	}
	for i, ref := range refs {
		entries := w.all(ref)
		if len(entries) != i+1 || string(entries[0].Data.Bytes) != fmt.Sprint(ref) {
			w.Fatalf("%v has %d entries, want %d", ref, len(entries), i+1)
		}
		ids[w.bounds(ref).Stream] = true
	}
	if len(ids) != len(refs) {
		w.Fatalf("%d streams have %d ids", len(refs), len(ids))
	}
	w.cut(refs[0], stream.Reset, 0)
	if len(w.all(refs[1])) != 2 {
		w.Fatal("a reset of the messages reached the presence log")
	}
}

func (w *world) testTime() {
	at := w.clock.now()
	first := w.applied(create(room, "a"))[0]
	w.clock.advance(-time.Hour)
	second := w.applied(create(room, "b"))[0]
	if first.Entry.Time != at || second.Entry.Time != at {
		w.Fatalf("times %d and %d; the clock said %d, then an hour less", first.Entry.Time, second.Entry.Time, at)
	}
	reset := w.cut(room, stream.Reset, 0)
	if reset.After.HeadTime < at {
		w.Fatalf("a reset went back to %d", reset.After.HeadTime)
	}
	if r := w.applied(create(room, "c"))[0]; r.Entry.Time < at {
		w.Fatalf("time went back over a reset, to %d", r.Entry.Time)
	}
	if w.h.Reopen != nil {
		w.clock.advance(-time.Hour)
		w.store = w.h.Reopen()
		if r := w.applied(create(room, "d"))[0]; r.Entry.Time < at {
			w.Fatalf("time went back over a restart, to %d", r.Entry.Time)
		}
	}
	w.clock.advance(3 * time.Hour)
	if r := w.applied(create(room, "e"))[0]; r.Entry.Time != w.clock.now() {
		w.Fatalf("time %d, the clock says %d", r.Entry.Time, w.clock.now())
	}
	w.all(room)
}

func (w *world) testFields() {
	e := stream.Entry{Kind: stream.Create, Frame: "f1", Event: "ev", Data: stream.Data{Type: stream.JSON, Bytes: []byte(`{"a":1}`)},
		Tags: []byte(`{"t":"v"}`), Extras: []byte(`{"x":2}`), User: "u", Conn: "c", NoEcho: true,
		Note: &stream.Note{Description: "why", Metadata: []byte(`[1]`)}}
	r := w.applied(stream.Op{Ref: room, Entry: e})[0]
	presence := stream.Ref{App: "app", Channel: "room", Log: stream.Presence}
	m := stream.Entry{Kind: stream.Put, Key: "conn", Member: &stream.Member{User: "u", Conn: "c", Node: "n", Boot: "b",
		Cause: "join", Update: true}}
	w.applied(stream.Op{Ref: presence, Entry: m})
	e.Serial, e.Time, e.Message, e.Version, e.Cum = 1, w.clock.now(), 1, 1, uint64(e.Size())
	w.wantEntry(w.all(room)[0], &e)
	m.Serial, m.Time, m.Message, m.Version, m.Cum = 1, w.clock.now(), 1, 1, uint64(m.Size())
	w.wantEntry(w.all(presence)[0], &m)
	if r.Message != 1 || r.Row != 1 || r.Version != 1 || r.Entry != e.ID() {
		w.Fatalf("result %+v", r)
	}
	if w.h.Reopen != nil {
		w.store = w.h.Reopen()
		w.wantEntry(w.all(room)[0], &e)
		w.wantEntry(w.all(presence)[0], &m)
	}
}

func (w *world) wantEntry(got, want *stream.Entry) {
	w.Helper()
	if g, e := stream.AppendEntry(nil, got), stream.AppendEntry(nil, want); string(g) != string(e) || got.Serial != want.Serial {
		w.Fatalf("entry\n got %+v\nwant %+v", got, want)
	}
}

func (w *world) testBatch() {
	other := stream.Ref{App: "app", Channel: "other"}
	results := w.append(
		create(room, "a"), create(other, "b"), fragment(room, 1, "+"), fragment(room, 9, "?"), put(other, "k", "c"),
		update(room, 1, "u"), remove(room, 1), fragment(room, 1, "late"), create(room, "z"))
	want := []uint64{1, 1, 2, 0, 2, 3, 4, 0, 5}
	for i, r := range results {
		if r.Entry.Serial != want[i] {
			w.Fatalf("op %d has serial %d (error %v), want %d", i, r.Entry.Serial, r.Err, want[i])
		}
	}
	w.wantRefused("an append to nothing", results[3], fault.NotFound)
	w.wantRefused("an append to a deleted message", results[7], fault.Conflict)
	if len(w.all(room)) != 5 || len(w.all(other)) != 2 {
		w.Fatal("a batch of two streams did not reach both")
	}
	if results, err := w.store.Append(w.Context(), nil); err != nil || len(results) != 0 {
		w.Fatalf("an empty batch: %v, %v", results, err)
	}
}

func (w *world) testConcurrent() {
	const writers, each = 16, 25
	var wg sync.WaitGroup
	ids := make([][]stream.EntryID, writers)
	for n := range writers {
		wg.Go(func() {
			for i := range each {
				ref := stream.Ref{App: "app", Channel: fmt.Sprint("c", i%3)}
				r, err := w.store.Append(w.Context(), []stream.Op{create(ref, fmt.Sprint(n, ".", i))})
				if err != nil || r[0].Outcome != stream.Applied {
					w.Errorf("append: %v, %v", r, err)
					return
				}
				ids[n] = append(ids[n], r[0].Entry)
			}
		})
	}
	wg.Wait()
	byID := map[string]bool{}
	for c := range 3 {
		for _, e := range w.all(stream.Ref{App: "app", Channel: fmt.Sprint("c", c)}) {
			byID[fmt.Sprint(c, " ", e.ID(), " ", string(e.Data.Bytes))] = true
		}
	}
	for n := range writers {
		for i, id := range ids[n] {
			if !byID[fmt.Sprint(i%3, " ", id, " ", n, ".", i)] {
				w.Fatalf("writer %d was told %v for its append %d, but the log has something else there", n, id, i)
			}
		}
	}
}

func (w *world) testImpossible() {
	w.applied(create(room, "a"))
	before := w.bounds(room)
	for name, e := range map[string]stream.Entry{
		"no kind":                {},
		"unknown kind":           {Kind: 99},
		"put without a key":      {Kind: stream.Put},
		"create with a key":      {Kind: stream.Create, Key: "k"},
		"mutation of nothing":    {Kind: stream.Update, Set: stream.FieldData},
		"append of nothing":      {Kind: stream.Append, Message: 1},
		"empty update":           {Kind: stream.Update, Message: 1},
		"set and clear":          {Kind: stream.Update, Message: 1, Set: stream.FieldData, Clear: stream.FieldData},
		"text that is not UTF-8": {Kind: stream.Create, Data: stream.Data{Type: stream.Text, Bytes: []byte{0xff}}},
	} {
		w.wantRefused(name, w.append(stream.Op{Ref: room, Entry: e})[0], fault.Invalid)
	}
	for name, q := range map[string]stream.Query{
		"negative limit":          {Ref: room, Limit: -1},
		"message and key":         {Ref: room, Message: 1, Key: "k", Limit: 1},
		"state of nothing":        {Ref: room, State: true},
		"state beyond the head":   {Ref: room, State: true, Key: "k", At: 2},
		"state of an empty place": {Ref: stream.Ref{App: "x", Channel: "y"}, State: true, Key: "k", At: 1},
	} {
		_, err := w.store.Read(w.Context(), q)
		w.wantFault(name, err, fault.Invalid)
	}
	_, err := w.store.Cut(w.Context(), stream.Cut{Ref: room, Kind: 77})
	w.wantFault("an unknown cut", err, fault.Invalid)
	if after := w.bounds(room); after != before {
		w.Fatalf("impossible requests changed the bounds: %+v", after)
	}
}

func (w *world) testClass() {
	w.applied(create(room, "a"), put(room, "k", "v"))
	before := w.bounds(room)
	w.class(room, stream.Interval)
	if now := w.bounds(room); now != before {
		w.Fatalf("the policy alone changed the bounds: %+v, then %+v", before, now)
	}
	r := w.together(create(room, "b"), create(room, "c"))
	b := w.bounds(room)
	if b.Stream == before.Stream || b.Base != 3 || b.Floor != 3 || b.Head != 5 || b.Keys != 0 {
		w.Fatalf("bounds after another class: %+v", b)
	}
	if r[0].Stream != b.Stream || r[0].Entry.Serial != 4 {
		w.Fatalf("the first append in another class: %+v", r[0])
	}
	w.wantSerials("after another class", w.all(room), 4, 5)
	w.wantRefused("a mutation of the old incarnation", w.append(fragment(room, 1, "x"))[0], fault.NotFound)
	w.applied(create(room, "d"))
	if again := w.bounds(room); again.Stream != b.Stream {
		w.Fatal("the second append in a class began another incarnation")
	}
}

func (w *world) testClassBatch() {
	w.policy(room, stream.Retention{KeepLatest: true})
	w.applied(put(room, "k", "a"), create(room, "m"), fragment(room, 2, "n"))
	w.class(room, stream.Interval)
	r := w.append(keyed(fragment(room, 0, "x"), "k"), create(room, "b"), keyed(fragment(room, 0, "x"), "k"), fragment(room, 2, "x"),
		fragment(room, 1, "x"), put(room, "k", "c"), keyed(fragment(room, 0, "d"), "k"))
	for _, i := range []int{0, 2, 3, 4} {
		w.wantRefused(fmt.Sprint("op ", i, ", about the old incarnation"), r[i], fault.NotFound)
	}
	w.check(r[1], r[5], r[6])
	if r[1].Entry.Serial != 5 || r[5].Version != 1 || r[6].Entry.Serial != 7 {
		w.Fatalf("the new incarnation began with %+v, %+v and %+v", r[1], r[5], r[6])
	}
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, map[string]string{"k": "cd"})
	w.wantSerials("the new incarnation", w.all(room), 5, 6, 7)
}
