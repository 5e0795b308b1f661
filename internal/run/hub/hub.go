// Package hub delivers streams to the followers of this node.
//
// A topic is an active stream: its newest bounds, its hot window and its followers. A follower is a cursor that is held,
// behind or live. Live followers are served by the topic's fan-out turn, one at a time and never on the committer;
// followers that are behind read pages from the window or the store at the pace of their socket. Both move the same
// cursor under the session's lock and take an entry only if its serial is the cursor's successor, so nothing is skipped
// or sent twice, whichever of the two comes first.
package hub

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Options of a Hub.
type Options struct {
	Store stream.Store
	// Now gives unix ms.
	Now func() int64
	// Frame makes the complete WebSocket frame of a payload, or whatever the sessions' transport writes.
	Frame  func(binary bool, payload []byte) []byte
	Window WindowLimits
	// Linger is how long a topic without followers stays warm; 0 = 60 s.
	Linger time.Duration
	// Budget bounds what the windows of all topics hold together, in bytes, frames included; 0 = 256 MiB.
	Budget int64
	Events Events
}

// WindowLimits bound the hot window of one topic. Zero fields get defaults: 1,024 entries, 1 MiB, 2 minutes.
type WindowLimits struct {
	Entries int
	Bytes   int
	Age     time.Duration
}

// Events are called as things happen; nil funcs are skipped. They must be quick.
type Events struct {
	Turn   func(TurnInfo)
	Behind func(n int64) // change of the number of followers that are behind
	// Refused says that a start was refused, or that a follower lost its continuity; to is the follower's encoder.
	Refused func(r stream.Reason, to session.Encoder)
	Dropped func(n int) // ephemeral frames that found no room
}

// TurnInfo describes one fan-out turn.
type TurnInfo struct {
	Entries   int
	Followers int
	Encoded   int // frames made
}

// Hub holds the topics of this node. All methods may be called concurrently.
type Hub struct {
	opts   Options
	shards [64]shard
	seed   maphash.Seed
	behind atomic.Int64
	budget budget
	stop   func()

	idleMu sync.Mutex
	idle   []*topic // topics that lost their last follower, oldest first
}

type shard struct {
	mu     sync.RWMutex
	topics map[stream.Ref]*topic
}

// New makes a hub that watches the store. Close ends the watch.
func New(o Options) *Hub {
	if o.Window.Entries == 0 {
		o.Window.Entries = 1024
	}
	if o.Window.Bytes == 0 {
		o.Window.Bytes = 1 << 20
	}
	if o.Window.Age == 0 {
		o.Window.Age = 2 * time.Minute
	}
	if o.Linger == 0 {
		o.Linger = time.Minute
	}
	if o.Budget == 0 {
		o.Budget = 256 << 20
	}
	h := &Hub{opts: o, seed: maphash.MakeSeed()}
	h.budget.limit = o.Budget
	for i := range h.shards {
		h.shards[i].topics = map[stream.Ref]*topic{}
	}
	h.stop = o.Store.Watch(h.advance)
	return h
}

// Close ends the watch. Followers get nothing more.
func (h *Hub) Close() { h.stop() }

// Run lets go of topics that have had no follower for the linger time, until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	tick := time.NewTicker(h.opts.Linger / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			h.Sweep(h.opts.Now())
		}
	}
}

// Sweep lets go of the topics that were idle for the linger time at now (unix ms), and of the windows that nothing was
// added to for their age.
func (h *Hub) Sweep(now int64) {
	h.budget.cool(now - h.opts.Window.Age.Milliseconds())
	for {
		t := h.oldestIdle()
		if t == nil || now-t.idleAt() < h.opts.Linger.Milliseconds() {
			return
		}
		h.idleMu.Lock()
		mine := len(h.idle) > 0 && h.idle[0] == t
		if mine {
			h.idle[0] = nil
			h.idle = h.idle[1:]
		}
		h.idleMu.Unlock()
		if mine {
			h.release(t, now)
		}
	}
}

// oldestIdle peeks at the idle list. A topic's lock is never taken with that of the list held.
func (h *Hub) oldestIdle() *topic {
	h.idleMu.Lock()
	defer h.idleMu.Unlock()
	if len(h.idle) == 0 {
		return nil
	}
	return h.idle[0]
}

// Held is how many bytes the windows of all topics hold, frames included.
func (h *Hub) Held() int64 {
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	return h.budget.total
}

// Behind is the number of followers that are behind now.
func (h *Hub) Behind() int64 { return h.behind.Load() }

func (h *Hub) shard(ref stream.Ref) *shard {
	return &h.shards[maphash.Comparable(h.seed, ref)%uint64(len(h.shards))]
}

// topic returns the active stream of ref, made if need be.
func (h *Hub) topic(ref stream.Ref) *topic {
	s := h.shard(ref)
	s.mu.RLock()
	t := s.topics[ref]
	s.mu.RUnlock()
	if t != nil {
		return t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t = s.topics[ref]; t == nil {
		t = newTopic(h, ref)
		s.topics[ref] = t
	}
	return t
}

// lookup returns the active stream of ref, nil if there is none.
func (h *Hub) lookup(ref stream.Ref) *topic {
	s := h.shard(ref)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.topics[ref]
}

// release forgets a topic that is still idle.
func (h *Hub) release(t *topic, now int64) {
	s := h.shard(t.ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queued = false
	if len(t.followers) > 0 || t.gone {
		return
	}
	if now-t.idleSince < h.opts.Linger.Milliseconds() {
		h.queueIdle(t)
		return
	}
	t.gone = true
	t.window.Clear()
	h.budget.settle(t)
	delete(s.topics, t.ref)
}

// queueIdle remembers a topic without followers; t.mu is held.
func (h *Hub) queueIdle(t *topic) {
	if t.queued {
		return
	}
	t.queued = true
	h.idleMu.Lock()
	h.idle = append(h.idle, t)
	h.idleMu.Unlock()
}

// advance is the store's watch: it must be quick and must not call the store.
func (h *Hub) advance(a stream.Advance) {
	if t := h.lookup(a.Ref); t != nil {
		t.advance(a)
	}
}

// Ephemeral delivers an entry that is not logged to the live followers of ref. Those that have no room miss it.
func (h *Hub) Ephemeral(ref stream.Ref, e stream.Entry) {
	if t := h.lookup(ref); t != nil {
		e.Serial = 0
		if e.Time == 0 {
			e.Time = h.opts.Now()
		}
		t.ephemeral(&e)
	}
}

// Subscribers is how many followers ref has on this node.
func (h *Hub) Subscribers(ref stream.Ref) int {
	t := h.lookup(ref)
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.followers)
}

// Occupied calls f for every message stream of an app that has followers on this node, until f returns false.
func (h *Hub) Occupied(app string, f func(channel string, subscribers int) bool) {
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.RLock()
		var found []*topic
		for ref, t := range s.topics {
			if ref.App == app && ref.Log == stream.Messages {
				found = append(found, t)
			}
		}
		s.mu.RUnlock()
		for _, t := range found {
			t.mu.Lock()
			n := len(t.followers)
			t.mu.Unlock()
			if n > 0 && !f(t.ref.Channel, n) {
				return
			}
		}
	}
}

// Owner is told that a follower of its has news for the session's machine: it asks for Follower.News when it is about
// to step the machine, since by then the news may be another. The methods are called without any lock held, must not
// block, and may be called concurrently.
type Owner interface {
	// ReplayEnded is called by Pump.
	ReplayEnded(f *Follower)
	// Lost is called by Pump, and by fan-out turns.
	Lost(f *Follower)
}
