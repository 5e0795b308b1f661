package disk

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// sweepPage is how many rows of a queue are taken at a time. The jobs of a page are waited for together: rows that need
// no sync of their own are stable with the next tick.
const sweepPage = 512

// maintain sweeps both queues up to now.
func (l *life) maintain(ctx context.Context) error {
	now := l.opt.Now()
	if err := l.expire(ctx, now); err != nil {
		return err
	}
	return l.sweepDue(ctx, now)
}

// queued reads the first rows of a queue up to a time, from a key on.
func (l *life) queued(tag byte, from []byte, now int64) (keys, values [][]byte, err error) {
	if from == nil {
		from = []byte{tag}
	}
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: numberKey(nil, tag, uint64(now)+1)})
	if err != nil {
		return nil, nil, l.readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok && len(keys) < sweepPage; ok = it.Next() {
		keys = append(keys, bytes.Clone(it.Key()))
		values = append(values, bytes.Clone(it.Value()))
	}
	return keys, values, l.readError(it.Error())
}

// running reports whether background work should go on.
func (l *life) running(ctx context.Context) bool { return ctx.Err() == nil && !l.ended.Load() }

// expire deletes receipts whose time has come.
func (l *life) expire(ctx context.Context, now int64) error {
	if err := l.acquire(); err != nil {
		return nil
	}
	defer l.release()
	var from []byte
	for l.running(ctx) {
		keys, _, err := l.queued(tagExpiry, from, now)
		if err != nil || len(keys) == 0 {
			return err
		}
		jobs := make(map[*shard]*expireJob)
		for _, k := range keys {
			if len(k) != 1+8+8+16 {
				continue
			}
			num := binary.BigEndian.Uint64(k[9:])
			sh := l.shards[num&(1<<slotBits-1)%uint64(len(l.shards))]
			if jobs[sh] == nil {
				jobs[sh] = &expireJob{now: now, answer: make(chan error, 1)}
			}
			jobs[sh].keys = append(jobs[sh].keys, k)
		}
		for sh, j := range jobs {
			if !sh.submit(&work{job: j}) {
				return nil
			}
		}
		for _, j := range jobs {
			if err := await(ctx, j.answer); err != nil && !l.ended.Load() {
				return err
			}
		}
		from = append(keys[len(keys)-1], 0)
	}
	return nil
}

// expireJob deletes receipts, unless their key was used again since, and their places in the queue.
type expireJob struct {
	now    int64
	keys   [][]byte // of the queue
	answer chan error
}

func (j *expireJob) done(err error) { j.answer <- err }

func (j *expireJob) build(b *builder) error {
	for _, k := range j.keys {
		b.key = receiptKey(b.key[:0], binary.BigEndian.Uint64(k[9:]), k[17:])
		r, ok := b.receipts[string(b.key)]
		if !ok {
			var err error
			if r, ok, err = b.l.receipt(b.key); err != nil {
				return err
			}
		}
		if ok && r.Expires <= j.now {
			b.delete(b.key)
			delete(b.receipts, string(b.key))
		}
		b.delete(k)
	}
	return nil
}

// sweepDue looks at every stream whose time in the due queue has come: it trims by age, finds the next time, and
// gathers the streams that were empty and idle for long enough to be forgotten.
func (l *life) sweepDue(ctx context.Context, now int64) error {
	var from []byte
	var quiet []stream.Ref
	for l.running(ctx) && len(quiet) < maxForget {
		if err := l.acquire(); err != nil {
			return nil
		}
		keys, names, err := l.queued(tagDue, from, now)
		l.release()
		if err != nil || len(keys) == 0 {
			if err != nil {
				return err
			}
			break
		}
		var jobs []*dueJob
		for i, k := range keys {
			ref, ok := refOf(names[i])
			if !ok || len(k) != 17 || !l.running(ctx) {
				continue
			}
			job, err := l.due(ref, k, now)
			if err != nil {
				return err
			}
			if job == nil {
				quiet = append(quiet, ref)
			} else {
				jobs = append(jobs, job)
			}
		}
		if err := l.settleDue(ctx, jobs); err != nil {
			return err
		}
		from = append(keys[len(keys)-1], 0)
	}
	if len(quiet) == 0 || !l.running(ctx) {
		return nil
	}
	_, err := l.forget(ctx, quiet, l.opt.ForgetAfter, now)
	return err
}

// due trims one stream and posts its next place in the queue, nil if it may be forgotten.
func (l *life) due(ref stream.Ref, key []byte, now int64) (*dueJob, error) {
	j := &dueJob{key: key, answer: make(chan error, 1)}
	if err := l.acquire(); err != nil {
		j.done(nil)
		return j, nil
	}
	defer l.release()
	st, err := l.pin(ref)
	if err != nil {
		return nil, err
	}
	defer l.unpin(st)
	if err := l.retain(st); err != nil {
		return nil, err
	}
	j.s = st
	if j.next, err = l.nextDue(ref, now); err != nil {
		return nil, err
	}
	if j.next != 0 && j.next <= now {
		return nil, nil
	}
	if !l.post(j, st) {
		j.done(nil)
	}
	return j, nil
}

func (l *life) settleDue(ctx context.Context, jobs []*dueJob) error {
	for _, j := range jobs {
		if err := await(ctx, j.answer); err != nil && !l.ended.Load() {
			return err
		}
	}
	return nil
}

// nextDue is when a stream must be looked at again: 0 never, at or before now when it may be forgotten.
func (l *life) nextDue(ref stream.Ref, now int64) (int64, error) {
	return at(l, ref, func(r *reader) (int64, error) {
		v := r.v
		if v.num == 0 {
			return 0, nil
		}
		if v.Head == v.Floor {
			return l.forgetDue(v, now)
		}
		age := l.opt.Rules(ref).Retention.Age
		if age <= 0 {
			return 0, nil
		}
		e, err := r.entry(v.Floor + 1)
		if err != nil {
			return 0, err
		}
		return max(now+1, dueAt(e.Time, age)), nil
	})
}

// forgetDue is when an empty stream may be forgotten. Streams are forgotten together, once a day: each time changes the
// ids of all channels that have no row.
func (l *life) forgetDue(v *row, now int64) (int64, error) {
	const day = 24 * 60 * 60 * 1000
	next := max(v.HeadTime+l.opt.ForgetAfter.Milliseconds(), l.forgot.Load().at+day)
	if v.Keys > 0 {
		next = max(next, now+l.opt.ForgetAfter.Milliseconds())
	}
	if next > now {
		return next, nil
	}
	kept, err := l.receipts(v.num, now)
	if kept {
		next = now + day/24
	}
	return next, err
}

// dueJob gives a stream its next place in the due queue.
type dueJob struct {
	s      *strm
	key    []byte // its present place
	next   int64
	answer chan error
}

func (j *dueJob) done(err error) { j.answer <- err }

func (j *dueJob) build(b *builder) error {
	a := &j.s.alloc
	at := int64(binary.BigEndian.Uint64(j.key[1:]))
	if a.num != binary.BigEndian.Uint64(j.key[9:]) || a.due != at {
		b.delete(j.key) // left over from before
		return nil
	}
	c := b.touch(j.s)
	b.putDue(j.s, j.next)
	c.dirty = true
	return nil
}
