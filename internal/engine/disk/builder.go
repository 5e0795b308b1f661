package disk

import (
	"crypto/sha256"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// builder makes the rows of one batch. What the batch has allotted so far is kept beside it, because the batch cannot
// be read before it is applied.
type builder struct {
	l       *life
	sh      *shard
	batch   *pebble.Batch
	now     int64
	sync    bool
	touched []*touch

	headers  map[string]header // by row key
	aliases  map[string]string
	receipts map[string]stream.Kept
	gone     map[string]bool // rows that the batch deletes
	last     header          // what the op at hand was last told about its subject
	key, val []byte
}

// touch is what a batch does to one stream.
type touch struct {
	s       *strm
	rules   stream.Rules
	entries []*stream.Entry // of the present incarnation in this batch
	steps   []step
	states  []stream.Subject // subjects whose state is due to be kept
	dirty   bool
	dropped bool // the stream's row is deleted
}

// step is one advance of the visible meta.
type step struct {
	row     *row
	entries []*stream.Entry
	cut     stream.CutKind
}

func (b *builder) init(sh *shard) {
	b.l, b.sh = sh.l, sh
	b.headers = make(map[string]header)
	b.aliases = make(map[string]string)
	b.receipts = make(map[string]stream.Kept)
	b.gone = make(map[string]bool)
}

// apply decides all works of a ticket and applies their rows. It answers false when the life has ended.
func (sh *shard) apply(t *ticket) (ok bool) {
	l := sh.l
	defer func() {
		if p := recover(); p != nil {
			l.stuck.Store(true)
			l.fail(fmt.Errorf("pebble panicked: %v\n%s", p, debug.Stack()))
			ok = false
		}
	}()
	start := time.Now()
	b := &sh.build
	b.reset()
	b.all(t)
	t.touched, t.sync = b.touched, b.sync
	for _, c := range t.touched {
		b.finish(c)
	}
	if b.batch.Empty() {
		b.batch.Close()
		return l.failure.Load() == nil
	}
	t.bytes = b.batch.Len()
	var err error
	if t.sync {
		err = l.db.ApplyNoSyncWait(b.batch, pebble.Sync)
	} else {
		err = l.db.Apply(b.batch, pebble.NoSync)
	}
	if err != nil {
		l.fail(err)
	}
	if l.failure.Load() != nil {
		return false
	}
	t.batch, t.written = b.batch, true
	t.built = time.Since(start)
	if !t.sync {
		t.early()
		l.opt.Events.commit(CommitInfo{Ops: t.ops, Bytes: t.bytes, Build: t.built})
		t.batch.Close()
	}
	return true
}

func (b *builder) reset() {
	b.batch = b.l.db.NewBatch()
	b.now = b.l.opt.Now()
	b.sync = false
	b.touched = nil
	clear(b.headers)
	clear(b.aliases)
	clear(b.receipts)
	clear(b.gone)
}

func (b *builder) all(t *ticket) {
	t.results = make([]stream.Result, 0, t.ops)
	for i, w := range t.works {
		if w.job != nil {
			if err := w.job.build(b); err != nil {
				if t.errs == nil {
					t.errs = make([]error, len(t.works))
				}
				t.errs[i] = err
			}
			continue
		}
		for j, s := range w.streams {
			t.results = append(t.results, b.op(s, &w.call.ops[w.index(j)]))
		}
	}
}

// op decides one op and adds its rows.
func (b *builder) op(s *strm, op *stream.Op) stream.Result {
	c := b.touch(s)
	if c.rules.Durability == stream.Volatile {
		return stream.Result{Outcome: stream.Refused, Err: fault.New(fault.Internal, "%v is volatile and is not kept on disk", s.ref)}
	}
	m := s.alloc.Meta
	b.last = header{}
	d, err := m.Decide(op, c.rules, rows{b, s}, b.now)
	if err != nil {
		return stream.Result{Outcome: stream.Refused, Stream: s.alloc.id, Err: fault.Of(err)}
	}
	if d.Entry == nil {
		d.Result.Stream = s.alloc.id
		if d.Former != nil {
			d.Result.Stream = stream.DeriveID(b.l.epoch, op.Ref, *d.Former)
		}
		return d.Result
	}
	if err := b.adopt(s); err != nil {
		return stream.Result{Outcome: stream.Refused, Stream: s.alloc.id, Err: fault.Of(err)}
	}
	if d.Reset {
		b.reborn(c, m)
	}
	s.alloc.Meta = m
	b.write(c, op, &d)
	if op.Early && c.rules.Durability == stream.Interval {
		return stream.Result{Outcome: stream.Applied, Stream: s.alloc.id}
	}
	d.Result.Stream = s.alloc.id
	return d.Result
}

// touch is the batch's note about a stream.
func (b *builder) touch(s *strm) *touch {
	if s.touch == nil {
		s.touch = &touch{s: s, rules: b.l.opt.Rules(s.ref)}
		b.touched = append(b.touched, s.touch)
		if s.alloc.num == 0 {
			s.alloc = b.l.rowless(s.ref)
		}
	}
	return s.touch
}

// adopt gives a stream without a row its number: from now on it has one.
func (b *builder) adopt(s *strm) (err error) {
	if s.alloc.num == 0 {
		s.alloc.num, err = b.l.number.next(b.l, s.slot)
	}
	return err
}

// reborn notes that an incarnation ended and another one began, m being the meta after its first entry.
func (b *builder) reborn(c *touch, m stream.Meta) {
	b.close(c)
	r := &c.s.alloc
	base := m.Base
	m.Head, m.HeadTime, m.HeadCum, m.Keys, m.Mutated = base, m.FloorTime, m.FloorCum, 0, false
	r.Meta = m
	r.ended, r.kept = base, false
	r.id = stream.DeriveID(b.l.epoch, c.s.ref, r.Incarnation)
	b.step(c, stream.Reset)
}

// close ends the run of entries of the present step.
func (b *builder) close(c *touch) {
	if len(c.entries) > 0 {
		b.step(c, 0)
	}
}

func (b *builder) step(c *touch, cut stream.CutKind) {
	r := c.s.alloc
	st := step{row: &r, cut: cut}
	if cut == 0 {
		st.entries, c.entries = c.entries, nil
	}
	c.steps = append(c.steps, st)
	c.dirty = true
}

// write adds the rows of a decision that appends.
func (b *builder) write(c *touch, op *stream.Op, d *stream.Decision) {
	s, e, num := c.s, d.Entry, c.s.alloc.num
	c.entries = append(c.entries, e)
	c.dirty = true
	if c.rules.Durability == stream.Sync {
		b.sync = true
	}
	b.key = entryKey(b.key[:0], num, e.Serial)
	b.val = stream.AppendEntry(b.val[:0], e)
	b.set(b.key, b.val)
	if d.Subject != "" {
		b.writeSubject(c, d)
	}
	if d.Receipt != nil {
		b.writeReceipt(num, op.Receipt.Key, d.Receipt)
	}
	if age := c.rules.Retention.Age; age > 0 {
		// Later than that only when the stream was empty, or its policy kept entries longer.
		if at := dueAt(e.Time, age); s.alloc.due == 0 || s.alloc.due > at {
			b.putDue(s, at)
		}
	}
}

func (b *builder) set(key, val []byte) { b.must(b.batch.Set(key, val, nil)) }
func (b *builder) delete(key []byte)   { b.must(b.batch.Delete(key, nil)) }

// must turns errors that pebble does not make when a batch grows into panics, which end the life.
func (b *builder) must(err error) {
	if err != nil {
		panic(err)
	}
}

func (b *builder) writeSubject(c *touch, d *stream.Decision) {
	e, num := d.Entry, c.s.alloc.num
	if f := d.First; f != nil {
		b.key = subjectSerialKey(b.key[:0], tagIndex, num, d.Subject, f.Serial)
		b.set(b.key, indexValue(b.val[:0], f))
	}
	b.key = subjectSerialKey(b.key[:0], tagIndex, num, d.Subject, e.Serial)
	b.set(b.key, indexValue(b.val[:0], e))
	h := header{Header: d.Header, chain: b.last.chain + 1, base: b.last.base}
	switch {
	case d.First != nil:
		h.chain++
	case h.supersedes(c.s.ref.Log, d.Subject):
		h.chain = 1
	}
	b.putHeader(num, d.Subject, h)
	if d.Alias {
		if old := b.last.Message; old != 0 && old <= c.s.alloc.Floor {
			b.key = aliasKey(b.key[:0], num, old)
			b.delete(b.key)
			b.gone[string(b.key)] = true
		}
		b.key = aliasKey(b.key[:0], num, e.Serial)
		b.val = append(b.val[:0], e.Key...)
		b.set(b.key, b.val)
		b.aliases[string(b.key)] = e.Key
	}
	if h.stateDue(c.s.ref.Log, d.Subject) && b.l.opt.Folds[c.s.ref.Log] != nil {
		c.states = append(c.states, d.Subject)
	}
}

func (b *builder) putHeader(num uint64, s stream.Subject, h header) {
	b.key = headerKey(b.key[:0], num, s)
	b.val = appendHeader(b.val[:0], &h)
	b.set(b.key, b.val)
	b.headers[string(b.key)] = h
	delete(b.gone, string(b.key))
}

func (b *builder) writeReceipt(num uint64, key string, k *stream.Kept) {
	hash := receiptHash(key)
	b.key = receiptKey(b.key[:0], num, hash[:])
	b.val = stream.AppendKept(b.val[:0], k)
	b.set(b.key, b.val)
	b.receipts[string(b.key)] = *k
	b.key = expiryKey(b.key[:0], k.Expires, num, hash[:])
	b.set(b.key, nil)
}

func receiptHash(key string) (h [16]byte) {
	sum := sha256.Sum256([]byte(key))
	copy(h[:], sum[:])
	return h
}

// putDue moves the stream's place in the due queue.
func (b *builder) putDue(s *strm, at int64) {
	if s.alloc.due == at {
		return
	}
	if s.alloc.due != 0 {
		b.key = dueKey(b.key[:0], s.alloc.due, s.alloc.num)
		b.delete(b.key)
	}
	if at != 0 {
		b.key = dueKey(b.key[:0], at, s.alloc.num)
		b.set(b.key, s.name)
	}
	s.alloc.due = at
}

// finish writes the stream's row after everything that the batch does to it.
func (b *builder) finish(c *touch) {
	c.s.touch = nil
	b.close(c)
	if !c.dirty || c.dropped && c.s.alloc.num == 0 {
		return
	}
	b.val = appendRow(b.val[:0], &c.s.alloc)
	b.set(c.s.name, b.val)
}
