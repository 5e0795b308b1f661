package hub

import (
	"context"
	"sync"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// maxPending bounds the entries that wait for a fan-out turn. Beyond it the turn is skipped and live followers read on
// from the window or the store.
const maxPending = 4096

// topic is one active stream. Lock order: a session's lock before mu. enc is taken alone.
type topic struct {
	hub *Hub
	ref stream.Ref

	mu        sync.Mutex
	known     bool // bounds are known
	bounds    stream.Bounds
	window    *stream.Hot[frames]
	followers []*Follower
	pending   []*stream.Entry // visible and not yet fanned out, contiguous up to the head
	fleeting  []*stream.Entry // ephemeral entries for the next turn
	share     share           // of the hub's budget
	changed   bool            // the incarnation changed: followers of the old one must be told
	turning   bool
	fanned    uint64 // the head that the newest turn has brought to the followers
	idleSince int64
	queued    bool // it is in the hub's idle list
	gone      bool

	enc sync.Mutex // one encoder at a time, so that no entry is encoded twice

	rollTimer bool // a turn was asked for, when what waits has waited long enough …
	rollsDue  bool // … and that is now

	// Of the one turn that runs.
	turn   turn
	states states                   // newest states of messages that were encoded
	rolls  map[session.Encoder]roll // appends that wait for more
}

func newTopic(h *Hub, ref stream.Ref) *topic {
	w := h.opts.Window
	t := &topic{hub: h, ref: ref, idleSince: h.opts.Now(),
		window: stream.NewHot[frames](stream.HotLimits{Entries: w.Entries, Bytes: w.Bytes, Age: w.Age})}
	t.window.Dropped = t.dropped
	return t
}

// newest gives the bounds as the topic knows them; without a stream id it knows none yet. The session's lock may be
// held.
func (t *topic) newest() stream.Bounds {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bounds
}

func (t *topic) idleAt() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.idleSince
}

// advance takes note of what became visible and sees that it is fanned out.
func (t *topic) advance(a stream.Advance) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return
	}
	if t.known && a.Cut == 0 && a.Bounds.Stream == t.bounds.Stream && a.Bounds.Head < t.bounds.Head {
		return // an attach has read a newer head already, and these entries are not contiguous with it
	}
	if t.known && a.Bounds.Stream != t.bounds.Stream {
		t.changed = true
		t.pending = nil
		t.window.Clear()
	}
	if a.Cut == stream.Purge || a.Cut == stream.Reset {
		t.window.Clear()
		t.pending = nil
	}
	t.known, t.bounds = true, a.Bounds
	t.push(a.Entries)
	switch {
	case len(t.followers) == 0:
		t.pending = nil
	case a.Cut != 0: // a floor that moved takes nothing from what is on its way
	case len(a.Entries) == 0 || len(t.pending)+len(a.Entries) > maxPending:
		t.pending = nil // the turn finds followers below the head and turns them behind
	default:
		t.pending = append(t.pending, a.Entries...)
	}
	t.wake()
}

// push adds entries to the window; mu is held.
func (t *topic) push(entries []*stream.Entry) {
	now := t.hub.opts.Now()
	for _, e := range entries {
		if t.window.At(e.Serial) != nil {
			continue
		}
		t.share.cost += int64(e.Size())
		t.share.pushed = now
		t.window.Push(e, now)
	}
	t.hub.budget.settle(t)
}

// warm puts a page that was read into the window if it belongs right before what is there, so that whoever comes back
// next (after a restart: everybody) need not read and encode it again. It gives the page's items.
func (t *topic) warm(page stream.Page) []*hot {
	items := make([]*hot, len(page.Entries))
	t.mu.Lock()
	defer t.mu.Unlock()
	b := page.Bounds
	same := t.known && !t.gone && b.Stream == t.bounds.Stream && b.Floor == t.bounds.Floor // nothing was cut since it was read
	if n := len(page.Entries); same && n > 0 && (t.window.Len() > 0 || page.Entries[n-1].Serial == t.bounds.Head) {
		now := t.hub.opts.Now()
		if t.window.Len() == 0 {
			t.share.pushed = now
		}
		added := t.window.Prepend(page.Entries, now)
		for serial := t.window.Oldest(); added > 0; added-- {
			t.share.cost += int64(t.window.At(serial).Size())
			serial++
		}
		t.hub.budget.settle(t)
	}
	for i, e := range page.Entries {
		if same {
			items[i] = t.window.At(e.Serial)
		}
		if items[i] == nil {
			items[i] = &hot{Entry: e}
		}
	}
	return items
}

func (t *topic) ephemeral(e *stream.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.followers) == 0 {
		return
	}
	if len(t.fleeting) >= maxPending {
		t.hub.dropped(len(t.followers))
		return
	}
	t.fleeting = append(t.fleeting, e)
	t.wake()
}

// wake starts a turn unless one is running; t.mu is held.
func (t *topic) wake() {
	if !t.turning && len(t.followers) > 0 {
		t.turning = true
		go t.run()
	}
}

// learn adopts bounds that were read from the store when the watch has told none yet; t.mu is held.
func (t *topic) learn(b stream.Bounds) {
	if !t.known {
		t.known, t.bounds, t.fanned = true, b, b.Head
	}
}

// join puts a follower on the list, so that every entry that becomes visible from now on reaches it or turns it behind.
func (t *topic) join(f *Follower) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return false
	}
	f.index = len(t.followers)
	t.followers = append(t.followers, f)
	return true
}

func (t *topic) leave(f *Follower) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.index < 0 {
		return
	}
	last := len(t.followers) - 1
	moved := t.followers[last]
	t.followers[f.index] = moved
	moved.index = f.index
	t.followers[last] = nil
	t.followers = t.followers[:last]
	f.index = -1
	if last == 0 {
		t.followers = nil
		t.idleSince = t.hub.opts.Now()
		t.hub.queueIdle(t)
	}
}

// start reads the bounds and the witness of a cursor at one instant: from memory if the window covers it.
func (t *topic) start(ctx context.Context, s session.Start) (stream.Bounds, stream.Witness, error) {
	t.mu.Lock()
	if t.known {
		if w, ok := t.witness(s); ok {
			b := t.bounds
			t.mu.Unlock()
			return b, w, nil
		}
	}
	t.mu.Unlock()
	page, err := t.hub.opts.Store.Read(ctx, stream.Query{Ref: t.ref, Witness: s.Cursor.Serial, HasWitness: s.Resume})
	if err != nil {
		return stream.Bounds{}, stream.Witness{}, err
	}
	t.mu.Lock()
	t.learn(page.Bounds)
	t.mu.Unlock()
	return page.Bounds, page.Witness, nil
}

// witness answers from the window what a read would say about the cursor; t.mu is held.
func (t *topic) witness(s session.Start) (w stream.Witness, ok bool) {
	c, b := s.Cursor.Serial, t.bounds
	switch {
	case s.Resume && (c > b.Head || s.Cursor.Stream != "" && s.Cursor.Stream != b.Stream):
		return w, false // the client may know more than the watch has told
	case !s.Resume || c < b.Floor:
		return w, true // judged by the bounds alone
	case c == b.Head:
		return stream.Witness{At: b.HeadID()}, true
	case t.window.Oldest() == 0 || c < t.window.Oldest() || t.window.Newest() != b.Head:
		return w, false
	}
	at, next := t.window.At(c), t.window.At(c+1)
	if at == nil || next == nil {
		return w, false
	}
	return stream.Witness{At: at.ID(), Next: next.ID(), Bytes: b.HeadCum - at.Cum}, true
}
