package disk

import (
	"context"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// taskWorkers do what is done beside the committers: trims, state rows, sweeps.
const taskWorkers = 2

// maxTasks bounds the state rows that wait.
const maxTasks = 10_000

// tasks is the queue of background work. Each task is in it once.
type tasks struct {
	mu     sync.Mutex
	wake   sync.Cond
	queue  []task
	in     map[task]bool
	busy   map[task]int // by how many workers: what is due again while it is done is done once more, beside the first
	closed bool
	ctx    context.Context
	cancel context.CancelFunc
}

// task is a trim of a stream that outgrew its policy, or, with a subject, a state row that is due. The stream is
// pinned.
type task struct {
	s       *strm
	subject stream.Subject
}

func (t *tasks) start(l *life) {
	t.wake.L = &t.mu
	t.in, t.busy = make(map[task]bool), make(map[task]int)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	for range taskWorkers {
		l.workers.Go(func() { t.run(l) })
	}
	if l.opt.SweepEvery > 0 {
		l.workers.Go(func() { t.sweep(l) })
	}
}

func (t *tasks) sweep(l *life) {
	tick := time.NewTicker(l.opt.SweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
			l.opt.Events.err("sweep", l.maintain(t.ctx))
		}
	}
}

func (t *tasks) close() {
	t.mu.Lock()
	t.closed = true
	t.wake.Broadcast()
	t.mu.Unlock()
	t.cancel()
}

// add queues a task unless it is there.
func (t *tasks) add(l *life, one task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.in[one] || one.subject != "" && len(t.queue) > maxTasks {
		return // a state that is not kept now is due again with the next entry
	}
	t.in[one] = true
	one.s.shard.cache.repin(one.s)
	t.queue = append(t.queue, one)
	t.wake.Signal()
}

func (t *tasks) run(l *life) {
	for {
		one, ok := t.take()
		if !ok {
			return
		}
		one.do(l)
		l.unpin(one.s)
		t.done(one)
	}
}

// take waits for a task; ok is false when there will be none.
func (t *tasks) take() (one task, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.queue) == 0 && !t.closed {
		t.wake.Wait()
	}
	if t.closed {
		return one, false
	}
	one = t.queue[0]
	t.queue = t.queue[1:]
	delete(t.in, one)
	t.busy[one]++
	return one, true
}

// done ends what take began.
func (t *tasks) done(one task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy[one]--; t.busy[one] == 0 {
		delete(t.busy, one)
	}
	t.wake.Broadcast()
}

// left is what was not done when the life ended.
func (t *tasks) left() (streams []*strm) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for one := range t.busy {
		streams = append(streams, one.s)
	}
	for _, one := range t.queue {
		streams = append(streams, one.s)
	}
	return streams
}

// settle waits until nothing is queued.
func (t *tasks) settle(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		t.mu.Lock()
		t.wake.Broadcast()
		t.mu.Unlock()
	})
	defer stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for (len(t.queue) > 0 || len(t.busy) > 0) && !t.closed && ctx.Err() == nil {
		t.wake.Wait()
	}
}

func (one task) do(l *life) {
	if one.subject != "" {
		l.opt.Events.err("keep a state", l.keepState(one.s, one.subject))
		return
	}
	l.opt.Events.err("trim", l.retain(one.s))
}

// after queues what the delivered touch of a stream makes due.
func (l *life) after(c *touch) {
	if len(c.steps) == 0 {
		return
	}
	for _, s := range c.states {
		l.tasks.add(l, task{c.s, s})
	}
	b := c.steps[len(c.steps)-1].row.bounds()
	r := c.rules.Retention
	if r.Floor(b, 0) > b.Floor || r.BytesOver(b) > 0 {
		l.tasks.add(l, task{s: c.s})
	}
}
