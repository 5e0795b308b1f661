package disk

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

var payload = []byte(strings.Repeat("x", 200))

func benchStore(b *testing.B, rules stream.Rules) *Store {
	return benchShards(b, rules, 1)
}

func benchShards(b *testing.B, rules stream.Rules, shards int) *Store {
	s := openT(b, b.TempDir(), Options{Shards: shards, Rules: func(stream.Ref) stream.Rules { return rules }})
	b.Cleanup(func() { s.Close() })
	return s
}

func channels(n int) []stream.Ref {
	refs := make([]stream.Ref, n)
	for i := range refs {
		refs[i] = stream.Ref{App: "app", Channel: fmt.Sprintf("channel-%d", i)}
	}
	return refs
}

func creation(ref stream.Ref) stream.Op {
	return stream.Op{Ref: ref, Entry: stream.Entry{Kind: stream.Create, Event: "event", Data: stream.Data{Type: stream.Text, Bytes: payload}}}
}

// BenchmarkAppend reports, beside the mean, percentiles of one append's time.
func BenchmarkAppend(b *testing.B) {
	for _, bench := range []struct {
		class    stream.Durability
		writers  int
		channels int
		receipts bool
		batch    int
	}{
		{stream.Sync, 1, 1, false, 1},
		{stream.Sync, 16, 1, false, 1},
		{stream.Sync, 16, 10_000, false, 1},
		{stream.Sync, 16, 10_000, true, 1},
		{stream.Sync, 256, 1, false, 1},
		{stream.Sync, 256, 10_000, false, 1},
		{stream.Sync, 16, 10_000, false, 10},
		{stream.Interval, 16, 10_000, false, 1},
	} {
		name := fmt.Sprintf("%v/W=%d/channels=%d", bench.class, bench.writers, bench.channels)
		if bench.receipts {
			name += "/receipts"
		}
		if bench.batch > 1 {
			name += fmt.Sprintf("/batch=%d", bench.batch)
		}
		b.Run(name, func(b *testing.B) {
			s := benchStore(b, stream.Rules{Durability: bench.class, Retention: stream.DefaultRetention()})
			refs := channels(bench.channels)
			times := make([][]time.Duration, bench.writers)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			for w := range bench.writers {
				wg.Go(func() {
					for {
						i := next.Add(int64(bench.batch))
						if i > int64(b.N+bench.batch-1) {
							return
						}
						ops := make([]stream.Op, bench.batch)
						for j := range ops {
							ops[j] = creation(refs[(int(i)+j)*7919%len(refs)])
							ops[j].Early = bench.class == stream.Interval
							if bench.receipts {
								ops[j].Receipt = &stream.Receipt{Key: fmt.Sprint(i, j), TTL: 2 * time.Minute}
							}
						}
						start := time.Now()
						if _, err := s.Append(context.Background(), ops); err != nil {
							b.Error(err)
							return
						}
						times[w] = append(times[w], time.Since(start))
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
			reportTimes(b, times)
		})
	}
}

// BenchmarkShards compares numbers of committers, in turn within one run: durable appends of many writers.
func BenchmarkShards(b *testing.B) {
	shards := []int{1, 2, 4}
	stores := make([]*Store, len(shards))
	for i, n := range shards {
		stores[i] = benchShards(b, stream.Rules{Retention: stream.DefaultRetention()}, n)
	}
	refs := channels(10_000)
	for _, writers := range []int{16, 256} {
		spent, wall := make([]time.Duration, len(shards)), make([]time.Duration, len(shards))
		b.Run(fmt.Sprintf("W=%d", writers), func(b *testing.B) {
			clear(spent)
			clear(wall)
			for part := 0; part < b.N; part += 1000 {
				for i, s := range stores {
					cpu, start := cpuTime(), time.Now()
					appendMany(b, s, refs, writers, min(1000, b.N-part))
					spent[i] += cpuTime() - cpu
					wall[i] += time.Since(start)
				}
			}
			for i, n := range shards {
				b.ReportMetric(float64(spent[i].Nanoseconds())/1000/float64(b.N), fmt.Sprintf("cpu-µs/op:%d", n))
				b.ReportMetric(float64(b.N)/wall[i].Seconds(), fmt.Sprintf("ops/s:%d", n))
			}
		})
	}
}

// appendMany makes n durable appends by so many writers.
func appendMany(b *testing.B, s *Store, refs []stream.Ref, writers, n int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if _, err := s.Append(context.Background(), []stream.Op{creation(refs[int(i)*7919%len(refs)])}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func reportTimes(b *testing.B, times [][]time.Duration) {
	all := slices.Concat(times...)
	slices.Sort(all)
	if n := len(all); n > 0 {
		b.ReportMetric(float64(all[n/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(all[n*99/100].Microseconds()), "p99-µs")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkFsync is the disk's own: what one publisher is compared with.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(b.TempDir() + "/f")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		f.Write(payload)
		f.Sync()
		times = append(times, time.Since(start))
	}
	reportTimes(b, [][]time.Duration{times})
}

// BenchmarkTrim appends to channels that keep few entries, so that a step of retention is due all the time.
func BenchmarkTrim(b *testing.B) {
	s := benchStore(b, stream.Rules{Retention: stream.Retention{Entries: 1600}})
	ops := make([]stream.Op, 100)
	for i := range ops {
		ops[i] = creation(channels(1)[0])
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Append(context.Background(), ops); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := s.Maintain(context.Background()); err != nil {
		b.Fatal(err)
	}
	p, err := s.Read(context.Background(), stream.Query{Ref: ops[0].Ref})
	if err != nil || p.Bounds.Retained() > 1700 {
		b.Fatalf("%v, %v", p.Bounds, err)
	}
}

func BenchmarkRead(b *testing.B) {
	s := benchStore(b, stream.Rules{})
	ref := channels(1)[0]
	ops := make([]stream.Op, 1000)
	for i := range ops {
		ops[i] = creation(ref)
	}
	for range 10 {
		if _, err := s.Append(context.Background(), ops); err != nil {
			b.Fatal(err)
		}
	}
	for _, q := range []struct {
		name string
		q    stream.Query
	}{
		{"cursor at head", stream.Query{Ref: ref, Witness: 10_000, HasWitness: true}},
		{"cursor 5 behind", stream.Query{Ref: ref, Witness: 9_995, HasWitness: true}},
		{"newest 1", stream.Query{Ref: ref, Limit: 1, Reverse: true}},
		{"newest 100", stream.Query{Ref: ref, Limit: 100, Reverse: true}},
		{"1000 after a cursor", stream.Query{Ref: ref, From: 4_001, Limit: 1000, Witness: 4_000, HasWitness: true}},
		{"by time", stream.Query{Ref: ref, FromTime: time.Now().UnixMilli() - 3_600_000, Limit: 1}},
	} {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Read(context.Background(), q.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
