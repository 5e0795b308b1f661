package disk

import (
	"context"
	"errors"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// stepEntries bounds what one step of a trim reads and folds.
const stepEntries = 4096

// errStale says that another cut came between the plan and its commit.
var errStale = errors.New("the stream was cut meanwhile")

// Cut implements stream.Store.
func (s *Store) Cut(ctx context.Context, c stream.Cut) (stream.CutResult, error) {
	if c.Kind < stream.Trim || c.Kind > stream.Reset {
		return stream.CutResult{}, fault.New(fault.Invalid, "cut kind %d is not known", c.Kind)
	}
	return s.cut(ctx, c, nil)
}

// MarkVolatile ends what a stream has on disk, because its policy is volatile now: should it become durable again, it
// begins a new incarnation. Nothing is written when the row says so already.
func (s *Store) MarkVolatile(ctx context.Context, ref stream.Ref) error {
	class := stream.Volatile
	_, err := s.cut(ctx, stream.Cut{Ref: ref, Kind: stream.Reset}, &class)
	return err
}

func (s *Store) cut(ctx context.Context, c stream.Cut, class *stream.Durability) (res stream.CutResult, err error) {
	l, err := s.use()
	if err != nil {
		return res, err
	}
	defer l.release()
	st, err := l.pin(c.Ref)
	if err != nil {
		return res, err
	}
	defer l.unpin(st)
	if class != nil && l.visible(st).num != 0 && l.visible(st).Class == *class {
		return res, nil
	}
	return l.cutSteps(ctx, st, c, class)
}

// cutSteps cuts a stream, trims in bounded steps.
func (l *life) cutSteps(ctx context.Context, st *strm, c stream.Cut, class *stream.Durability) (res stream.CutResult, err error) {
	st.cutMu.Lock()
	defer st.cutMu.Unlock()
	v := l.visible(st)
	res.Before, res.After = v.bounds(), v.bounds()
	target := min(c.Through, v.Head)
	for {
		var job *cutJob
		if c.Kind == stream.Reset {
			job = &cutJob{s: st, kind: stream.Reset, class: class, answer: make(chan error, 1)}
		} else if job, err = l.plan(st, c.Kind, target); err != nil || job == nil {
			if errors.Is(err, errMoved) && l.visible(st).Resets != v.Resets {
				return res, nil // what was to be cut is gone
			}
			return res, err
		}
		err := l.commit(ctx, job, job.answer, st)
		switch {
		case errors.Is(err, errStale):
			if l.visible(st).Resets != v.Resets {
				return res, nil
			}
			continue
		case err != nil:
			return res, err
		}
		res.After = job.after.bounds()
		n := min(res.After.Floor, job.before.Head) - job.before.Floor
		res.Entries += n
		res.Bytes += res.After.FloorCum - job.before.FloorCum
		l.opt.Events.trim(TrimInfo{Ref: st.ref, Entries: n, Bytes: res.After.FloorCum - job.before.FloorCum})
		if err := l.erase(ctx, job); err != nil {
			l.opt.Events.err("erase", err) // the rows are out of bounds; the next trim takes them along
		}
		if c.Kind == stream.Reset || res.After.Floor >= target {
			return res, nil
		}
	}
}

// commit hands a job to the stream's shard and waits for it.
func (l *life) commit(ctx context.Context, j job, answer <-chan error, st *strm) error {
	if !l.post(j, st) {
		return errClosed
	}
	return await(ctx, answer)
}

// post hands a job to the stream's shard.
func (l *life) post(j job, st *strm) bool {
	st.shard.cache.repin(st)
	if !st.shard.submit(&work{job: j, streams: []*strm{st}}) {
		l.unpin(st)
		return false
	}
	return true
}

func await(ctx context.Context, answer <-chan error) error {
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fault.New(fault.Unknown, "gave up waiting for the store: %w", ctx.Err())
	}
}

// cutJob moves a floor, or begins a new incarnation.
type cutJob struct {
	s      *strm
	kind   stream.CutKind
	class  *stream.Durability
	floor  uint64 // the stream as it was planned: floor, number of resets
	resets uint64
	head   uint64 // visible then
	to     stream.EntryID
	cum    uint64
	keep   bool // the checkpoint goes on
	rows   []stateRow
	// live counts the live keys that end, as of the plan; those of them that were written since are looked at again.
	ending map[string]bool
	erase  erasure

	before, after *row
	answer        chan error
}

// stateRow is a row of the checkpoint.
type stateRow struct {
	subject stream.Subject
	folded
}

func (j *cutJob) done(err error) { j.answer <- err }

func (j *cutJob) build(b *builder) error {
	a := &j.s.alloc
	if j.kind == stream.Reset {
		return j.reset(b)
	}
	if a.Floor != j.floor || a.Resets != j.resets {
		return errStale
	}
	c := b.touch(j.s)
	if err := j.count(b); err != nil {
		return err
	}
	b.close(c)
	before := *a
	j.before = &before
	a.Trim(j.to.Serial, j.to.Time, j.cum)
	if !j.keep {
		a.ended, a.kept = j.to.Serial, false
	}
	for i := range j.rows {
		a.kept = true
		b.key = subjectSerialKey(b.key[:0], tagState, a.num, j.rows[i].subject, j.rows[i].at)
		b.val = appendState(b.val[:0], &j.rows[i].folded)
		b.set(b.key, b.val)
	}
	b.emptied(j.s)
	b.step(c, j.kind)
	j.after = c.steps[len(c.steps)-1].row
	b.sync = true
	return nil
}

// count takes the keys that end from the stream's count.
func (j *cutJob) count(b *builder) error {
	a := &j.s.alloc
	if j.to.Serial == a.Head && !j.keep {
		a.Keys = 0
		return nil
	}
	gap := a.Head - j.head
	if gap > 4*stepEntries && len(j.ending) > 0 {
		return errStale
	}
	for n := j.head + 1; n <= a.Head && len(j.ending) > 0; n++ {
		e, err := rows{b, j.s}.Entry(n)
		if err != nil {
			return err
		}
		if e == nil || e.Key == "" || !j.ending[e.Key] {
			continue
		}
		h, ok, err := rows{b, j.s}.Header(stream.KeySubject(e.Key))
		if err != nil {
			return err
		}
		if !ok || h.Deleted || h.Row > j.to.Serial {
			delete(j.ending, e.Key)
		}
	}
	a.Keys -= min(a.Keys, uint64(len(j.ending)))
	return nil
}

func (j *cutJob) reset(b *builder) error {
	s := j.s
	a := &s.alloc
	if j.class != nil && a.num != 0 && a.Class == *j.class {
		same := *a
		j.before, j.after = &same, &same
		return nil
	}
	c := b.touch(s)
	if a.num == 0 {
		a.Class = c.rules.Durability
	}
	if err := b.adopt(s); err != nil {
		return err
	}
	b.close(c)
	before := *a
	j.before = &before
	a.Reset(b.now)
	a.ended, a.kept = a.Base, false
	if j.class != nil {
		a.Class = *j.class
	}
	a.id = stream.DeriveID(b.l.epoch, s.ref, a.Incarnation)
	b.emptied(s)
	b.step(c, stream.Reset)
	j.after = c.steps[len(c.steps)-1].row
	j.erase.everything = true
	b.sync = true
	return nil
}

// emptied gives a stream that holds nothing a place in the due queue, so that it is forgotten one day.
func (b *builder) emptied(s *strm) {
	if a := &s.alloc; a.Head == a.Floor && a.due == 0 {
		b.putDue(s, b.now+b.l.opt.ForgetAfter.Milliseconds())
	}
}
