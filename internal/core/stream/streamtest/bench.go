package streamtest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// payload is what a benchmark's entries carry: 200 bytes.
var payload = strings.Repeat("0123456789", 20)

// Benchmark measures a store: the same work for each, so that engines can be put side by side.
func Benchmark(b *testing.B, open func(b *testing.B, o Options) Harness) {
	for _, bench := range []struct {
		name string
		run  func(*testing.B, stream.Store)
	}{
		{"append/1 writer", benchAppend},
		{"append/64 writers, 1 stream", func(b *testing.B, s stream.Store) { benchParallel(b, s, 1) }},
		{"append/64 writers, 1000 streams", func(b *testing.B, s stream.Store) { benchParallel(b, s, 1000) }},
		{"append/batches of 100", benchBatches},
		{"fragment/10th", func(b *testing.B, s stream.Store) { benchFragment(b, s, 10) }},
		{"fragment/4000th", func(b *testing.B, s stream.Store) { benchFragment(b, s, 4000) }},
		{"read/1 entry", func(b *testing.B, s stream.Store) { benchRead(b, s, stream.Query{From: 500, Limit: 1}) }},
		{"read/100 newest", func(b *testing.B, s stream.Store) { benchRead(b, s, stream.Query{Reverse: true, Limit: 100}) }},
		{"read/1000 entries", func(b *testing.B, s stream.Store) { benchRead(b, s, stream.Query{Limit: 1000}) }},
		{"read/bounds and witness", func(b *testing.B, s stream.Store) { benchRead(b, s, stream.Query{HasWitness: true, Witness: 900}) }},
		{"read/latest version of 10", func(b *testing.B, s stream.Store) { benchLatest(b, s, 10) }},
		{"read/latest version of 4000", func(b *testing.B, s stream.Store) { benchLatest(b, s, 4000) }},
		{"keys/page of 1000", benchKeys},
		{"trim/100 entries", func(b *testing.B, s stream.Store) { benchTrim(b, s, room) }},
		{"trim/100 entries, keep latest", func(b *testing.B, s stream.Store) { benchTrim(b, s, kept) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := &clock{}
			c.ms.Store(1_700_000_000_000)
			rules := &policies{rules: map[stream.Ref]stream.Rules{kept: {Retention: stream.Retention{KeepLatest: true}}}}
			h := open(b, Options{Now: c.now, Rules: rules.get, Folds: map[stream.Log]stream.Fold{stream.Messages: lastFold}})
			b.ReportAllocs()
			bench.run(b, h.Store)
		})
	}
}

// kept is a stream of keys with checkpoints.
var kept = stream.Ref{App: "app", Channel: "kept"}

// lastFold costs a store next to nothing, so that the store is what is measured: the state is the newest data, appends
// are added to it.
func lastFold(state []byte, entries ...*stream.Entry) ([]byte, bool, error) {
	live := true
	var text []byte // of its own once something was added
	for _, e := range entries {
		live = e.Kind != stream.Delete
		switch {
		case e.Kind != stream.Append:
			state, text = e.Data.Bytes, nil
		case text == nil:
			text = make([]byte, 0, len(state)+len(entries)*len(e.Data.Bytes))
			text = append(append(text, state...), e.Data.Bytes...)
			state = text
		default:
			text = append(text, e.Data.Bytes...)
			state = text
		}
	}
	return state, live, nil
}

func must(b *testing.B, s stream.Store, ops ...stream.Op) []stream.Result {
	results, err := s.Append(b.Context(), ops)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range results {
		if r.Outcome != stream.Applied {
			b.Fatalf("%+v", r)
		}
	}
	return results
}

// fill appends n entries in batches.
func fill(b *testing.B, s stream.Store, n int, op func(i int) stream.Op) {
	for i := 0; i < n; {
		var ops []stream.Op
		for ; i < n && len(ops) < 500; i++ {
			ops = append(ops, op(i))
		}
		must(b, s, ops...)
	}
}

func benchAppend(b *testing.B, s stream.Store) {
	ops := []stream.Op{create(room, payload)}
	for b.Loop() {
		must(b, s, ops...)
	}
}

func benchBatches(b *testing.B, s stream.Store) {
	ops := make([]stream.Op, 100)
	for i := range ops {
		ops[i] = create(room, payload)
	}
	for b.Loop() {
		must(b, s, ops...)
	}
}

func benchParallel(b *testing.B, s stream.Store, streams int) {
	var n atomic.Int64
	b.SetParallelism(32) // times the processors
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ref := stream.Ref{App: "app", Channel: fmt.Sprint("c", n.Add(1)%int64(streams))}
			if r, err := s.Append(b.Context(), []stream.Op{create(ref, payload)}); err != nil || r[0].Outcome != stream.Applied {
				b.Errorf("append: %v, %v", r, err)
				return
			}
		}
	})
}

// benchFragment appends to messages that have about n fragments: a message that reaches n+64 makes way for the next.
func benchFragment(b *testing.B, s stream.Store, n int) {
	message, parts := uint64(0), 0
	for b.Loop() {
		if parts == 0 || parts >= n+64 {
			b.StopTimer()
			message = must(b, s, create(room, ""))[0].Message
			fill(b, s, n, func(int) stream.Op { return fragment(room, message, "12345678") })
			parts = n
			b.StartTimer()
		}
		must(b, s, fragment(room, message, "12345678"))
		parts++
	}
}

func benchRead(b *testing.B, s stream.Store, q stream.Query) {
	fill(b, s, 2000, func(int) stream.Op { return create(room, payload) })
	q.Ref = room
	b.ResetTimer()
	for b.Loop() {
		p, err := s.Read(b.Context(), q)
		if err != nil || len(p.Entries) != q.Limit {
			b.Fatalf("%d entries, %v", len(p.Entries), err)
		}
	}
}

func benchLatest(b *testing.B, s stream.Store, n int) {
	must(b, s, create(room, payload))
	fill(b, s, n, func(int) stream.Op { return fragment(room, 1, "x") })
	b.ResetTimer()
	for b.Loop() {
		p, err := s.Read(b.Context(), stream.Query{Ref: room, Message: 1, State: true})
		if err != nil || len(p.Entries) > stateBound {
			b.Fatalf("%d entries, %v", len(p.Entries), err)
		}
		state, _, err := lastFold(p.State, p.Entries...)
		if err != nil || len(state) != len(payload)+n {
			b.Fatalf("%d bytes, want %d", len(state), len(payload)+n)
		}
	}
}

func benchKeys(b *testing.B, s stream.Store) {
	fill(b, s, 20_000, func(i int) stream.Op { return put(kept, fmt.Sprintf("k%05d", i%10_000), payload) })
	if _, err := s.Cut(b.Context(), stream.Cut{Ref: kept, Kind: stream.Trim, Through: 15_000}); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		p, err := s.Keys(b.Context(), stream.KeysQuery{Ref: kept, After: "k03000", Limit: 1000})
		if err != nil || len(p.Rows) != 1000 {
			b.Fatalf("%d rows, %v", len(p.Rows), err)
		}
	}
}

func benchTrim(b *testing.B, s stream.Store, ref stream.Ref) {
	head, floor := uint64(0), uint64(0)
	for b.Loop() {
		if floor+100 > head {
			b.StopTimer()
			fill(b, s, 10_000, func(i int) stream.Op { return put(ref, fmt.Sprint("k", i%1000), payload) })
			head += 10_000
			b.StartTimer()
		}
		floor += 100
		if _, err := s.Cut(b.Context(), stream.Cut{Ref: ref, Kind: stream.Trim, Through: floor}); err != nil {
			b.Fatal(err)
		}
	}
}
