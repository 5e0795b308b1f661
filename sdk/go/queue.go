package continuo

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/continuo-rt/continuo/sdk/go/session"
)

// item is what a room has for the application: an event, a snapshot that was loaded, or one that it is to load.
type item struct {
	event    *Event
	need     *SnapshotNeeded
	snapshot int // the number of the snapshot that this is; 0: it is none
}

// queue holds what was delivered and not taken. The session bounds it.
type queue struct {
	mu     sync.Mutex
	items  []item
	head   int
	epoch  int // counts how often the room was left
	ended  bool
	taken  bool   // someone iterates
	failed *Error // the room was refused

	waiting bool          // someone waits for
	wake    chan struct{} // which is closed when something changes
}

// signal wakes whoever waits. The queue is locked.
func (q *queue) signal() {
	if q.waiting {
		close(q.wake)
		q.waiting = false
	}
}

// wait unlocks the queue, waits until something changes, and locks it again.
func (q *queue) wait(ctx context.Context) {
	if !q.waiting {
		q.waiting, q.wake = true, make(chan struct{})
	}
	wake := q.wake
	q.mu.Unlock()
	select {
	case <-wake:
	case <-ctx.Done():
	}
	q.mu.Lock()
}

func (q *queue) push(i item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head > 64 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, i)
	q.signal()
}

// drop forgets what waits: the room was left.
func (q *queue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items, q.head, q.failed = nil, 0, nil
	q.epoch++
	q.signal()
}

// refuse ends iterators with an error, when they have taken what is there; nil takes that back.
func (q *queue) refuse(err *Error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = err
	q.signal()
}

func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.signal()
}

// claim makes the caller the one who iterates.
func (q *queue) claim() (epoch int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.taken {
		return 0, &Error{Code: "busy", Message: "the room's events are taken by another handler or iterator"}
	}
	q.taken = true
	return q.epoch, nil
}

func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken = false
	q.signal()
}

// next waits for an item. Without one and without an error the events have ended.
func (q *queue) next(ctx context.Context, epoch int) (i item, ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.ended || q.epoch != epoch:
			return item{}, false, nil
		case ctx.Err() != nil:
			return item{}, false, ctx.Err()
		case q.head < len(q.items):
			i := q.items[q.head]
			q.items[q.head] = item{}
			q.head++
			return i, true, nil
		case q.failed != nil:
			return item{}, false, q.failed
		}
		q.wait(ctx)
	}
}

// until waits until something holds, or the queue has ended; false: it has, or ctx is done.
func (q *queue) until(ctx context.Context, holds func() bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.ended && ctx.Err() == nil {
		if holds() {
			return true
		}
		q.wait(ctx)
	}
	return false
}

// Events yields what the room hands over, in order and each event once, from where the last iteration ended. An event
// counts as handled, and the room's position moves, when the next one is asked for, or the loop ends. So a slow loop
// holds the room up, and no memory grows.
//
// The iteration ends when the room is left or the client closed; with an error when the room is refused (an *Error), ctx is
// done, or something else takes the room's events already. It may begin before the room is joined.
func (r *Room) Events(ctx context.Context) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		epoch, err := r.queue.claim()
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.queue.release()
		for {
			i, ok, err := r.queue.next(ctx, epoch)
			if err != nil {
				yield(nil, err)
				return
			}
			if !ok || !r.take(ctx, epoch, &i, yield) {
				return
			}
		}
	}
}

// take hands one item over.
func (r *Room) take(ctx context.Context, epoch int, i *item, yield func(*Event, error) bool) bool {
	switch {
	case i.snapshot != 0 && !r.current(i.snapshot):
		return true // continuity was lost again meanwhile, and another snapshot will come
	case i.need != nil:
		r.ownSnapshot(ctx, *i.need)
		return true
	}
	more := yield(i.event, nil)
	in := session.Input{Do: session.Handled, Room: r.name}
	if i.snapshot != 0 {
		in = session.Input{Do: session.SnapshotLoaded, Room: r.name, StreamID: i.event.StreamID, EventID: i.event.EventID}
	}
	r.handled(epoch, in)
	return more
}

// handled says so, unless the room was left since: then what is handled belongs to the past.
func (r *Room) handled(epoch int, in session.Input) {
	c := r.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.queue.is(epoch) {
		c.locked(in)
	}
}

func (q *queue) is(epoch int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.epoch == epoch
}

// OnEvent hands the room's events to a handler, one at a time and in order, in a goroutine of its own until the client is
// closed, also when the room is left and joined again. An error of the handler, or a panic, is reported to
// Options.OnError; the event counts as handled.
func (r *Room) OnEvent(handle func(ctx context.Context, e *Event) error) {
	c := r.client
	mayBegin := func() bool { return !r.queue.taken && r.queue.failed == nil }
	c.tasks.Go(func() {
		for r.queue.until(c.ctx, mayBegin) {
			for e, err := range r.Events(c.ctx) {
				if err == nil {
					err = guard(c.ctx, handle, e)
				}
				if err != nil && c.ctx.Err() == nil {
					c.report(err)
				}
			}
		}
	})
}

func guard(ctx context.Context, handle func(context.Context, *Event) error, e *Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("continuo: the handler of events has panicked: %v", p)
		}
	}()
	return handle(ctx, e)
}
