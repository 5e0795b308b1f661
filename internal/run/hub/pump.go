package hub

import (
	"context"

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
	if f.rewind != nil && !f.sendRows() {
		f.out.Unlock()
		return true
	}
	from, to, id := f.cursor, f.attach, f.stream
	replaying := f.replaying
	if !replaying && f.tryLive() {
		f.out.Unlock()
		return false
	}
	f.out.Unlock()
	if replaying && from == to {
		return f.endReplay()
	}
	items, b, err := f.topic.page(ctx, from, to, replaying)
	if err != nil {
		return f.unreadable()
	}
	if b.Stream != id {
		return f.lost(stream.StreamReset, b)
	}
	if len(items) == 0 && from < b.Head || len(items) > 0 && items[0].Serial != from+1 {
		if replaying {
			return f.lost(stream.PositionExpired, b)
		}
		return f.lost(stream.SlowConsumer, b)
	}
	full, err := f.putPage(id, items)
	if err != nil {
		return f.unreadable()
	}
	if !full && replaying && f.at(to) {
		return f.endReplay()
	}
	return true
}

func (f *Follower) at(serial uint64) bool {
	f.out.Lock()
	defer f.out.Unlock()
	return f.state == behind && f.cursor == serial
}

// page reads the entries after a cursor, from the window if it has them: up to serial `to` if bounded.
func (t *topic) page(ctx context.Context, cursor, to uint64, bounded bool) ([]*hot, stream.Bounds, error) {
	t.mu.Lock()
	b := t.bounds
	if t.known && t.window.Oldest() != 0 && cursor+1 >= t.window.Oldest() && cursor < t.window.Newest() {
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
	items := make([]*hot, len(page.Entries))
	for i, e := range page.Entries {
		items[i] = &hot{Entry: e}
	}
	return items, page.Bounds, nil
}

// putPage queues a page's entries in order and returns whether the outbox became full.
func (f *Follower) putPage(id stream.ID, items []*hot) (full bool, err error) {
	t := f.topic
	var local states
	t.enc.Lock()
	if needsState(f.enc, items) {
		err = local.advance(t, id, items)
	}
	t.enc.Unlock()
	if err != nil {
		return false, err
	}
	for i, item := range items {
		var frame []byte
		if !f.enc.Whole() || i+1 == len(items) || !superseded(item.Entry, items[i+1].Entry) {
			t.enc.Lock()
			frame, _ = t.frame(f.enc, id, item)
			t.enc.Unlock()
		}
		f.out.Lock()
		if f.state != behind || f.stream != id || f.cursor+1 != item.Serial {
			f.out.Unlock()
			return true, nil // unfollowed, lost or moved meanwhile: the next pump looks anew
		}
		sent := frame != nil && !f.hidden(item.Entry)
		if sent && !f.out.Put(frame) {
			f.out.Unlock()
			return true, nil
		}
		f.moved(items[i:i+1], sent)
		if sent && f.replaying {
			f.replayed++
			f.last = item.FrameID(id)
		}
		f.out.Unlock()
	}
	return false, nil
}

// superseded reports whether a whole-payload follower may skip e because next, its successor, shows all of it.
func superseded(e, next *stream.Entry) bool {
	return e.Kind == stream.Append && next.Kind == stream.Append && e.Message == next.Message
}

// endReplay holds the follower at its attach serial and says so. It has nothing more to pump until it is released.
func (f *Follower) endReplay() bool {
	f.out.Lock()
	if f.state != behind || !f.replaying || f.cursor != f.attach || f.rewind != nil {
		f.out.Unlock()
		return f.state == behind
	}
	f.toHeld()
	f.replaying, f.sent = false, true
	e := f.ended()
	f.out.Unlock()
	f.owner.ReplayEnded(f, e)
	return false
}

// lost tells the face that continuity is gone.
func (f *Follower) lost(r stream.Reason, b stream.Bounds) bool {
	f.out.Lock()
	if f.state != behind {
		f.out.Unlock()
		return false
	}
	l := f.lose(r, b)
	f.out.Unlock()
	f.owner.Lost(f, l)
	return false
}

// unreadable ends a follower whose log cannot be read: its client keeps the cursor and comes back.
func (f *Follower) unreadable() bool {
	f.out.Lock()
	if f.state != behind {
		f.out.Unlock()
		return false
	}
	l := f.lose(stream.StoreUnavailable, stream.Bounds{})
	f.state = gone
	f.out.Unlock()
	f.topic.leave(f)
	f.owner.Lost(f, l)
	return false
}
