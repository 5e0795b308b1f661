package hub

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// A page of a follower that is behind.
const (
	pageEntries = 512
	pageBytes   = 64 << 10
)

// Pump queues what a behind follower is due, one page at most. It returns true when the follower has more to do as soon
// as there is room. Only one goroutine may pump the followers of a session.
func (f *Follower) Pump(ctx context.Context) (more bool) {
	f.out.Lock()
	if f.state != behind || f.out.Ending() {
		f.out.Unlock()
		return false
	}
	f.parked = false
	if f.rewind != nil && !f.sendRows() {
		f.out.Unlock()
		return true
	}
	from, to, id := f.cursor, f.attach, f.stream
	if r := f.rewind; r != nil {
		f.out.Unlock()
		return f.readRows(ctx, r, id, from)
	}
	replaying := f.replaying
	if !replaying && f.tryLive() {
		f.out.Unlock()
		return false
	}
	f.out.Unlock()
	if replaying && from == to {
		return f.endReplay()
	}
	items, b, err := f.topic.page(ctx, id, from, to, replaying)
	gap := stream.SlowConsumer
	if replaying {
		gap = stream.PositionExpired
	}
	switch {
	case err != nil:
		return f.lost(id, from, stream.StoreUnavailable, stream.Bounds{})
	case b.Stream != id:
		return f.lost(id, from, stream.StreamReset, b)
	case len(items) == 0 && (from < b.Head || replaying), len(items) > 0 && items[0].Serial != from+1:
		return f.lost(id, from, gap, b)
	case len(items) == 0:
		return f.park()
	}
	full, at, err := f.putPage(id, items)
	switch {
	case err != nil && fault.KindOf(err) == fault.NotProvable:
		return f.overtaken(ctx, id, at, gap)
	case err != nil:
		return f.lost(id, at, stream.StoreUnavailable, stream.Bounds{})
	case !full && replaying && at == to:
		return f.endReplay()
	}
	return true
}

// overtaken looks for the reason why the state of a message could not be had: its serial was trimmed since the page was
// read, or the stream was reset.
func (f *Follower) overtaken(ctx context.Context, id stream.ID, at uint64, gap stream.Reason) (more bool) {
	page, err := f.topic.hub.opts.Store.Read(ctx, stream.Query{Ref: f.topic.ref})
	switch {
	case err != nil:
		return f.lost(id, at, stream.StoreUnavailable, stream.Bounds{})
	case page.Bounds.Stream != id:
		return f.lost(id, at, stream.StreamReset, page.Bounds)
	}
	return f.lost(id, at, gap, page.Bounds)
}

// page reads the entries after a cursor, from the window if it has them: up to serial `to` if bounded.
func (t *topic) page(ctx context.Context, id stream.ID, cursor, to uint64, bounded bool) ([]*hot, stream.Bounds, error) {
	t.mu.Lock()
	b := t.bounds
	if b.Stream == id && t.window.Oldest() != 0 && cursor+1 >= t.window.Oldest() && cursor < t.window.Newest() {
		upto := t.window.Newest()
		if bounded {
			upto = min(to, upto)
		}
		items := t.window.After(make([]*hot, 0, min(pageEntries, int(upto-cursor))), cursor, upto, pageEntries)
		t.mu.Unlock()
		return items, b, nil
	}
	t.mu.Unlock()
	q := stream.Query{Ref: t.ref, From: cursor + 1, Limit: pageEntries, Bytes: pageBytes}
	if bounded {
		q.To = to
	}
	page, err := t.hub.opts.Store.Read(ctx, q)
	if err != nil {
		return nil, stream.Bounds{}, err
	}
	return t.warm(page), page.Bounds, nil
}

// putPage queues a page's entries in order. It returns whether it had to stop, and the cursor that it came to. An error
// means that a message's state could not be read.
func (f *Follower) putPage(id stream.ID, items []*hot) (stopped bool, at uint64, err error) {
	t := f.topic
	if err = t.prepare(f.enc, id, items, nil); err != nil {
		return false, items[0].Serial - 1, err
	}
	chosen, conflated := f.conflated(id, items)
	for i, item := range items {
		var frame []byte
		if conflated {
			frame = chosen[i]
		} else if !f.enc.Whole() || i+1 == len(items) || !superseded(item.Entry, items[i+1].Entry) {
			frame, _ = t.frame(f.enc, id, item)
		}
		if !f.put(id, item, frame) {
			return true, item.Serial - 1, nil
		}
	}
	return false, items[len(items)-1].Serial, nil
}

// put queues the frame of one item of a page (nil: not meant for this follower) and moves the cursor over it. It
// returns false when there is no room, or when the follower was unfollowed, lost or moved meanwhile.
func (f *Follower) put(id stream.ID, item *hot, frame []byte) bool {
	f.out.Lock()
	defer f.out.Unlock()
	if f.state != behind || f.stream != id || f.cursor+1 != item.Serial {
		return false
	}
	if frame == nil || f.hidden(item.Entry) {
		f.passed()
		return true
	}
	if !f.out.Put(frame) {
		return false
	}
	f.queued()
	if f.replaying {
		f.replayed++
		f.last = item.FrameID(id)
	}
	return true
}

// superseded reports whether a whole-payload follower may skip e because next, its successor, shows all of it.
func superseded(e, next *stream.Entry) bool {
	return e.Kind == stream.Append && next.Kind == stream.Append && e.Message == next.Message
}

// endReplay holds the follower at its attach serial and says so. It has nothing more to pump until it is released.
func (f *Follower) endReplay() (more bool) {
	f.out.Lock()
	if f.state != behind || !f.replaying || f.cursor != f.attach || f.rewind != nil {
		more = f.state == behind
		f.out.Unlock()
		return more
	}
	f.toHeld()
	f.replaying, f.sent = false, true
	f.news = f.ended()
	f.out.Unlock()
	f.owner.ReplayEnded(f)
	return false
}

// lost ends what a pump began at a position: the face is told that continuity is gone. Without a log that can be read
// the follower is gone too: its client keeps the cursor and comes back.
func (f *Follower) lost(id stream.ID, at uint64, r stream.Reason, b stream.Bounds) (more bool) {
	f.out.Lock()
	if f.state != behind || f.stream != id || f.cursor != at {
		more = f.state == behind // it was moved meanwhile
		f.out.Unlock()
		return more
	}
	f.lose(r, b)
	if r == stream.StoreUnavailable {
		f.state = gone
	}
	f.out.Unlock()
	if r == stream.StoreUnavailable {
		f.topic.leave(f)
	}
	f.owner.Lost(f)
	return false
}
