package streamtest

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

var cutTests = []test{
	{"trim by entries", nil, (*world).testTrimEntries},
	{"trim by bytes", nil, (*world).testTrimBytes},
	{"trim by age", func(h Harness) bool { return h.Maintain != nil }, (*world).testTrimAge},
	{"a policy takes effect at once", nil, (*world).testReload},
	{"cuts never go back", nil, (*world).testCutBack},
	{"purge", nil, (*world).testPurge},
	{"reset", nil, (*world).testReset},
	{"cuts outlive a restart", func(h Harness) bool { return h.Reopen != nil }, (*world).testCutReopen},
}

func (w *world) testTrimEntries() {
	w.policy(room, stream.Retention{Entries: 32})
	for i := range 100 {
		w.applied(create(room, "x"))
		w.maintain()
		b := w.bounds(room)
		if n := uint64(i + 1); b.Head != n || b.Retained() > 34 || b.Retained() < min(n, 32) {
			w.Fatalf("after %d appends the log is (%d, %d], want 32 entries or a step of 2 more", n, b.Floor, b.Head)
		}
	}
	w.all(room)
}

func (w *world) testTrimBytes() {
	w.applied(create(room, "0123456789"))
	size := w.bounds(room).HeadCum
	w.policy(room, stream.Retention{Bytes: 32 * size})
	for range 99 {
		w.applied(create(room, "0123456789"))
		w.maintain()
		b := w.bounds(room)
		if b.RetainedBytes() > 34*size || b.RetainedBytes() < min(b.Head, 32)*size {
			w.Fatalf("head %d: %d bytes, want %d or a step of 1/16 more", b.Head, b.RetainedBytes(), 32*size)
		}
	}
	w.all(room)
	w.policy(room, stream.Retention{Bytes: 1})
	w.applied(create(room, "x"))
	w.maintain()
	if b := w.bounds(room); b.Retained() > 1 {
		w.Fatalf("a limit of one byte left %d entries", b.Retained())
	}
}

func (w *world) testTrimAge() {
	w.policy(room, stream.Retention{Age: time.Hour})
	for range 32 { // one entry every 5 minutes
		w.applied(create(room, "x"))
		w.clock.advance(5 * time.Minute)
		w.maintain()
		b := w.bounds(room)
		entries := w.all(room)
		if len(entries) == 0 {
			w.Fatalf("head %d: nothing is left", b.Head)
		}
		oldest := w.clock.now() - entries[0].Time
		if limit := (time.Hour + time.Hour/16).Milliseconds(); oldest > limit {
			w.Fatalf("head %d: the oldest entry is %d ms old, want at most %d", b.Head, oldest, limit)
		}
		if want := min(b.Head, 12); b.Retained() < want {
			w.Fatalf("head %d: %d entries, want the %d that are younger than an hour", b.Head, b.Retained(), want)
		}
	}
	w.clock.advance(24 * time.Hour)
	w.maintain()
	b := w.bounds(room)
	if b.Retained() != 0 || b.Head != 32 {
		w.Fatalf("a day later: %+v", b)
	}
	if r := w.applied(create(room, "x"))[0]; r.Entry.Serial != 33 || r.Stream != b.Stream {
		w.Fatalf("after everything was trimmed: %+v", r)
	}
}

func (w *world) testReload() {
	for range 100 {
		w.applied(create(room, "x"))
	}
	w.policy(room, stream.Retention{Entries: 10})
	w.applied(create(room, "x"))
	w.maintain()
	if b := w.bounds(room); b.Retained() > 11 {
		w.Fatalf("%d entries after the policy was changed to 10", b.Retained())
	}
}

func (w *world) testCutBack() {
	for range 5 {
		w.applied(create(room, "x"))
	}
	w.cut(room, stream.Trim, 3)
	want := w.bounds(room)
	for _, kind := range []stream.CutKind{stream.Trim, stream.Purge} {
		for _, through := range []uint64{0, 1, 3} {
			if r := w.cut(room, kind, through); r.Before != want || r.After != want || r.Entries != 0 || r.Bytes != 0 {
				w.Fatalf("cut %d to %d did %+v", kind, through, r)
			}
		}
	}
	r := w.cut(room, stream.Trim, 4)
	if r.Before != want || r.Entries != 1 || r.Bytes == 0 || r.After.Floor != 4 || r.After != w.bounds(room) {
		w.Fatalf("trim to 4 did %+v", r)
	}
}

func (w *world) testPurge() {
	w.policy(room, stream.Retention{KeepLatest: true})
	w.applied(put(room, "old", "1"), put(room, "both", "1"), put(room, "a", "1"), fragment(room, 2, "2"))
	w.cut(room, stream.Trim, 2)
	w.applied(put(room, "new", "1")) // 5
	r := w.cut(room, stream.Purge, 3)
	if r.Entries != 1 || r.After.Floor != 3 || r.After.Stream != r.Before.Stream || r.After.Keys != 1 {
		w.Fatalf("purge did %+v", r)
	}
	p, err := w.store.Keys(w.Context(), stream.KeysQuery{Ref: room, Limit: 10})
	if err != nil || len(p.Rows) != 1 || p.Rows[0].Key != "new" {
		w.Fatalf("keys after a purge: %+v, %v", p.Rows, err)
	}
	for _, key := range []string{"old", "both", "a"} {
		if s := w.state(stream.Query{Ref: room, Key: key}); s != nil {
			w.Fatalf("key %q was purged; its state is %+v", key, s)
		}
	}
	if r := w.append(keyed(fragment(room, 0, "x"), "both"))[0]; r.Outcome != stream.Refused {
		w.Fatalf("a mutation of a purged key: %+v", r)
	}
	if r := w.applied(put(room, "both", "again"))[0]; r.Version != 1 {
		w.Fatalf("a put of a purged key: %+v", r)
	}
	if s := w.state(stream.Query{Ref: room, Key: "both"}); s == nil || s.Data != "again" {
		w.Fatalf("state after a purge and a put: %+v", s)
	}
	w.cut(room, stream.Purge, 1_000_000)
	if b := w.bounds(room); b.Retained() != 0 || b.Keys != 0 {
		w.Fatalf("after a full purge: %+v", b)
	}
	w.cut(room, stream.Trim, 1_000_000)
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, nil)
}

func (w *world) testReset() {
	w.policy(room, stream.Retention{KeepLatest: true})
	w.class(room, stream.Interval)
	empty := w.bounds(room)
	first := w.cut(room, stream.Reset, 0)
	if first.Before != empty || first.After.Stream == empty.Stream || first.After.Head != 1 {
		w.Fatalf("reset of a channel without a row: %+v", first)
	}
	if r := w.applied(put(room, "k", "1"))[0]; r.Stream != first.After.Stream {
		w.Fatalf("a row that a reset made is of another class than the policy says: the first append began %+v", r)
	}
	w.applied(create(room, "c"), fragment(room, 3, "d"))
	w.cut(room, stream.Trim, 2)
	b := w.cut(room, stream.Reset, 0).After
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, nil)
	if s := w.state(stream.Query{Ref: room, Key: "k"}); s != nil {
		w.Fatalf("a key outlived a reset: %+v", s)
	}
	for _, op := range []stream.Op{fragment(room, 3, "x"), fragment(room, 2, "x"), keyed(fragment(room, 0, "x"), "k")} {
		if r := w.append(op)[0]; r.Outcome != stream.Refused {
			w.Fatalf("a mutation over a reset: %+v", r)
		}
	}
	if r := w.applied(put(room, "k", "2"))[0]; r.Version != 1 || r.Entry.Serial != b.Head+1 || r.Stream != b.Stream {
		w.Fatalf("the first put of a new incarnation: %+v", r)
	}
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, map[string]string{"k": "2"})
}

func (w *world) testCutReopen() {
	w.policy(room, stream.Retention{KeepLatest: true})
	for i := range 10 {
		w.applied(put(room, string(rune('a'+i%3)), "x"))
	}
	w.cut(room, stream.Trim, 4)
	want, keys := w.bounds(room), map[string]string{"a": "x", "b": "x", "c": "x"}
	w.store = w.h.Reopen()
	if got := w.bounds(room); got != want {
		w.Fatalf("bounds after a restart\n got %+v\nwant %+v", got, want)
	}
	w.all(room)
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, keys)
	w.cut(room, stream.Purge, 99)
	r := w.cut(room, stream.Reset, 0)
	w.store = w.h.Reopen()
	if got := w.bounds(room); got != r.After {
		w.Fatalf("bounds after a reset and a restart\n got %+v\nwant %+v", got, r.After)
	}
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, nil)
}
