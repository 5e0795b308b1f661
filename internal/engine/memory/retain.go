package memory

import (
	"container/heap"
	"context"
	"sort"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// recheck bounds how long a log waits before its policy is asked again, so that a reload reaches quiet logs too.
const recheck = 5 * 60 * 1000

// trimDue is a log that has to be trimmed.
type trimDue struct {
	ref     stream.Ref
	through uint64
	rules   stream.Rules
}

// overdue is the floor that retention asks for, the present one when nothing is due.
func (l *log) overdue(r stream.Retention, now int64) uint64 {
	if len(l.entries) == 0 {
		return l.meta.Floor
	}
	b := l.meta.Bounds(l.id)
	by := uint64(0)
	if age := r.Age.Milliseconds(); age > 0 && now-l.entries[0].Time > age+age/16 {
		by = b.Floor + uint64(sort.Search(len(l.entries), func(i int) bool { return now-l.entries[i].Time <= age }))
	}
	floor := r.Floor(b, by)
	if over := r.BytesOver(b); over > 0 {
		i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].Cum-b.FloorCum >= over })
		floor = max(floor, min(b.Floor+uint64(i)+1, b.Head-1))
	}
	return floor
}

// trimTouched queues one step of every trim that is due. Nobody waits for it; what is left shows when it is visible.
func (s *Store) trimTouched() {
	s.mu.Lock()
	due := s.touched
	s.touched = nil
	s.mu.Unlock()
	for _, t := range due {
		if _, err := s.cutStep(context.Background(), stream.Cut{Ref: t.ref, Kind: stream.Trim, Through: t.through}, t.rules,
			nil); err != nil && fault.KindOf(err) != fault.Unavailable && s.o.Report != nil {
			s.o.Report(err)
		}
	}
}

// Run maintains the store at every tick until ctx ends.
func (s *Store) Run(ctx context.Context, tick <-chan time.Time) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
			if err := s.Maintain(ctx); err != nil && s.o.Report != nil {
				s.o.Report(err)
			}
		}
	}
}

// Maintain trims by age what is due now and drops receipts that have expired. It returns when the committer has done
// all that was under way, trims by size among it.
func (s *Store) Maintain(ctx context.Context) error {
	if err := s.maintainDue(ctx); err != nil {
		return err
	}
	s.turn()
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.idle.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.busy && ctx.Err() == nil {
		s.idle.Wait()
	}
	return s.ready(ctx)
}

func (s *Store) maintainDue(ctx context.Context) error {
	now := s.o.Now()
	for {
		s.mu.Lock()
		if err := s.ready(ctx); err != nil {
			s.mu.Unlock()
			return err
		}
		if len(s.due) == 0 || s.due[0].at > now {
			s.mu.Unlock()
			return nil
		}
		l := heap.Pop(&s.due).(dueItem).log
		l.queued = false
		l.receipts.expire(now)
		s.mu.Unlock()
		if err := s.maintainLog(ctx, l, now); err != nil {
			return err
		}
	}
}

func (s *Store) maintainLog(ctx context.Context, l *log, now int64) error {
	rules := s.o.Rules(l.ref)
	s.mu.RLock()
	through := l.overdue(rules.Retention, now)
	trim := through > l.meta.Floor && s.logs[l.ref] == l
	s.mu.RUnlock()
	var err error
	if trim {
		_, err = s.Cut(ctx, stream.Cut{Ref: l.ref, Kind: stream.Trim, Through: through})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logs[l.ref] == l {
		s.scheduleAt(l, l.dueAt(rules.Retention, now))
	}
	return err
}

func (l *log) dueAt(r stream.Retention, now int64) int64 {
	at := now + recheck
	if age := r.Age.Milliseconds(); age > 0 && len(l.entries) > 0 {
		at = min(at, max(now+1, l.entries[0].Time+age+age/16+1))
	}
	return at
}

// schedule sees to it that a log which holds something is looked at. The caller holds mu.
func (s *Store) schedule(l *log, r stream.Retention, now int64) { s.scheduleAt(l, l.dueAt(r, now)) }

func (s *Store) scheduleAt(l *log, at int64) {
	if l.queued || len(l.entries) == 0 && len(l.receipts.kept) == 0 {
		return
	}
	l.queued = true
	s.seqDue++
	heap.Push(&s.due, dueItem{log: l, at: at, seq: s.seqDue})
}

// Forget drops the rows of streams that hold nothing and were idle for so long. The forget number is raised first, so a
// channel that comes back has another stream id. It returns how many streams were forgotten.
func (s *Store) Forget(ctx context.Context, idle time.Duration) (int, error) {
	if idle < 0 {
		return 0, fault.New(fault.Invalid, "the idle time is negative")
	}
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	var quiet []*log
	for _, l := range s.logs {
		if l.over.units > 0 || len(l.entries) > 0 || len(l.subjects) > 0 || now-l.meta.HeadTime < idle.Milliseconds() {
			continue
		}
		if l.receipts.expire(now); len(l.receipts.kept) == 0 {
			quiet = append(quiet, l)
		}
	}
	if len(quiet) == 0 {
		return 0, nil
	}
	s.forget++
	s.forgotAt = max(now, s.forgotAt)
	for _, l := range quiet {
		s.forgotAt = max(s.forgotAt, l.meta.HeadTime+1)
		delete(s.logs, l.ref)
	}
	return len(quiet), nil
}

type dueItem struct {
	log *log
	at  int64
	seq uint64 // ties are broken in order, so that a run repeats
}

type dueQueue []dueItem

func (q dueQueue) Len() int { return len(q) }
func (q dueQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q dueQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *dueQueue) Push(x any) { *q = append(*q, x.(dueItem)) }

// Pop implements heap.Interface.
func (q *dueQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	old[len(old)-1] = dueItem{}
	*q = old[:len(old)-1]
	return x
}
