package bench

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/hist"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
	"github.com/continuo-rt/continuo/internal/ops/bench/stamp"
)

// tally sums up what all subscribers of a run received.
type tally struct {
	base    time.Time
	latency hist.Histogram
	since   atomic.Int64 // messages sent before this moment (warm-up) count as all, not as delivered

	all        atomic.Uint64 // every marked message
	delivered  atomic.Uint64 // those that were sent since
	missing    atomic.Uint64
	duplicates atomic.Uint64
	strays     atomic.Uint64 // arrived where they were never meant to

	lanes []lane // filled for workloads that wait for deliveries
}

// lane lets a publisher wait until every subscriber has its last message.
type lane struct {
	left atomic.Int64
	done chan struct{} // capacity 1
}

func newTally() *tally {
	t := &tally{base: time.Now()}
	t.since.Store(math.MaxInt64) // until begin, everything is warm-up
	return t
}

// now is nanoseconds on the clock of the run, never 0.
func (t *tally) now() int64 { return int64(time.Since(t.base)) + 1 }

// begin ends the warm-up.
func (t *tally) begin() { t.since.Store(t.now()) }

func (t *tally) note(s stamp.Stamp, v stamp.Verdict) {
	if v.Missing > 0 {
		t.missing.Add(uint64(v.Missing))
	}
	switch {
	case v.Stray:
		t.strays.Add(1)
		return
	case v.Duplicate:
		t.duplicates.Add(1)
		return
	}
	t.all.Add(1)
	if s.Nano >= t.since.Load() {
		t.delivered.Add(1)
		t.latency.Record(time.Duration(t.now() - s.Nano))
	}
	if int(s.Lane) < len(t.lanes) {
		if l := &t.lanes[s.Lane]; l.left.Add(-1) == 0 {
			select {
			case l.done <- struct{}{}:
			default:
			}
		}
	}
}

// settled waits until want messages have arrived in all, or nothing has for as long as patience. It says whether they did.
func (t *tally) settled(ctx context.Context, want uint64, patience time.Duration) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	last, at := t.all.Load(), time.Now()
	for t.all.Load() < want {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if n := t.all.Load(); n != last {
			last, at = n, time.Now()
		} else if time.Since(at) > patience {
			return false
		}
	}
	return true
}

// add notes deliveries and every breach of order or completeness.
func (t *tally) add(r *report.Result, s spent, expected uint64) {
	delivered := t.delivered.Load()
	r.Add("deliveries", float64(delivered), "", "")
	r.Add("deliveries per second", float64(delivered)/s.wall.Seconds(), "/s", "")
	if s.known {
		r.Add("server CPU per million deliveries", s.server.CPU.Seconds()/float64(delivered)*1e6, "s", report.Less)
	}
	r.Latency("latency", &t.latency)
	t.faults(r)
	if lost := int64(expected) - int64(delivered); lost > 0 {
		r.Add("undelivered", float64(lost), "", report.Less)
		r.Warn("%d deliveries did not arrive in time", lost)
	}
}

func (t *tally) faults(r *report.Result) {
	for _, f := range []struct {
		name string
		n    uint64
	}{{"missing", t.missing.Load()}, {"duplicates", t.duplicates.Load()}, {"strays", t.strays.Load()}} {
		r.Add(f.name, float64(f.n), "", report.Less)
		if f.n > 0 {
			r.Warn("%d %s: the server broke order or completeness", f.n, f.name)
		}
	}
}
