package streamtest

import (
	"fmt"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func crashesHeld(h Harness) bool { return h.Crash != nil && holds(h) }

var lifeTests = []test{
	{"a restart changes nothing", func(h Harness) bool { return h.Reopen != nil }, (*world).testReopen},
	{"a crash loses nothing that was answered", crashesHeld, (*world).testCrash},
	{"a crash in the middle of a batch", crashesHeld, (*world).testCrashBatch},
	{"a failed sync has an unknown outcome", func(h Harness) bool { return h.FailSync != nil }, (*world).testFailSync},
	{"what followed a failed sync is unknown too", func(h Harness) bool { return h.FailSync != nil && holds(h) }, (*world).testFailFollowers},
	{"an interval stream loses only what nobody saw", func(h Harness) bool { return crashesHeld(h) }, (*world).testCrashInterval},
	{"a volatile stream ends with its process", func(h Harness) bool { return h.Volatile && h.Reopen != nil }, (*world).testVolatile},
	{"forgetting", func(h Harness) bool { return h.Forget != nil }, (*world).testForget},
	{"forgetting spares what is in use", func(h Harness) bool { return h.Forget != nil }, (*world).testForgetSpares},
}

func (w *world) testReopen() {
	w.policy(room, stream.Retention{KeepLatest: true})
	w.applied(create(room, "a"), put(room, "k", "1"), fragment(room, 1, "b"), keyed(fragment(room, 0, "2"), "k"))
	w.cut(room, stream.Trim, 2)
	w.applied(put(room, "l", "1"), fragment(room, 2, "3"))
	absent := stream.Ref{App: "app", Channel: "absent"}
	epoch, none, bounds, entries := w.store.Info().Epoch, w.bounds(absent), w.bounds(room), w.all(room)
	if len(epoch) != 32 {
		w.Fatalf("epoch %q has not 32 digits", epoch)
	}
	for range 2 {
		w.store = w.h.Reopen()
		if e := w.store.Info().Epoch; e != epoch {
			w.Fatalf("epoch %s, then %s", epoch, e)
		}
		if w.bounds(absent) != none || w.bounds(room) != bounds {
			w.Fatalf("bounds after a restart: %+v and %+v", w.bounds(absent), w.bounds(room))
		}
		for i, e := range w.all(room) {
			w.wantEntry(e, entries[i])
		}
		w.wantKeys(stream.KeysQuery{Ref: room, Limit: 1}, map[string]string{"k": "123", "l": "1"})
	}
	if r := w.applied(fragment(room, 2, "4"))[0]; r.Version != 4 || r.Entry.Serial != 7 {
		w.Fatalf("the first append after a restart: %+v", r)
	}
	w.wantRefused("a message that was trimmed", w.append(fragment(room, 1, "x"))[0], fault.NotFound)
}

// settled appends ops again, with their receipts, once the store can be used again. Each must be there exactly once.
func (w *world) settled(ops []stream.Op) {
	w.Helper()
	for i := range ops {
		if r := w.retry(ops[i]); r.Outcome != stream.Applied && r.Outcome != stream.Duplicate {
			w.Fatalf("op %d cannot be settled: %+v", i, r)
		}
	}
	count := map[string]int{}
	for _, e := range w.all(ops[0].Ref) {
		count[string(e.Data.Bytes)]++
	}
	for i := range ops {
		if data := string(ops[i].Entry.Data.Bytes); count[data] != 1 {
			w.Fatalf("%q is there %d times", data, count[data])
		}
	}
}

// retry appends until the store can be used: it may be reopening after a failure.
func (w *world) retry(op stream.Op) stream.Result {
	w.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 30_000 {
		r, err := w.store.Append(w.Context(), []stream.Op{op})
		switch {
		case err == nil && r[0].Outcome != stream.Unknown:
			return r[0]
		case err != nil && fault.KindOf(err) != fault.Unavailable:
			w.Fatalf("append: %v", err)
		}
		<-tick.C
	}
	w.Fatal("the store does not come back")
	panic("unreachable")
}

func numbered(from, to int) []stream.Op {
	var ops []stream.Op
	for i := from; i < to; i++ {
		ops = append(ops, withReceipt(create(room, fmt.Sprint("op ", i)), fmt.Sprint(i), "p"))
	}
	return ops
}

func (w *world) testCrash() {
	for round := range 3 {
		acked, flying := numbered(round*40, round*40+20), numbered(round*40+20, round*40+40)
		results := w.applied(acked...)
		reached := w.hold()
		var answers []<-chan []stream.Result
		for _, op := range flying {
			answers = append(answers, w.laterAny(op))
		}
		wait(w, "the sync", reached)
		before := w.bounds(room)
		w.store = w.h.Crash()
		for _, a := range answers {
			select { // a store that crashed need not answer, but what it answers must be true
			case r := <-a:
				if r != nil && r[0].Outcome == stream.Applied && !w.has(r[0].Entry) {
					w.Fatalf("%+v was answered and is lost", r[0])
				}
			default:
			}
		}
		after := w.bounds(room)
		if after.Stream != before.Stream || after.Head < before.Head {
			w.Fatalf("a crash went from %+v to %+v", before, after)
		}
		for _, r := range results {
			if !w.has(r.Entry) {
				w.Fatalf("%v was answered and is lost", r.Entry)
			}
		}
		w.settled(append(acked, flying...))
	}
	if b := w.bounds(room); b.Head != 120 {
		w.Fatalf("head %d, want 120", b.Head)
	}
}

// laterAny is later for a store that may end meanwhile.
func (w *world) laterAny(ops ...stream.Op) <-chan []stream.Result {
	out := make(chan []stream.Result, 1)
	store := w.store
	go func() {
		r, err := store.Append(w.Context(), ops)
		if err != nil {
			r = nil
		}
		out <- r
	}()
	return out
}

func (w *world) has(id stream.EntryID) bool {
	w.Helper()
	p := w.read(stream.Query{Ref: room, From: id.Serial, To: id.Serial, Limit: 1})
	return len(p.Entries) == 1 && p.Entries[0].ID() == id
}

func (w *world) testCrashBatch() {
	w.applied(create(room, "first"))
	reached := w.hold()
	w.laterAny(numbered(0, 30)...)
	wait(w, "the sync", reached)
	w.store = w.h.Crash()
	if n := len(w.all(room)); n != 1 && n != 31 {
		w.Fatalf("%d entries: a batch of 30 is there in part", n)
	}
	w.settled(numbered(0, 30))
}

func (w *world) testFailSync() {
	w.applied(create(room, "first"))
	for round := range 3 {
		ops := numbered(round*4, round*4+4)
		before := w.bounds(room)
		w.h.FailSync()
		results, err := w.store.Append(w.Context(), ops)
		if err != nil {
			w.Fatalf("append: %v", err)
		}
		for _, r := range results {
			if r.Outcome != stream.Unknown || fault.KindOf(r.Err) != fault.Unknown || r.Entry.Serial != 0 {
				w.Fatalf("after a failed sync: %+v", r)
			}
		}
		w.settled(ops)
		if b := w.bounds(room); b.Stream != before.Stream || b.Head != before.Head+4 {
			w.Fatalf("a failed sync went from %+v to %+v", before, b)
		}
		if w.h.Reopen != nil {
			w.store = w.h.Reopen()
			w.settled(ops)
		}
	}
}

func (w *world) testFailFollowers() {
	w.applied(create(room, ""))
	reached := w.hold()
	first := w.laterAny(withReceipt(update(room, 1, "0"), "0", "p"))
	wait(w, "the sync", reached)
	var answers []<-chan []stream.Result
	for i := 1; i < 10; i++ {
		answers = append(answers, w.laterAny(withReceipt(guarded(update(room, 1, fmt.Sprint(i)), stream.Guard{IfVersion: 2}), fmt.Sprint(i), "p")))
	}
	w.notYet("an append", first)
	w.h.FailSync()
	w.h.ReleaseSync()
	wait(w, "the first answer", first)
	for _, a := range answers {
		wait(w, "an answer", a)
	}
	// Whatever was written: the message has had one version after another, and every update has an answer now.
	w.retry(withReceipt(update(room, 1, "0"), "0", "p"))
	won := 0
	for i := 1; i < 10; i++ {
		r := w.retry(withReceipt(guarded(update(room, 1, fmt.Sprint(i)), stream.Guard{IfVersion: 2}), fmt.Sprint(i), "p"))
		if r.Outcome == stream.Applied || r.Outcome == stream.Duplicate {
			won++
		}
	}
	if s := w.state(stream.Query{Ref: room, Message: 1}); won > 1 || s.Version != uint32(len(w.all(room))) {
		w.Fatalf("%d winners; the state is %+v and the log has %d entries", won, s, len(w.all(room)))
	}
}

func (w *world) testCrashInterval() {
	w.class(room, stream.Interval)
	seen := w.applied(numbered(0, 10)...)
	reached := w.hold()
	for _, op := range numbered(10, 20) {
		op.Early = true
		w.applied(op)
	}
	wait(w, "the sync", reached)
	w.store = w.h.Crash()
	for _, r := range seen {
		if !w.has(r.Entry) {
			w.Fatalf("%v was named in an answer and is lost", r.Entry)
		}
	}
	w.settled(numbered(0, 20))
}

func (w *world) testVolatile() {
	w.class(room, stream.Volatile)
	w.clock.advance(time.Second)
	w.applied(create(room, "a"), put(room, "k", "b"))
	before := w.bounds(room)
	w.clock.advance(time.Second)
	w.store = w.h.Reopen()
	after := w.bounds(room)
	if after.Head != 0 || after.Stream == before.Stream || after.Born <= before.HeadTime {
		w.Fatalf("a volatile stream after a restart: %+v, before %+v", after, before)
	}
	cursor := stream.Cursor{Serial: 2, Time: before.HeadTime, Timed: true}
	if _, reason := stream.Prove(cursor, after, stream.Witness{}, stream.Window{}, w.clock.now()); reason != stream.StreamReset {
		w.Fatalf("a cursor of the last process: %v", reason)
	}
	r := w.applied(create(room, "c"))[0]
	if r.Stream != after.Stream || r.Entry.Serial != 1 {
		w.Fatalf("the first append of a new process: %+v", r)
	}
	w.class(room, stream.Sync)
	w.applied(create(room, "d"))
	durable := w.bounds(room)
	w.store = w.h.Reopen()
	if got := w.bounds(room); got != durable {
		w.Fatalf("a stream that became durable\n got %+v\nwant %+v", got, durable)
	}
}

func (w *world) testForget() {
	const month = 30 * 24 * time.Hour
	other := stream.Ref{App: "app", Channel: "other"}
	w.applied(create(room, "a"), create(other, "a"))
	w.cut(room, stream.Trim, 1)
	old, kept := w.bounds(room), w.bounds(other)
	forget := func() {
		w.Helper()
		if err := w.h.Forget(month); err != nil {
			w.Fatalf("forget: %v", err)
		}
	}
	w.clock.advance(month - time.Minute)
	forget()
	if b := w.bounds(room); b != old {
		w.Fatalf("forgotten a minute too early: %+v", b)
	}
	w.clock.advance(2 * time.Minute)
	forget()
	b := w.bounds(room)
	if b.Stream == old.Stream || b.Head != 0 || b.Born <= old.HeadTime {
		w.Fatalf("a forgotten stream: %+v, before %+v", b, old)
	}
	if got := w.bounds(other); got != kept {
		w.Fatalf("a stream that holds something was touched: %+v", got)
	}
	cursor := stream.Cursor{Serial: 0, Time: old.HeadTime, Timed: true}
	if _, reason := stream.Prove(cursor, b, stream.Witness{}, stream.Window{}, w.clock.now()); reason != stream.StreamReset {
		w.Fatalf("an old cursor into a forgotten stream: %v", reason)
	}
	if w.h.Reopen != nil {
		w.store = w.h.Reopen()
		if again := w.bounds(room); again != b {
			w.Fatalf("the forgotten stream after a restart: %+v, before %+v", again, b)
		}
	}
	r := w.applied(create(room, "b"))[0]
	if r.Stream != b.Stream || r.Entry.Serial != 1 {
		w.Fatalf("the first append to a forgotten stream: %+v", r)
	}
	if now := w.bounds(room); now.Born != b.Born {
		w.Fatalf("the row has forgotten when it was forgotten: %+v", now)
	}
}

func (w *world) testForgetSpares() {
	w.policy(room, stream.Retention{KeepLatest: true})
	w.applied(put(room, "k", "1"))
	w.cut(room, stream.Trim, 1)
	before := w.bounds(room)
	w.clock.advance(100 * 24 * time.Hour)
	if err := w.h.Forget(30 * 24 * time.Hour); err != nil {
		w.Fatalf("forget: %v", err)
	}
	if b := w.bounds(room); b != before {
		w.Fatalf("a stream with a checkpoint was forgotten: %+v", b)
	}
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 5}, map[string]string{"k": "1"})
}
