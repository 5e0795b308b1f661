package hub

import "sync"

// frameShare is how many times the bytes of its entries a window may hold with the frames that were made of them.
const frameShare = 4

// budget bounds what the windows of all topics hold together, frames included. When it is overrun the windows that were
// added to longest ago give way. Lock order: a topic's mu before mu.
type budget struct {
	limit int64

	mu     sync.Mutex
	total  int64
	oldest *topic // by what was last pushed
	newest *topic
}

// share is a topic's place in the budget.
type share struct {
	cost       int64  // what its window holds; under the topic's mu
	pushed     int64  // when an entry was last pushed, unix ms; under the topic's mu
	prev, next *topic // under the budget's lock, as is …
	counted    int64  // … what of cost is in total; 0: it is not in the list
}

// charge counts the frame that was made of an item, if the item is in the window.
func (t *topic) charge(item *hot, size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.window.At(item.Serial) != item {
		return
	}
	item.With.size += size
	t.share.cost += int64(size)
	for t.share.cost > frameShare*int64(t.hub.opts.Window.Bytes) && t.window.Len() > 1 {
		t.window.Drop()
	}
	t.hub.budget.settle(t)
}

// dropped takes note of an entry that left the window; mu is held.
func (t *topic) dropped(item *hot) { t.share.cost -= int64(item.Size() + item.With.size) }

// settle counts what t's window holds now, and makes room if that is too much for all. t.mu is held.
func (b *budget) settle(t *topic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(t)
	for tries := 8; b.total > b.limit && b.oldest != t && b.oldest != nil && tries > 0; tries-- {
		b.evict(b.oldest)
	}
	for b.total > b.limit && t.window.Len() > 0 {
		t.window.Drop()
		b.count(t)
	}
}

// evict empties the window of a topic; one that is in use right now is tried again later.
func (b *budget) evict(t *topic) {
	if !t.mu.TryLock() {
		b.unlink(t)
		b.link(t)
		return
	}
	defer t.mu.Unlock()
	t.window.Clear()
	b.count(t)
}

// count brings total up to date with a topic whose mu is held; a window that grew becomes the newest.
func (b *budget) count(t *topic) {
	s := &t.share
	b.total += s.cost - s.counted
	grew := s.cost > s.counted
	if s.counted != 0 && (grew || s.cost == 0) {
		b.unlink(t)
	}
	if grew {
		b.link(t)
	}
	s.counted = s.cost
}

func (b *budget) link(t *topic) {
	t.share.prev, t.share.next = b.newest, nil
	if b.newest != nil {
		b.newest.share.next = t
	} else {
		b.oldest = t
	}
	b.newest = t
}

func (b *budget) unlink(t *topic) {
	s := &t.share
	if s.prev != nil {
		s.prev.share.next = s.next
	} else {
		b.oldest = s.next
	}
	if s.next != nil {
		s.next.share.prev = s.prev
	} else {
		b.newest = s.prev
	}
	s.prev, s.next = nil, nil
}

// cool empties the windows that nothing was pushed to since a time.
func (b *budget) cool(since int64) {
	for {
		b.mu.Lock()
		t := b.oldest
		b.mu.Unlock()
		if t == nil || !t.cool(since) {
			return
		}
	}
}

// cool empties the window if nothing was pushed to it since a time.
func (t *topic) cool(since int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.share.pushed >= since {
		return false
	}
	t.window.Clear()
	t.share.cost = 0
	t.hub.budget.settle(t)
	return true
}
