package node

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/disk"
)

// settled is a disk store as it is after a while: most rows are in tables, not in memory.
func settled(t testing.TB, rules func(stream.Ref) stream.Rules) stream.Store {
	s, err := disk.Open(t.TempDir(), disk.Options{Now: clock(), Rules: rules, Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold},
		FreeReserve: -1, MemTableBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fill publishes many entries in few calls and waits until they are visible and folded.
func fill(t testing.TB, n *Node, entries []stream.Entry) {
	t.Helper()
	for len(entries) > 0 {
		k := min(1000, len(entries))
		ps := make([]Publish, k)
		for i := range ps {
			ps[i] = Publish{Ref: ref, Entry: entries[i], Position: true}
		}
		results, err := n.Publish(context.Background(), ps...)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Outcome != stream.Applied {
				t.Fatal(r.Err)
			}
		}
		entries = entries[k:]
	}
	if s, ok := n.store.(*disk.Store); ok {
		if err := s.Maintain(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// compare runs two things in turn, so that both suffer the same from whatever else the machine does, and reports what
// each takes in the fastest tenth of its runs, and the ratio.
func compare(b *testing.B, a, other func() error) {
	var times [2][]time.Duration
	for b.Loop() {
		for i, f := range [...]func() error{a, other} {
			start := time.Now()
			if err := f(); err != nil {
				b.Fatal(err)
			}
			times[i] = append(times[i], time.Since(start))
		}
	}
	var took [2]float64
	for i, list := range times {
		slices.Sort(list)
		took[i] = float64(list[len(list)/10])
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took[0], "ns/a")
	b.ReportMetric(took[1], "ns/b")
	b.ReportMetric(took[0]/took[1], "ratio")
}

// fragments makes a message and appends to it; it returns the message's serial.
func fragments(t testing.TB, n *Node, head *uint64, count int) uint64 {
	m := *head + 1
	list := []stream.Entry{{Kind: stream.Create, Event: "chat", Data: text("It began ")}}
	for range count {
		list = append(list, stream.Entry{Kind: stream.Append, Message: m, Data: text("fragment ")})
	}
	fill(t, n, list)
	*head += uint64(len(list))
	return m
}

// BenchmarkAppendGoal compares the append of a fragment to a message that has 4,000 (a) with that to one that has 10 (b).
// Goal: ratio ≤ 1.5, the same allocations.
func BenchmarkAppendGoal(b *testing.B) {
	n := open(b, settled, false)
	var head uint64
	long := fragments(b, n, &head, 4000)
	const pool = 64
	var short [pool]uint64
	for i := range short {
		short[i] = fragments(b, n, &head, 9)
	}
	add := func(m uint64) error {
		_, err := n.Publish(context.Background(), Publish{Ref: ref, Entry: stream.Entry{Kind: stream.Append, Message: m, Data: text("fragment ")}})
		return err
	}
	allocations := func(next func(int) uint64) (count, size float64) {
		const rounds = 10 * pool
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range rounds {
			if err := add(next(i)); err != nil {
				b.Fatal(err)
			}
		}
		fill(b, n, []stream.Entry{{Kind: stream.Create}})
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / rounds, float64(after.TotalAlloc-before.TotalAlloc) / rounds
	}
	i := 0
	compare(b, func() error { return add(long) }, func() error { i++; return add(short[i%pool]) })
	countLong, sizeLong := allocations(func(int) uint64 { return long })
	countShort, sizeShort := allocations(func(i int) uint64 { return short[i%pool] })
	b.ReportMetric(countLong, "allocs/a")
	b.ReportMetric(countShort, "allocs/b")
	b.ReportMetric(sizeLong, "B/a")
	b.ReportMetric(sizeShort, "B/b")
}

// BenchmarkLatestGoal compares reading the newest version of a message (a) with reading one entry of its history (b).
// Goal: ratio ≤ 2.
func BenchmarkLatestGoal(b *testing.B) {
	n := open(b, settled, false)
	var head uint64
	messages := []struct {
		name   string
		serial uint64
	}{}
	for _, count := range []int{0, 1, 10, 100, 4000} {
		messages = append(messages, struct {
			name   string
			serial uint64
		}{fmt.Sprint("fragments=", count), fragments(b, n, &head, count)})
	}
	var puts []stream.Entry
	for i := range 2000 {
		puts = append(puts, stream.Entry{Kind: stream.Put, Key: fmt.Sprint("key", i%10), Event: "price", Data: text("{\"price\":1}")})
	}
	messages = append(messages, struct {
		name   string
		serial uint64
	}{"puts=200", head + 1})
	fill(b, n, puts)
	plain := stream.Ref{App: "app", Channel: "plain"}
	for range 1000 {
		if _, err := n.Publish(context.Background(), Publish{Ref: plain, Entry: stream.Entry{Kind: stream.Create, Event: "chat", Data: text("hello")}}); err != nil {
			b.Fatal(err)
		}
	}
	fill(b, n, []stream.Entry{{Kind: stream.Create}})
	for _, m := range messages {
		b.Run(m.name, func(b *testing.B) {
			compare(b, func() error {
				_, _, err := n.Message(context.Background(), ref, m.serial, "", 0)
				return err
			}, func() error {
				h, err := n.History(context.Background(), HistoryQuery{Ref: plain, From: 500, Limit: 1})
				if err == nil && len(h.Rows) != 1 {
					return fmt.Errorf("%d rows", len(h.Rows))
				}
				return err
			})
		})
	}
}

// BenchmarkSnapshotGoal compares a snapshot page of 1,000 keys (a) with reading 1,000 entries of the log (b), for keys that
// were put so often, and for keys that are in the checkpoint alone. Goal: ratio ≤ 5.
func BenchmarkSnapshotGoal(b *testing.B) {
	put := func(i int) stream.Entry {
		return stream.Entry{Kind: stream.Put, Key: fmt.Sprintf("key%04d", i%1500), Event: "price", Data: text(fmt.Sprintf("{\"price\":%d}", i))}
	}
	for _, puts := range []int{1, 3, 10} {
		b.Run(fmt.Sprint("puts=", puts), func(b *testing.B) {
			n := open(b, settled, false)
			var list []stream.Entry
			for i := range 1500 * puts {
				list = append(list, put(i))
			}
			fill(b, n, list)
			snapshotGoal(b, n, uint64(len(list)), 200)
		})
	}
	b.Run("checkpoint", func(b *testing.B) {
		n := openKeeping(b, settled, 2000)
		var list []stream.Entry
		for i := range 15_000 {
			if i < 3000 {
				list = append(list, put(i))
			} else {
				list = append(list, stream.Entry{Kind: stream.Create, Event: "chat", Data: text("hello")})
			}
		}
		fill(b, n, list)
		snapshotGoal(b, n, uint64(len(list)), uint64(len(list))-1500)
	})
}

func snapshotGoal(b *testing.B, n *Node, head, from uint64) {
	ctx := context.Background()
	compare(b, func() error {
		s, err := n.Snapshot(ctx, SnapshotQuery{Ref: ref, At: head, Limit: 1000})
		if err == nil && len(s.Items) != 1000 {
			return fmt.Errorf("%d items", len(s.Items))
		}
		return err
	}, func() error {
		p, err := n.store.Read(ctx, stream.Query{Ref: ref, From: from, Limit: 1000})
		if err == nil && len(p.Entries) != 1000 {
			return fmt.Errorf("%d entries", len(p.Entries))
		}
		return err
	})
}
