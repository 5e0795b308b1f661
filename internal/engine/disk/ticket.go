package disk

import (
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// call is one Append: it may be spread over several shards.
type call struct {
	ops     []stream.Op
	results []stream.Result
	left    atomic.Int32 // works that are not answered
	decided atomic.Bool  // at least one op reached a committer
	done    chan struct{}

	// What most calls need, which have one op: made with the call.
	only   work
	works  [1]*work
	stream [1]*strm
	result [1]stream.Result
}

func newCall(ops []stream.Op) *call {
	c := &call{ops: ops, done: make(chan struct{})}
	if len(ops) == 1 {
		c.results = c.result[:]
	} else {
		c.results = make([]stream.Result, len(ops))
	}
	return c
}

// work is what a shard commits in one step: the ops of a call that belong to the shard, or a job of the engine's own.
type work struct {
	call     *call
	part     []int   // indexes of the ops in the call; nil: all
	streams  []*strm // of each op of the part, pinned
	job      job
	answered atomic.Bool
}

// job is something that must be decided in order with the appends of a shard.
type job interface {
	// build adds rows to the batch. An error means that nothing was added.
	build(b *builder) error
	// done is called once: when the rows are stable, or with the reason why they are not.
	done(err error)
}

// tickJob makes the interval batches before it stable.
type tickJob struct{}

func (tickJob) build(b *builder) error {
	b.sync = true
	return b.batch.LogData(nil, nil)
}

func (tickJob) done(error) {}

func (w *work) size() int {
	if w.call == nil {
		return 1
	}
	return len(w.streams)
}

func (w *work) bytes() (n int) {
	if w.call != nil {
		for i := range w.streams {
			n += w.call.ops[w.index(i)].Entry.Size()
		}
	}
	return n
}

func (w *work) index(i int) int {
	if w.part == nil {
		return i
	}
	return w.part[i]
}

// answer gives the results of the work's ops to the call.
func (w *work) answer(results []stream.Result) {
	if !w.answered.CompareAndSwap(false, true) {
		return
	}
	w.call.decided.Store(true)
	for i, r := range results {
		w.call.results[w.index(i)] = r
	}
	w.finish()
}

func (w *work) finish() {
	if w.call.left.Add(-1) == 0 {
		close(w.call.done)
	}
}

// refuse answers a work that no committer has seen.
func (w *work) refuse(l *life) {
	defer w.unpin(l)
	if w.job != nil {
		w.job.done(errClosed)
		return
	}
	for i := range w.streams {
		w.call.results[w.index(i)] = stream.Result{Outcome: stream.Refused, Err: errClosed}
	}
	w.finish()
}

func (w *work) unpin(l *life) {
	for _, s := range w.streams {
		l.unpin(s)
	}
}

// ticket is one batch of a shard on its way from the queue to the callers.
type ticket struct {
	seq     uint64
	works   []*work
	ops     int
	claimed atomic.Bool
	lost    bool // its batch could not be applied

	// Written by the builder.
	batch   *pebble.Batch // owned by the worker that applied it
	written bool          // the batch was not empty
	sync    bool
	results []stream.Result // of all ops, in order
	errs    []error         // of jobs that could not be built, by position among works
	touched []*touch
	bytes   int
	built   time.Duration
}

// claim decides who answers the ticket: the worker that found it stable, or the end of the life.
func (t *ticket) claim() bool { return t.claimed.CompareAndSwap(false, true) }

// deliver makes the ticket's rows visible, tells the watchers and answers the callers.
func (t *ticket) deliver(l *life) {
	for _, c := range t.touched {
		for _, step := range c.steps {
			c.s.vis.Store(step.row)
			l.store.watchers.tell(stream.Advance{Ref: c.s.ref, Bounds: step.row.bounds(), Entries: step.entries, Cut: step.cut})
		}
	}
	for _, c := range t.touched {
		l.after(c) // before the answers, so that who was answered can wait for it
	}
	at := 0
	for i, w := range t.works {
		if w.job != nil {
			w.job.done(t.jobError(i))
			continue
		}
		n := len(w.streams)
		w.answer(t.results[at : at+n])
		at += n
	}
	for _, w := range t.works {
		w.unpin(l)
	}
}

func (t *ticket) jobError(i int) error {
	if t.errs == nil {
		return nil
	}
	return t.errs[i]
}

// early answers the calls that need not know when their entries are visible.
func (t *ticket) early() {
	at := 0
	for _, w := range t.works {
		n := 0
		if w.call != nil {
			n = len(w.streams)
		}
		if n > 0 && w.earlyOK(t.results[at:at+n]) {
			w.answer(t.results[at : at+n])
		}
		at += n
	}
}

// earlyOK says whether every op of the work asked for an early answer and can have one: the builder has taken the
// serials out of those results.
func (w *work) earlyOK(results []stream.Result) bool {
	for i, r := range results {
		if !w.call.ops[w.index(i)].Early || r.Outcome != stream.Applied || r.Entry.Serial != 0 {
			return false
		}
	}
	return true
}

var errUnknown = fault.New(fault.Unknown,
	"the write failed, so it may or may not be there; try again with the same idempotency key").After(time.Second)

// unknown answers a ticket whose outcome nobody knows. It looks at nothing that the builder writes: that one may hang.
func (t *ticket) unknown(l *life) (touched []*strm) {
	for _, w := range t.works {
		touched = append(touched, w.streams...)
		if w.job != nil {
			w.job.done(errUnknown)
			continue
		}
		results := make([]stream.Result, len(w.streams))
		for i := range results {
			results[i] = stream.Result{Outcome: stream.Unknown, Err: errUnknown}
		}
		w.answer(results)
	}
	return touched
}
