package disk

import (
	"context"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// ageSlack is the step of trims by age, beyond the limit.
func ageSlack(age time.Duration) int64 { return age.Milliseconds() + age.Milliseconds()/16 }

// dueAt is when retention by age must look at a stream whose oldest entry has the given time.
func dueAt(oldest int64, age time.Duration) int64 { return oldest + ageSlack(age) + 1 }

// retain trims a stream to what its policy allows.
func (l *life) retain(st *strm) error {
	if err := l.acquire(); err != nil {
		return nil // the next life finds what is due again
	}
	defer l.release()
	floor, err := l.overdue(st)
	if err != nil || floor == 0 {
		return err
	}
	_, err = l.cutSteps(l.tasks.ctx, st, stream.Cut{Ref: st.ref, Kind: stream.Trim, Through: floor}, nil)
	if l.ended.Load() {
		return nil
	}
	return err
}

// overdue is the floor that a stream's policy asks for, 0 when nothing is due.
func (l *life) overdue(st *strm) (uint64, error) {
	return at(l, st.ref, func(r *reader) (uint64, error) {
		b := r.v.bounds()
		if b.Head == b.Floor {
			return 0, nil
		}
		rules := l.opt.Rules(st.ref).Retention
		by, err := r.overAge(rules.Age, l.opt.Now())
		if err != nil {
			return 0, err
		}
		floor := rules.Floor(b, by)
		if over := rules.BytesOver(b); over > 0 {
			n, err := r.search(func(e *stream.Entry) bool { return e.Cum-b.FloorCum >= over })
			if err != nil {
				return 0, err
			}
			floor = max(floor, min(n, b.Head-1)) // the newest entry stays, however large it is
		}
		if floor <= b.Floor {
			return 0, nil
		}
		return floor, nil
	})
}

// overAge is the last serial older than the age limit, 0 while that is not due.
func (r *reader) overAge(age time.Duration, now int64) (uint64, error) {
	if age <= 0 {
		return 0, nil
	}
	oldest, err := r.entry(r.v.Floor + 1)
	if err != nil || now-oldest.Time <= ageSlack(age) {
		return 0, err
	}
	n, err := r.firstAt(now - age.Milliseconds())
	return n - 1, err
}

// keepState folds a subject up to the visible head and files the state, so that reading its latest version stays cheap.
func (l *life) keepState(st *strm, name stream.Subject) error {
	if err := l.acquire(); err != nil {
		return nil
	}
	defer l.release()
	fold := l.opt.Folds[st.ref.Log]
	j, err := frozen(l, st.ref, func(r *reader) (*stateJob, error) {
		h, ok, err := r.header(name)
		if err != nil || !ok || !r.v.alive(name, &h.Header) {
			return nil, err
		}
		f, err := r.foldTo(fold, st.ref.Log, name, &h, r.v.Head)
		if err != nil || f.steps == 0 {
			return nil, err
		}
		return &stateJob{s: st, name: name, folded: f, num: r.v.num, resets: r.v.Resets}, nil
	})
	if err == nil && j != nil {
		l.post(j, st) // nobody rests on it
	}
	return err
}

// stateJob files a state row and notes it in the subject's header.
type stateJob struct {
	s    *strm
	name stream.Subject
	folded
	num, resets uint64
}

func (j *stateJob) done(error) {}

func (j *stateJob) build(b *builder) error {
	a := &j.s.alloc
	if a.num != j.num || a.Resets != j.resets {
		return nil
	}
	h, ok, err := b.header(a.num, j.name)
	if err != nil || !ok || !a.alive(j.name, &h.Header) || j.at <= h.base {
		return err
	}
	b.key = subjectSerialKey(b.key[:0], tagState, a.num, j.name, j.at)
	b.val = appendState(b.val[:0], &j.folded)
	b.set(b.key, b.val)
	h.chain -= min(h.chain, uint64(j.steps))
	h.base = j.at
	if h.Row <= j.at {
		h.StateAt, h.Since, h.LenAt = j.at, uint32(min(h.chain, 1<<20)), h.Len
	}
	b.putHeader(a.num, j.name, h)
	return nil
}

// Maintain does now what is due: it trims by age, drops receipts that have expired, forgets what was quiet for long,
// and waits for the background work that is queued. The store does it on its own unless SweepEvery is negative.
func (s *Store) Maintain(ctx context.Context) error {
	l, err := s.use()
	if err != nil {
		return err
	}
	defer l.release()
	l.tasks.settle(ctx)
	if err := l.maintain(ctx); err != nil {
		return err
	}
	l.tasks.settle(ctx)
	return ctx.Err()
}
