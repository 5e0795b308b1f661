package streamtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func holds(h Harness) bool { return h.HoldSync != nil && h.ReleaseSync != nil }

var headTests = []test{
	{"nothing beyond the head is readable", holds, (*world).testHeld},
	{"many callers share what follows a held sync", holds, (*world).testGather},
	{"answers that rest on what is not visible wait for it", holds, (*world).testRests},
	{"a caller that gives up", holds, (*world).testGaveUp},
	{"cuts beside a held sync", holds, (*world).testCutHeld},
	{"a purge beside a held sync", holds, (*world).testPurgeHeld},
	{"interval answers early only without a serial", holds, (*world).testEarly},
	{"volatile streams wait for nothing", func(h Harness) bool { return holds(h) && h.Volatile }, (*world).testVolatileHeld},
}

// hold holds the next sync. It is released at the latest when the test ends.
func (w *world) hold() (reached <-chan struct{}) {
	w.Cleanup(w.h.ReleaseSync)
	return w.h.HoldSync()
}

// later runs an append beside the test and hands its results over.
func (w *world) later(ctx context.Context, ops ...stream.Op) <-chan []stream.Result {
	out := make(chan []stream.Result, 1)
	go func() {
		r, err := w.store.Append(ctx, ops)
		if err != nil {
			w.Errorf("append: %v", err)
		}
		out <- r
	}()
	return out
}

// wait receives from a channel, or fails the test when nothing comes.
func wait[T any](w *world, what string, c <-chan T) T {
	w.Helper()
	timeout := time.NewTimer(30 * time.Second)
	defer timeout.Stop()
	select {
	case v := <-c:
		return v
	case <-timeout.C:
		w.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// notYet checks that an answer has not come. It does not wait for long: it may miss a fault, but reports none falsely.
func (w *world) notYet(what string, c <-chan []stream.Result) {
	w.Helper()
	for range 50 {
		w.bounds(room)
		select {
		case r := <-c:
			w.Fatalf("%s was answered before it was visible: %+v", what, r)
		default:
		}
	}
}

// wantHidden checks in every way of reading that the log ends at head, with a message 1 and a key k of data "a".
func (w *world) wantHidden(head uint64) {
	w.Helper()
	p := w.read(stream.Query{Ref: room, Limit: 100, HasWitness: true, Witness: head})
	w.contiguous(p)
	if p.Bounds.Head != head || p.Witness.Next.Serial != 0 || p.Witness.Bytes != 0 || p.Bounds.Keys != 1 {
		w.Fatalf("head %d, witness %+v, %d keys; want head %d", p.Bounds.Head, p.Witness, p.Bounds.Keys, head)
	}
	for _, q := range []stream.Query{{Reverse: true}, {From: head + 1}, {FromTime: 1}, {Key: "k"}, {Message: 1}, {RowsOnly: true, Reverse: true}} {
		q.Ref, q.Limit = room, 100
		for _, e := range w.read(q).Entries {
			if e.Serial > head {
				w.Fatalf("%+v reads serial %d beyond the head %d", q, e.Serial, head)
			}
		}
	}
	for _, q := range []stream.Query{{Ref: room, Key: "k"}, {Ref: room, Message: 1}} {
		if s := w.state(q); s == nil || s.Data != "a" {
			w.Fatalf("%+v: %+v beyond the head", q, s)
		}
	}
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, map[string]string{"k": "a"})
	_, err := w.store.Keys(w.Context(), stream.KeysQuery{Ref: room, At: head + 1, Limit: 10})
	w.wantFault("keys beyond the head", err, fault.Invalid)
}

func (w *world) testHeld() {
	w.applied(create(room, "a"), put(room, "k", "a"))
	before := w.bounds(room)
	var mu sync.Mutex
	told := uint64(0)
	stop := w.store.Watch(func(a stream.Advance) {
		mu.Lock()
		defer mu.Unlock()
		told = max(told, a.Bounds.Head)
	})
	defer stop()
	reached := w.hold()
	answer := w.later(w.Context(), create(room, "b"), put(room, "l", "b"), fragment(room, 1, "b"), keyed(fragment(room, 0, "b"), "k"))
	wait(w, "the sync", reached)
	second := w.later(w.Context(), create(room, "c"), keyed(remove(room, 0), "k"))
	for range 20 {
		w.wantHidden(2)
	}
	w.notYet("an append", answer)
	if after := w.bounds(room); after != before {
		w.Fatalf("bounds moved while the sync was held: %+v", after)
	}
	mu.Lock()
	if told > 2 {
		w.Errorf("watchers were told head %d", told)
	}
	mu.Unlock()
	w.h.ReleaseSync()
	w.check(wait(w, "the answer", answer)...)
	w.check(wait(w, "the second answer", second)...)
	if n := len(w.all(room)); n != 8 {
		w.Fatalf("%d entries, want 8", n)
	}
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, map[string]string{"l": "b"})
}

func (w *world) testGather() {
	w.applied(create(room, ""))
	reached := w.hold()
	first := w.later(w.Context(), fragment(room, 1, "0"))
	wait(w, "the sync", reached)
	var answers []<-chan []stream.Result
	for i := range 50 {
		answers = append(answers, w.later(w.Context(), fragment(room, 1, "x"), create(stream.Ref{App: "app", Channel: fmt.Sprint(i)}, "y")))
	}
	w.notYet("an append", first)
	w.h.ReleaseSync()
	w.check(wait(w, "the first answer", first)...)
	seen := map[uint64]bool{}
	for _, a := range answers {
		r := w.check(wait(w, "an answer", a)...)
		if seen[r[0].Entry.Serial] || r[1].Entry.Serial != 1 {
			w.Fatalf("serial %v was given twice, or %v is not the first", r[0].Entry, r[1].Entry)
		}
		seen[r[0].Entry.Serial] = true
	}
	if s := w.state(stream.Query{Ref: room, Message: 1}); len(s.Data) != 51 || s.Version != 52 {
		w.Fatalf("after 51 appends: %+v", s)
	}
}

func (w *world) testRests() {
	w.applied(create(room, "a"))
	op := withReceipt(guarded(update(room, 1, "b"), stream.Guard{IfVersion: 1}), "key", "p")
	reached := w.hold()
	first := w.later(w.Context(), op)
	wait(w, "the sync", reached)
	again := w.later(w.Context(), op)
	mismatch := w.later(w.Context(), withReceipt(create(room, "c"), "key", "q"))
	conflict := w.later(w.Context(), guarded(update(room, 1, "d"), stream.Guard{IfVersion: 1}))
	w.notYet("the duplicate", again)
	w.notYet("the mismatch", mismatch)
	w.notYet("the conflict", conflict)
	w.h.ReleaseSync()
	r := w.check(wait(w, "the answer", first)...)
	w.wantDuplicate(wait(w, "the duplicate", again)[0], r[0])
	w.wantRefused("another payload", wait(w, "the mismatch", mismatch)[0], fault.Mismatch)
	w.wantRefused("an older version", wait(w, "the conflict", conflict)[0], fault.Conflict)
}

func (w *world) testGaveUp() {
	gone, cancel := context.WithCancel(w.Context())
	cancel()
	if r, err := w.store.Append(gone, []stream.Op{create(room, "never")}); err == nil {
		w.Fatalf("a caller that had given up before got %+v", r)
	}
	if b := w.bounds(room); b.Head != 0 {
		w.Fatal("an append that failed with an error was decided")
	}
	ctx, cancel := context.WithCancel(w.Context())
	op := withReceipt(create(room, "a"), "key", "p")
	reached := w.hold()
	answer := w.later(ctx, op)
	wait(w, "the sync", reached)
	cancel()
	r := wait(w, "the answer", answer)
	if len(r) != 1 || r[0].Outcome != stream.Unknown || fault.KindOf(r[0].Err) != fault.Unknown || r[0].Entry.Serial != 0 {
		w.Fatalf("a caller that gave up got %+v", r)
	}
	w.h.ReleaseSync()
	w.applied(create(room, "b"))
	again := w.append(op)[0]
	if again.Outcome != stream.Duplicate || again.Entry.Serial != 1 {
		w.Fatalf("the append whose caller gave up: %+v", again)
	}
}

func (w *world) testCutHeld() {
	w.policy(room, stream.Retention{KeepLatest: true})
	for i := range 4 {
		w.applied(put(room, "k", fmt.Sprint(i)))
	}
	reached := w.hold()
	answer := w.later(w.Context(), put(room, "k", "4"), put(room, "l", "4"))
	wait(w, "the sync", reached)
	cuts := make(chan stream.CutResult, 3)
	for _, c := range []stream.Cut{{Kind: stream.Trim, Through: 3}, {Kind: stream.Trim, Through: 99}, {Kind: stream.Purge, Through: 2}} {
		c.Ref = room
		go func() {
			r, err := w.store.Cut(w.Context(), c)
			if err != nil {
				w.Errorf("cut: %v", err)
			}
			cuts <- r
		}()
	}
	for range 20 {
		p := w.read(stream.Query{Ref: room, Limit: 10})
		w.contiguous(p)
		if p.Bounds.Head != 4 {
			w.Fatalf("head %d while the sync is held", p.Bounds.Head)
		}
	}
	w.h.ReleaseSync()
	w.check(wait(w, "the answer", answer)...)
	for range 3 {
		wait(w, "a cut", cuts)
	}
	w.all(room)
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, map[string]string{"k": "4", "l": "4"})
	reached = w.hold()
	answer = w.later(w.Context(), put(room, "m", "5"))
	wait(w, "the sync", reached)
	go func() {
		r, err := w.store.Cut(w.Context(), stream.Cut{Ref: room, Kind: stream.Reset})
		if err != nil {
			w.Errorf("reset: %v", err)
		}
		cuts <- r
	}()
	w.notYet("an append", answer)
	w.h.ReleaseSync()
	r := w.check(wait(w, "the answer", answer)...)[0]
	reset := wait(w, "the reset", cuts)
	if b := w.bounds(room); b != reset.After && r.Stream != b.Stream || b.Base < 7 {
		w.Fatalf("after a reset beside an append: %+v; reset %+v, append %+v", b, reset, r)
	}
	w.all(room)
}

// testPurgeHeld mutates a key whose purge waits: in whichever order the two were decided, the key is gone afterwards.
func (w *world) testPurgeHeld() {
	w.policy(room, stream.Retention{KeepLatest: true})
	w.applied(put(room, "k", "a"), put(room, "k", "b"), put(room, "l", "a"))
	reached := w.hold()
	answer := w.later(w.Context(), create(room, "c"))
	wait(w, "the sync", reached)
	cuts := make(chan stream.CutResult, 1)
	go func() {
		r, err := w.store.Cut(w.Context(), stream.Cut{Ref: room, Kind: stream.Purge, Through: 2})
		if err != nil {
			w.Errorf("purge: %v", err)
		}
		cuts <- r
	}()
	w.notYet("an append", answer)
	late := w.later(w.Context(), keyed(fragment(room, 0, "x"), "k"), fragment(room, 1, "y"))
	w.notYet("a mutation", late)
	w.h.ReleaseSync()
	w.check(wait(w, "the answer", answer)...)
	for _, r := range wait(w, "the mutations", late) {
		if r.Outcome != stream.Applied {
			w.wantRefused("a mutation after the purge", r, fault.NotFound)
		}
	}
	if r := wait(w, "the purge", cuts); r.After.Floor != 2 {
		w.Fatalf("the purge did %+v", r)
	}
	w.wantRefused("a mutation of a purged key", w.append(keyed(fragment(room, 0, "z"), "k"))[0], fault.NotFound)
	if b := w.bounds(room); b.Keys != 1 {
		w.Fatalf("%d keys, want 1", b.Keys)
	}
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, map[string]string{"l": "a"})
	if r := w.applied(put(room, "k", "new"))[0]; r.Version != 1 {
		w.Fatalf("a put of a purged key: %+v", r)
	}
}

func (w *world) testEarly() {
	w.class(room, stream.Interval)
	w.applied(create(room, "a"))
	reached := w.hold()
	op := create(room, "b")
	op.Early = true
	r := w.append(op)[0] // comes although the sync is held
	if r.Outcome != stream.Applied || r.Entry != (stream.EntryID{}) || r.Message != 0 || r.Row != 0 {
		w.Fatalf("an early answer names %+v", r)
	}
	wait(w, "the sync", reached)
	patient := w.later(w.Context(), create(room, "c"))
	w.notYet("an append that names a serial", patient)
	if b := w.bounds(room); b.Head != 1 {
		w.Fatalf("head %d while the sync is held", b.Head)
	}
	w.h.ReleaseSync()
	if r := w.check(wait(w, "the answer", patient)...)[0]; r.Entry.Serial != 3 {
		w.Fatalf("serial %d, want 3", r.Entry.Serial)
	}
	w.class(room, stream.Sync)
	reached = w.hold()
	answer := w.later(w.Context(), op)
	wait(w, "the sync", reached)
	w.notYet("an early append to a sync stream", answer)
	w.h.ReleaseSync()
	if r := w.check(wait(w, "the answer", answer)...)[0]; r.Entry.Serial == 0 {
		w.Fatalf("an append to a sync stream was answered with %+v", r)
	}
}

func (w *world) testVolatileHeld() {
	w.class(room, stream.Volatile)
	w.hold()
	for i := range uint64(3) {
		if r := w.applied(create(room, "x"))[0]; r.Entry.Serial != i+1 {
			w.Fatalf("serial %d, want %d", r.Entry.Serial, i+1)
		}
		w.all(room)
	}
}
