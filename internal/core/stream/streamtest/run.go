// Package streamtest is what every store of logs must do: a conformance suite, a reference model that random
// operations are compared with, and benchmarks.
//
// A store's own test calls Run with a function that makes a harness. What a store cannot do at all it says by leaving a
// field of the harness nil; the tests that need it are then not part of its suite. Nothing is decided by a store's name.
package streamtest

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Options are what a store must be made with. A harness passes them on.
type Options struct {
	// Now is the suite's clock, unix ms. It stands still until the suite moves it, also by days at once.
	Now func() int64
	// Rules are the policies; the suite changes them while the store runs.
	Rules func(stream.Ref) stream.Rules
	// Folds are the suite's own; they fail when an entry is missing or comes twice.
	Folds map[stream.Log]stream.Fold
}

// Harness is a store under test and what can be done to it. Fields but Store may be nil.
type Harness struct {
	Store stream.Store
	// Reopen ends the store in an orderly way and opens the same data again.
	Reopen func() stream.Store
	// Crash ends the store as kill -9 (or, when the store survives that, a power cut) would, and opens the same data. It
	// ends a held sync. Callers that wait need not be answered.
	Crash func() stream.Store
	// HoldSync makes the next sync block until ReleaseSync; reached is closed when one does.
	HoldSync    func() (reached <-chan struct{})
	ReleaseSync func()
	// FailSync makes the next write or sync fail, once.
	FailSync func()
	// Maintain does what the store does in the background now and then: trims that are due by age, and by size where a
	// store leaves them for later. Everything due is done when it returns; a stream that a crash left larger than its
	// limits may wait for its next append.
	Maintain func() error
	// Volatile says that streams of class volatile are kept by this store, in memory.
	Volatile bool
	// Forget drops the rows of streams that were empty and idle for so long.
	Forget func(idle time.Duration) error
}

// test is one test of the suite.
type test struct {
	name  string
	needs func(Harness) bool // nil: nothing
	run   func(*world)
}

// Run runs the suite against the stores that open makes. open is called once for each test, and once before, to see
// what its stores can do; it registers its own clean-up with t.
func Run(t *testing.T, open func(t *testing.T, o Options) Harness) {
	able := newWorld(t, open).h // not a subtest: -run would leave it out, and with it what it can do
	for _, part := range [][]test{orderTests, receiptTests, guardTests, readTests, cutTests, keepTests, stateTests,
		keyTests, headTests, watchTests, lifeTests} {
		for _, tt := range part {
			if tt.needs == nil || tt.needs(able) {
				t.Run(tt.name, func(t *testing.T) { tt.run(newWorld(t, open)) })
			}
		}
	}
	t.Run("random operations against the model", func(t *testing.T) { runRandom(t, open) })
}

// clock is the suite's clock.
type clock struct{ ms atomic.Int64 }

func (c *clock) now() int64              { return c.ms.Load() }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// policies are the rules of the streams, by reference; those without are sync and unbounded.
type policies struct {
	mu    sync.RWMutex
	rules map[stream.Ref]stream.Rules
}

func (p *policies) get(ref stream.Ref) stream.Rules {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.rules[ref]
}

func (p *policies) set(ref stream.Ref, r stream.Rules) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules[ref] = r
}

// world is one test's store with its clock and policies.
type world struct {
	*testing.T
	h     Harness
	store stream.Store
	clock *clock
	rules *policies
}

func newWorld(t *testing.T, open func(t *testing.T, o Options) Harness) *world {
	w := &world{T: t, clock: &clock{}, rules: &policies{rules: map[stream.Ref]stream.Rules{}}}
	w.clock.ms.Store(1_700_000_000_000)
	w.h = open(t, Options{Now: w.clock.now, Rules: w.rules.get,
		Folds: map[stream.Log]stream.Fold{stream.Messages: Fold, stream.Presence: Fold}})
	w.store = w.h.Store
	return w
}

var room = stream.Ref{App: "app", Channel: "room"}

func (w *world) policy(ref stream.Ref, r stream.Retention) {
	rules := w.rules.get(ref)
	rules.Retention = r
	w.rules.set(ref, rules)
}

func (w *world) class(ref stream.Ref, d stream.Durability) {
	rules := w.rules.get(ref)
	rules.Durability = d
	w.rules.set(ref, rules)
}

// append runs ops in one call.
func (w *world) append(ops ...stream.Op) []stream.Result {
	w.Helper()
	results, err := w.store.Append(w.Context(), ops)
	if err != nil {
		w.Fatalf("append: %v", err)
	}
	if len(results) != len(ops) {
		w.Fatalf("%d ops got %d results", len(ops), len(results))
	}
	return results
}

// applied runs ops that must all be applied, one call each.
func (w *world) applied(ops ...stream.Op) []stream.Result {
	w.Helper()
	var all []stream.Result
	for _, op := range ops {
		all = append(all, w.check(w.append(op)...)...)
	}
	return all
}

// together runs ops that must all be applied in one call.
func (w *world) together(ops ...stream.Op) []stream.Result {
	w.Helper()
	return w.check(w.append(ops...)...)
}

func (w *world) check(results ...stream.Result) []stream.Result {
	w.Helper()
	for i, r := range results {
		if r.Outcome != stream.Applied || r.Err != nil {
			w.Fatalf("op %d: outcome %d, error %v; want applied", i, r.Outcome, r.Err)
		}
	}
	return results
}

func (w *world) read(q stream.Query) stream.Page {
	w.Helper()
	p, err := w.store.Read(w.Context(), q)
	if err != nil {
		w.Fatalf("read %+v: %v", q, err)
	}
	return p
}

func (w *world) bounds(ref stream.Ref) stream.Bounds {
	w.Helper()
	return w.read(stream.Query{Ref: ref}).Bounds
}

func (w *world) all(ref stream.Ref) []*stream.Entry {
	w.Helper()
	p := w.read(stream.Query{Ref: ref, Limit: 1 << 30})
	if p.More {
		w.Fatalf("a page without a limit says that there is more")
	}
	w.contiguous(p)
	return p.Entries
}

// contiguous checks that a page of the whole log is the whole log.
func (w *world) contiguous(p stream.Page) {
	w.Helper()
	if uint64(len(p.Entries)) != p.Bounds.Retained() {
		w.Fatalf("the log (%d, %d] has %d entries", p.Bounds.Floor, p.Bounds.Head, len(p.Entries))
	}
	at, cum := p.Bounds.FloorTime, p.Bounds.FloorCum
	for i, e := range p.Entries {
		if e.Serial != p.Bounds.Floor+uint64(i)+1 {
			w.Fatalf("entry %d after floor %d has serial %d", i, p.Bounds.Floor, e.Serial)
		}
		if e.Time < at {
			w.Fatalf("serial %d at %d is older than the entry before, at %d", e.Serial, e.Time, at)
		}
		if e.Cum != cum+uint64(e.Size()) {
			w.Fatalf("serial %d: %d bytes after %d, and its size is %d", e.Serial, e.Cum, cum, e.Size())
		}
		at, cum = e.Time, e.Cum
	}
	if at != p.Bounds.HeadTime || cum != p.Bounds.HeadCum {
		w.Fatalf("bounds say that the head has time %d and %d bytes; its entry says %d and %d",
			p.Bounds.HeadTime, p.Bounds.HeadCum, at, cum)
	}
}

func (w *world) cut(ref stream.Ref, kind stream.CutKind, through uint64) stream.CutResult {
	w.Helper()
	r, err := w.store.Cut(w.Context(), stream.Cut{Ref: ref, Kind: kind, Through: through})
	if err != nil {
		w.Fatalf("cut: %v", err)
	}
	return r
}

func (w *world) maintain() {
	w.Helper()
	if w.h.Maintain == nil {
		return
	}
	if err := w.h.Maintain(); err != nil {
		w.Fatalf("maintain: %v", err)
	}
}

func serials(entries []*stream.Entry) []uint64 {
	out := make([]uint64, len(entries))
	for i, e := range entries {
		out[i] = e.Serial
	}
	return out
}

func (w *world) wantSerials(what string, entries []*stream.Entry, want ...uint64) {
	w.Helper()
	if got := serials(entries); !slices.Equal(got, want) {
		w.Fatalf("%s: serials %v, want %v", what, got, want)
	}
}
