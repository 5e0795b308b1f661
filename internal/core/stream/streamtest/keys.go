package streamtest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

var keyTests = []test{
	{"keys in order, by page and prefix", nil, (*world).testKeyPages},
	{"keys pinned at a serial", nil, (*world).testKeysPinned},
	{"keys that cannot be proven", nil, (*world).testKeysNotProvable},
}

// keyData reads all pages of a query and gives each key's data.
func (w *world) keyData(q stream.KeysQuery) map[string]string {
	w.Helper()
	data := map[string]string{}
	last := q.After
	for {
		p, err := w.store.Keys(w.Context(), q)
		if err != nil {
			w.Fatalf("keys %+v: %v", q, err)
		}
		if len(p.Rows) > q.Limit || p.More && len(p.Rows) == 0 {
			w.Fatalf("keys %+v: %d rows, more is %v", q, len(p.Rows), p.More)
		}
		for _, row := range p.Rows {
			if row.Key <= last {
				w.Fatalf("keys %+v: %q after %q", q, row.Key, last)
			}
			last = row.Key
			s := w.decode(row.State)
			if s.Key != row.Key || s.Deleted {
				w.Fatalf("the row of key %q is %+v", row.Key, s)
			}
			data[row.Key] = s.Data
		}
		if !p.More {
			return data
		}
		q.At, q.After = p.At, last
	}
}

func (w *world) wantKeys(q stream.KeysQuery, want map[string]string) {
	w.Helper()
	if got := w.keyData(q); !maps.Equal(got, want) {
		w.Fatalf("keys %+v\n got %v\nwant %v", q, got, want)
	}
}

func (w *world) testKeyPages() {
	w.policy(room, stream.Retention{KeepLatest: true})
	w.wantKeys(stream.KeysQuery{Ref: room, Limit: 5}, nil)
	want := map[string]string{}
	for i := range 60 {
		key := fmt.Sprintf("%c/%d", 'a'+i%3, i*7%60)
		if i%10 == 0 {
			key += "\x00\u00ff"
		}
		w.applied(put(room, key, fmt.Sprint(i)), create(room, "other"))
		want[key] = fmt.Sprint(i)
	}
	check := func() {
		w.Helper()
		for _, limit := range []int{1, 7, 60, 1000} {
			w.wantKeys(stream.KeysQuery{Ref: room, Limit: limit}, want)
		}
		only := maps.Clone(want)
		maps.DeleteFunc(only, func(k, _ string) bool { return k[:2] != "b/" })
		w.wantKeys(stream.KeysQuery{Ref: room, Prefix: "b/", Limit: 3}, only)
		maps.DeleteFunc(only, func(k, _ string) bool { return k <= "b/3" })
		w.wantKeys(stream.KeysQuery{Ref: room, Prefix: "b/", After: "b/3", Limit: 4}, only)
		w.wantKeys(stream.KeysQuery{Ref: room, Prefix: "b/", After: "c", Limit: 4}, nil)
		w.wantKeys(stream.KeysQuery{Ref: room, Prefix: "nothing", Limit: 4}, nil)
	}
	check()
	gone := slices.Sorted(maps.Keys(want))[:10]
	for _, key := range gone {
		w.applied(keyed(remove(room, 0), key))
		delete(want, key)
	}
	check()
	w.cut(room, stream.Trim, 70)
	check()
	w.cut(room, stream.Trim, 1000)
	check()
	w.applied(put(room, gone[0], "back"), put(room, "b/new", "new"))
	want[gone[0]], want["b/new"] = "back", "new"
	check()
	if b := w.bounds(room); b.Keys != uint64(len(want)) {
		w.Fatalf("bounds say %d keys, want %d", b.Keys, len(want))
	}
	_, err := w.store.Keys(w.Context(), stream.KeysQuery{Ref: room})
	w.wantFault("a page of no keys", err, fault.Invalid)
}

func (w *world) testKeysPinned() {
	w.policy(room, stream.Retention{KeepLatest: true})
	var at []map[string]string
	at = append(at, map[string]string{})
	for i := range 40 {
		key := fmt.Sprint("k", i%5)
		now := maps.Clone(at[i])
		op := put(room, key, fmt.Sprint(i))
		_, live := now[key]
		switch {
		case i%7 == 6 && live:
			op = keyed(remove(room, 0), key)
			delete(now, key)
		case i%3 == 2 && live:
			op = keyed(fragment(room, 0, "+"), key)
			now[key] += "+"
		default:
			now[key] = fmt.Sprint(i)
		}
		w.applied(op)
		at = append(at, now)
	}
	for _, floor := range []uint64{0, 1, 13, 26, 40} {
		w.cut(room, stream.Trim, floor)
		for serial := max(floor, 1); serial <= 40; serial++ {
			w.wantKeys(stream.KeysQuery{Ref: room, At: serial, Limit: 2}, at[serial])
		}
	}
	w.applied(put(room, "later", "x"))
	w.wantKeys(stream.KeysQuery{Ref: room, At: 40, Limit: 2}, at[40])
}

func (w *world) testKeysNotProvable() {
	for _, keep := range []bool{false, true} {
		ref := stream.Ref{App: "app", Channel: fmt.Sprint("keep ", keep)}
		w.policy(ref, stream.Retention{KeepLatest: keep})
		w.applied(put(ref, "a", "1"), put(ref, "b", "1"), put(ref, "a", "2"), put(ref, "c", "1"))
		w.cut(ref, stream.Trim, 2)
		_, err := w.store.Keys(w.Context(), stream.KeysQuery{Ref: ref, At: 1, Limit: 5})
		w.wantFault("keys below the floor", err, fault.NotProvable)
		if d := fault.Of(err).Detail; d != 2 {
			w.Fatalf("the fault names floor %d, want 2", d)
		}
		_, err = w.store.Read(w.Context(), stream.Query{Ref: ref, State: true, Key: "a", At: 1})
		w.wantFault("state below the floor", err, fault.NotProvable)
		_, err = w.store.Keys(w.Context(), stream.KeysQuery{Ref: ref, At: 5, Limit: 5})
		w.wantFault("keys of the future", err, fault.Invalid)
		want := map[string]string{"a": "2", "c": "1"}
		if keep {
			want["b"] = "1"
		}
		w.wantKeys(stream.KeysQuery{Ref: ref, Limit: 5}, want)
		if b := w.bounds(ref); b.Keys != uint64(len(want)) {
			w.Fatalf("bounds say %d keys, want %v", b.Keys, want)
		}
	}
}
