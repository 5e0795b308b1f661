package streamtest

import (
	"fmt"
	"strings"
	"sync"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

var guardTests = []test{
	{"guards", nil, (*world).testGuards},
	{"only who began a message", nil, (*world).testCreator},
	{"a message by its serial and by its key", nil, (*world).testAlias},
	{"one winner of an if_version race", nil, (*world).testIfVersionRace},
	{"a thousand appends to one message", nil, (*world).testThousandAppends},
	{"a limit of keys", nil, (*world).testMaxKeys},
	{"a trimmed message is gone", nil, (*world).testEnded},
}

func (w *world) testGuards() {
	w.applied(create(room, "abc")) // message 1, version 1
	conflict := w.append(guarded(update(room, 1, "x"), stream.Guard{IfVersion: 2}))[0]
	w.wantRefused("if_version 2 of 1", conflict, fault.Conflict)
	if d := fault.Of(conflict.Err).Detail; d != 1 {
		w.Fatalf("the conflict names version %d, want 1", d)
	}
	w.applied(guarded(update(room, 1, "abcd"), stream.Guard{IfVersion: 1}))
	if r := w.applied(react(room, 1))[0]; r.Version != 2 || r.Message != 1 || r.Row != 1 {
		w.Fatalf("a reaction made %+v", r)
	}
	w.wantRefused("if_serial of an older entry", w.append(guarded(fragment(room, 1, "x"), stream.Guard{IfSerial: 2}))[0], fault.Conflict)
	w.applied(guarded(fragment(room, 1, "ef"), stream.Guard{IfSerial: 3}))
	w.wantRefused("7 bytes of 6", w.append(guarded(fragment(room, 1, "g"), stream.Guard{MaxBytes: 6}))[0], fault.TooLarge)
	w.applied(guarded(fragment(room, 1, "g"), stream.Guard{MaxBytes: 7}))
	w.wantRefused("version 5 of 4", w.append(guarded(fragment(room, 1, "h"), stream.Guard{MaxVersion: 4}))[0], fault.LimitExceeded)
	w.applied(guarded(react(room, 1), stream.Guard{MaxVersion: 4}))
	w.applied(stream.Op{Ref: room, Entry: stream.Entry{Kind: stream.Update, Message: 1, Set: stream.FieldData,
		Data: stream.Data{Type: stream.JSON, Bytes: []byte("[]")}}})
	w.wantRefused("an append to JSON", w.append(fragment(room, 1, "x"))[0], fault.Invalid)
	if r := w.applied(remove(room, 1))[0]; r.Version != 6 {
		w.Fatalf("the tombstone is version %d, want 6", r.Version)
	}
	for name, op := range map[string]stream.Op{"append": fragment(room, 1, "x"), "update": update(room, 1, "x"),
		"delete": remove(room, 1), "reaction": react(room, 1)} {
		w.wantRefused(name+" after delete", w.append(op)[0], fault.Conflict)
	}
	w.wantRefused("a message that never was", w.append(update(room, 77, "x"))[0], fault.NotFound)
	w.wantRefused("an entry that began no message", w.append(update(room, 2, "x"))[0], fault.NotFound)
	w.wantRefused("a key that never was", w.append(keyed(update(room, 0, "x"), "k"))[0], fault.NotFound)
	w.wantRefused("if_version of nothing", w.append(guarded(put(room, "k", "1"), stream.Guard{IfVersion: 1}))[0], fault.Conflict)
	w.applied(guarded(put(room, "k", "1"), stream.Guard{IfAbsent: true}))
	w.wantRefused("if absent", w.append(guarded(put(room, "k", "2"), stream.Guard{IfAbsent: true}))[0], fault.Conflict)
	w.applied(guarded(put(room, "k", "2"), stream.Guard{IfVersion: 1}), keyed(remove(room, 0), "k"),
		guarded(put(room, "k", "3"), stream.Guard{IfAbsent: true}))
	if s := w.state(stream.Query{Ref: room, Key: "k"}); s == nil || s.Data != "3" || s.Version != 1 {
		w.Fatalf("the key's state is %+v", s)
	}
}

func (w *world) testCreator() {
	begin, first := create(room, "a"), put(room, "k", "1")
	begin.Entry.User, first.Entry.User = "ann", "ann"
	w.applied(begin, first) // messages 1 and 2
	later := put(room, "k", "2")
	later.Entry.User = "bob"
	w.applied(later) // a later put does not make the message another's
	w.applied(create(room, "of a backend"))
	for message, creator := range map[uint64]string{1: "ann", 2: "ann", 4: ""} {
		w.wantRefused(fmt.Sprintf("bob's update of message %d", message),
			w.append(guarded(update(room, message, "x"), stream.Guard{IfCreator: "bob"}))[0], fault.Forbidden)
		if creator != "" {
			w.applied(guarded(update(room, message, "x"), stream.Guard{IfCreator: creator}))
		}
	}
	w.wantRefused("a message that never was", w.append(guarded(update(room, 77, "x"), stream.Guard{IfCreator: "bob"}))[0], fault.NotFound)
}

func (w *world) testAlias() {
	r := w.applied(put(room, "k", "a"), keyed(fragment(room, 0, "b"), "k"), fragment(room, 1, "c"), put(room, "k", "d"),
		fragment(room, 1, "e"), react(room, 1))
	for i, want := range []struct {
		row     uint64
		version uint32
	}{{1, 1}, {1, 2}, {1, 3}, {4, 4}, {4, 5}, {4, 5}} {
		if r[i].Message != 1 || r[i].Row != want.row || r[i].Version != want.version {
			w.Fatalf("op %d: %+v; want message 1, row %d, version %d", i, r[i], want.row, want.version)
		}
	}
	for _, e := range w.all(room) {
		if e.Key != "k" || e.Message != 1 {
			w.Fatalf("entry %d has key %q and message %d", e.Serial, e.Key, e.Message)
		}
	}
	w.wantRefused("a message that is a second put", w.append(fragment(room, 4, "x"))[0], fault.NotFound)
	w.applied(remove(room, 1), put(room, "k", "new"))
	w.wantRefused("the deleted message of a key that lives again", w.append(fragment(room, 1, "x"))[0], fault.Conflict)
	if r := w.applied(fragment(room, 8, "er"))[0]; r.Message != 8 || r.Version != 2 {
		w.Fatalf("append to the key's new message: %+v", r)
	}
	if s := w.state(stream.Query{Ref: room, Message: 8}); s == nil || s.Data != "newer" {
		w.Fatalf("the new message is %+v", s)
	}
	if s := w.state(stream.Query{Ref: room, Message: 1}); s != nil && !s.Deleted {
		w.Fatalf("the old message is %+v", s)
	}
	w.wantSerials("entries of the old message", w.read(stream.Query{Ref: room, Message: 1, Limit: 99}).Entries, 1, 2, 3, 4, 5, 6, 7)
	w.wantSerials("entries of the new message", w.read(stream.Query{Ref: room, Message: 8, Limit: 99}).Entries, 8, 9)
	w.wantSerials("entries of the key", w.read(stream.Query{Ref: room, Key: "k", Limit: 99}).Entries, 1, 2, 3, 4, 5, 6, 7, 8, 9)
}

func (w *world) testIfVersionRace() {
	w.applied(create(room, ""), put(room, "k", ""))
	const editors, rounds = 16, 10
	for round := range uint32(rounds) {
		for _, target := range []func(stream.Op) stream.Op{func(op stream.Op) stream.Op { return op },
			func(op stream.Op) stream.Op { return keyed(op, "k") }} {
			w.race(editors, func(n int) stream.Op {
				return guarded(target(update(room, 1, fmt.Sprint(n))), stream.Guard{IfVersion: round + 1})
			})
		}
	}
	for _, q := range []stream.Query{{Ref: room, Message: 1}, {Ref: room, Key: "k"}} {
		if s := w.state(q); s == nil || s.Version != rounds+1 {
			w.Fatalf("after %d races: %+v", rounds, s)
		}
	}
}

// race lets editors run one op each at once; exactly one must win.
func (w *world) race(editors int, op func(n int) stream.Op) {
	w.Helper()
	var wg sync.WaitGroup
	results := make([]stream.Result, editors)
	for n := range editors {
		wg.Go(func() {
			r, err := w.store.Append(w.Context(), []stream.Op{op(n)})
			if err != nil {
				w.Errorf("append: %v", err)
				return
			}
			results[n] = r[0]
		})
	}
	wg.Wait()
	winners := 0
	for _, r := range results {
		if r.Outcome == stream.Applied {
			winners++
		} else {
			w.wantRefused("a loser", r, fault.Conflict)
		}
	}
	if winners != 1 {
		w.Fatalf("%d editors won", winners)
	}
}

func (w *world) testThousandAppends() {
	w.applied(create(room, ""), put(room, "k", ""))
	const fragments = 1000
	var wg sync.WaitGroup
	order := make([]map[uint64]string, fragments)
	for n := range fragments {
		wg.Go(func() {
			part := fmt.Sprintf("<%d>", n)
			r, err := w.store.Append(w.Context(), []stream.Op{fragment(room, 1, part), keyed(fragment(room, 0, part), "k")})
			if err != nil || r[0].Outcome != stream.Applied || r[1].Outcome != stream.Applied {
				w.Errorf("append: %v, %v", r, err)
				return
			}
			order[n] = map[uint64]string{r[0].Entry.Serial: part, r[1].Entry.Serial: ""}
		})
	}
	wg.Wait()
	parts := map[uint64]string{}
	for _, o := range order {
		for serial, part := range o {
			parts[serial] = part
		}
	}
	var want strings.Builder
	for serial := uint64(3); serial <= 2+2*fragments; serial++ {
		part, ok := parts[serial]
		if !ok {
			w.Fatalf("nobody was told serial %d", serial)
		}
		want.WriteString(part)
	}
	for _, q := range []stream.Query{{Ref: room, Message: 1}, {Ref: room, Key: "k"}} {
		s := w.state(q)
		if s == nil || s.Version != fragments+1 {
			w.Fatalf("state %+v, want version %d", s, fragments+1)
		}
		if len(s.Data) != want.Len() {
			w.Fatalf("%d bytes, want %d", len(s.Data), want.Len())
		}
		if q.Message != 0 && s.Data != want.String() {
			w.Fatal("the text is not that of the fragments in order of their serials")
		}
	}
}

func (w *world) testMaxKeys() {
	w.policy(room, stream.Retention{KeepLatest: true, MaxKeys: 2})
	w.applied(put(room, "a", "1"), put(room, "b", "1"))
	w.wantRefused("a third key", w.append(put(room, "c", "1"))[0], fault.LimitExceeded)
	w.applied(put(room, "a", "2"))
	w.cut(room, stream.Trim, 3)
	w.wantRefused("a third key after a trim", w.append(put(room, "c", "1"))[0], fault.LimitExceeded)
	r := w.append(keyed(remove(room, 0), "a"), put(room, "c", "1"), put(room, "d", "1"))
	w.check(r[0], r[1])
	w.wantRefused("a third key in the batch", r[2], fault.LimitExceeded)
	if b := w.bounds(room); b.Keys != 2 {
		w.Fatalf("%d keys, want 2", b.Keys)
	}
	w.cut(room, stream.Purge, 99)
	w.applied(put(room, "x", "1"), put(room, "y", "1"))
	if b := w.bounds(room); b.Keys != 2 {
		w.Fatalf("%d keys after a purge and two puts, want 2", b.Keys)
	}
}

func (w *world) testEnded() {
	w.applied(create(room, "a"), put(room, "k", "a"), fragment(room, 1, "b"), fragment(room, 2, "b"))
	w.cut(room, stream.Trim, 1)
	w.wantRefused("a message whose create was trimmed", w.append(fragment(room, 1, "c"))[0], fault.NotFound)
	w.applied(fragment(room, 2, "c"))
	w.cut(room, stream.Trim, 2)
	w.wantRefused("a keyed message whose put was trimmed", w.append(fragment(room, 2, "c"))[0], fault.NotFound)
	w.wantRefused("its key", w.append(keyed(fragment(room, 0, "c"), "k"))[0], fault.NotFound)
	if b := w.bounds(room); b.Keys != 0 {
		w.Fatalf("%d keys, want 0", b.Keys)
	}
	for _, q := range []stream.Query{{Ref: room, Message: 1}, {Ref: room, Message: 2}, {Ref: room, Key: "k"}} {
		if s := w.state(q); s != nil {
			w.Fatalf("%+v: an ended message folds to %+v", q, s)
		}
	}
	if r := w.applied(put(room, "k", "new"))[0]; r.Version != 1 || r.Message != r.Entry.Serial {
		w.Fatalf("a put of an ended key: %+v", r)
	}
	if s := w.state(stream.Query{Ref: room, Key: "k"}); s == nil || s.Data != "new" {
		w.Fatalf("state of the key: %+v", s)
	}
}
