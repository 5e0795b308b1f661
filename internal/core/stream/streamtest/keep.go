package streamtest

import (
	"fmt"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

var keepTests = []test{
	{"checkpoints keep the latest", nil, (*world).testCheckpoint},
	{"a deleted key leaves the checkpoint", nil, (*world).testCheckpointDelete},
	{"a message goes on from its checkpoint", nil, (*world).testCheckpointGoesOn},
	{"retention with checkpoints", nil, (*world).testCheckpointRetention},
	{"trims of any length fold the same", nil, (*world).testCheckpointSteps},
}

func (w *world) testCheckpoint() {
	w.policy(room, stream.Retention{KeepLatest: true})
	w.applied(put(room, "a", "1"), create(room, "c"), put(room, "b", "1"), keyed(fragment(room, 0, "2"), "a"), keyed(react(room, 0), "a"),
		put(room, "c", "1"))
	want := map[string]string{"a": "12", "b": "1", "c": "1"}
	for floor := range uint64(7) {
		w.cut(room, stream.Trim, floor)
		w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, want)
		for key, data := range want {
			if s := w.state(stream.Query{Ref: room, Key: key}); s == nil || s.Data != data {
				w.Fatalf("floor %d: key %q is %+v, want %q", floor, key, s, data)
			}
		}
		s := w.state(stream.Query{Ref: room, Message: 1})
		if s == nil || s.Data != "12" || s.Version != 2 || s.Annotations != 1 || s.Message != 1 {
			w.Fatalf("floor %d: message 1 is %+v", floor, s)
		}
	}
	if s := w.state(stream.Query{Ref: room, Message: 2}); s != nil {
		w.Fatalf("a checkpoint kept a message without a key: %+v", s)
	}
	if b := w.bounds(room); b.Keys != 3 || b.Retained() != 0 {
		w.Fatalf("bounds %+v", b)
	}
	if w.h.Reopen != nil {
		w.store = w.h.Reopen()
		w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, want)
	}
}

func (w *world) testCheckpointDelete() {
	w.policy(room, stream.Retention{KeepLatest: true})
	w.applied(put(room, "a", "1"), put(room, "b", "1"), keyed(remove(room, 0), "a"), create(room, "x"))
	w.cut(room, stream.Trim, 2)
	if r := w.append(keyed(fragment(room, 0, "x"), "a"))[0]; r.Outcome != stream.Refused {
		w.Fatalf("a mutation of a deleted key: %+v", r)
	}
	w.wantKeys(stream.KeysQuery{Ref: room, At: 2, Limit: 10}, map[string]string{"a": "1", "b": "1"})
	w.wantKeys(stream.KeysQuery{Ref: room, At: 3, Limit: 10}, map[string]string{"b": "1"})
	w.cut(room, stream.Trim, 3)
	w.wantKeys(stream.KeysQuery{Ref: room, At: 3, Limit: 10}, map[string]string{"b": "1"})
	if s := w.state(stream.Query{Ref: room, Key: "a"}); s != nil {
		w.Fatalf("the deleted key is in the checkpoint: %+v", s)
	}
	if r := w.append(fragment(room, 1, "x"), keyed(fragment(room, 0, "x"), "a")); r[0].Outcome != stream.Refused || r[1].Outcome != stream.Refused {
		w.Fatalf("mutations of a key that left: %+v", r)
	}
	w.applied(put(room, "a", "2"), fragment(room, 5, "3"))
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, map[string]string{"a": "23", "b": "1"})
	if b := w.bounds(room); b.Keys != 2 {
		w.Fatalf("%d keys, want 2", b.Keys)
	}
}

func (w *world) testCheckpointGoesOn() {
	w.policy(room, stream.Retention{KeepLatest: true})
	w.applied(put(room, "a", "1"))
	want := "1"
	for i := range 200 {
		part := fmt.Sprintf("<%d>", i)
		op := keyed(fragment(room, 0, part), "a")
		if i%2 == 0 {
			op = fragment(room, 1, part)
		}
		r := w.applied(op)[0]
		want += part
		if r.Message != 1 || r.Row != 1 || r.Version != uint32(i)+2 {
			w.Fatalf("append %d: %+v", i, r)
		}
		if i%3 == 0 {
			w.cut(room, stream.Trim, r.Entry.Serial-uint64(i%2))
		}
		if s := w.state(stream.Query{Ref: room, Message: 1}); s == nil || s.Data != want {
			w.Fatalf("after append %d the message is %+v", i, s)
		}
	}
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 1}, map[string]string{"a": want})
}

func (w *world) testCheckpointRetention() {
	w.policy(room, stream.Retention{KeepLatest: true, Entries: 16})
	want := map[string]string{}
	for i := range 300 {
		key := fmt.Sprint("k", i*i%37)
		w.applied(put(room, key, fmt.Sprint(i)))
		want[key] = fmt.Sprint(i)
		if i%50 == 49 {
			w.maintain()
			w.wantKeys(stream.KeysQuery{Ref: room, Limit: 10}, want)
		}
	}
	if b := w.bounds(room); b.Retained() > 17 || b.Keys != uint64(len(want)) {
		w.Fatalf("bounds %+v, want %d keys", b, len(want))
	}
	w.all(room)
}

// testCheckpointSteps trims a log that is longer than what a store may fold at once.
func (w *world) testCheckpointSteps() {
	w.policy(room, stream.Retention{KeepLatest: true})
	const entries = 10_000
	want := map[string]string{}
	for n := 0; n < entries; n += 500 {
		ops := make([]stream.Op, 500)
		for i := range ops {
			key := fmt.Sprint("k", (n+i)%700)
			ops[i] = put(room, key, fmt.Sprint(n+i))
			want[key] = fmt.Sprint(n + i)
		}
		w.together(ops...)
	}
	r := w.cut(room, stream.Trim, entries-10)
	if r.Entries != entries-10 || r.After.Floor != entries-10 || r.Before.Floor != 0 || r.Bytes != r.After.FloorCum {
		w.Fatalf("trim did %+v", r)
	}
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 300}, want)
	w.all(room)
}

var stateTests = []test{
	{"reading a state costs the same at any length", nil, (*world).testStateBounded},
	{"states at a serial", nil, (*world).testStateAt},
	{"a kept state does not outlive its message", nil, (*world).testStateEnds},
}

// stateBound is how many entries may follow the newest kept state row: what Header.StateDue allows, and the newest.
const stateBound = 65

func (w *world) testStateBounded() {
	w.applied(create(room, ""), put(room, "k", ""), put(room, "puts", ""), put(room, "flips", ""))
	queries := []stream.Query{{Ref: room, Message: 1}, {Ref: room, Key: "k"}, {Ref: room, Message: 2}, {Ref: room, Key: "puts"}, {Ref: room, Key: "flips"}}
	var want strings.Builder
	for i := range 1000 {
		part := fmt.Sprint(i, " ")
		flip := keyed(remove(room, 0), "flips")
		if i%2 == 1 {
			flip = put(room, "flips", part)
		}
		w.together(fragment(room, 1, part), keyed(fragment(room, 0, part), "k"), put(room, "puts", part), flip)
		want.WriteString(part)
		if i%97 != 0 && i != 999 {
			continue
		}
		for n, q := range queries {
			q.State = true
			p := w.read(q)
			if len(p.Entries) > stateBound {
				w.Fatalf("%+v: %d entries after the newest state row at %d", q, len(p.Entries), p.StateAt)
			}
			if s := w.foldPage(p); n < 3 && (s == nil || s.Data != want.String() || s.Version != uint32(i)+2) {
				w.Fatalf("%+v: the state after %d fragments is not their text", q, i+1)
			}
		}
	}
}

func (w *world) testStateAt() {
	w.applied(create(room, ""), put(room, "k", ""))
	texts := map[uint64]string{1: "", 2: ""}
	text := ""
	for i := range 300 {
		part := fmt.Sprint(i, " ")
		r := w.together(fragment(room, 1, part), keyed(fragment(room, 0, part), "k"))
		texts[r[0].Entry.Serial], texts[r[1].Entry.Serial] = text+part, text+part
		text += part
	}
	for _, at := range []uint64{1, 2, 3, 4, 60, 61, 129, 130, 131, 258, 400, 401, 600, 602} {
		for target, q := range []stream.Query{{Ref: room, Message: 1, At: at}, {Ref: room, Key: "k", At: at}, {Ref: room, Message: 2, At: at}} {
			own := at
			if first := uint64(min(target, 1)); own%2 != 1-first { // message 1 has the odd serials, the key the even ones
				own--
			}
			s := w.state(q)
			if own == 0 {
				if s != nil {
					w.Fatalf("%+v: %+v before the key's first put", q, s)
				}
				continue
			}
			if s == nil || s.Last != own || s.Data != texts[own] {
				w.Fatalf("%+v: %+v, want the state at %d", q, s, own)
			}
		}
	}
}

// testStateEnds trims the beginning of messages that have kept state rows above the new floor.
func (w *world) testStateEnds() {
	w.applied(put(room, "k", "a"), create(room, "b"))
	for range 70 {
		w.together(keyed(fragment(room, 0, "+"), "k"), fragment(room, 2, "+"))
	}
	again := w.applied(put(room, "k", "new"))[0].Entry.Serial
	w.cut(room, stream.Trim, 2)
	if s := w.state(stream.Query{Ref: room, Message: 2}); s != nil {
		w.Fatalf("a message whose create was trimmed is %+v", s)
	}
	for _, at := range []uint64{2, 3, again - 1} {
		if s := w.state(stream.Query{Ref: room, Key: "k", At: at}); s != nil {
			w.Fatalf("at %d the key's put was trimmed, and it is %+v", at, s)
		}
		w.wantKeys(stream.KeysQuery{Ref: room, At: at, Limit: 5}, nil)
	}
	if s := w.state(stream.Query{Ref: room, Key: "k"}); s == nil || s.Data != "new" || s.Version != 72 || s.Message != 1 {
		w.Fatalf("the key that was put again is %+v", s)
	}
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 5}, map[string]string{"k": "new"})
	if s := w.state(stream.Query{Ref: room, Message: 1}); s == nil || s.Data != "new" {
		w.Fatalf("its message is %+v", s)
	}
	w.cut(room, stream.Trim, again)
	if s := w.state(stream.Query{Ref: room, Key: "k"}); s != nil {
		w.Fatalf("a key whose last put was trimmed is %+v", s)
	}
}
