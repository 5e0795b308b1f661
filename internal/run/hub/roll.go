package hub

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// roller is an encoder whose live followers take the appends to one message that come within a time as one. Replays are
// not rolled up: they are read at the pace of the socket anyway.
type roller interface {
	// Rollup is how long an append may wait for more; 0: not at all.
	Rollup() time.Duration
}

// rollup is the time of an encoder, whatever wraps it.
func rollup(enc session.Encoder) time.Duration {
	if f, ok := enc.(framer); ok {
		enc = f.Unwrap()
	}
	if r, ok := enc.(roller); ok {
		return r.Rollup()
	}
	return 0
}

// A roll that waits is bounded.
const (
	rollEntries = 256
	rollBytes   = 64 << 10
)

// roll is what waits for one encoder: appends that its followers have not been given, although they are live. A follower
// whose cursor is at its beginning or at its end knows nothing of that; any other turns behind.
type roll struct {
	stream stream.ID
	items  []*hot
	bytes  int
	moment step // of a gatherer, in place of items
}

// step is what followers of a roller are given at once: a frame for one entry, or for several appends to one message. It
// is taken whole or not at all.
type step struct {
	frame       []byte // nil: not meant for this encoder
	first, last uint64
	conn        string // whom the entry hides from; empty: nobody
	parts       bool   // it is also for those who know the beginning of it
}

// rolled makes the set of a turn for a roller: what waited up to the last entry that is no append, or all when it is time.
func (t *topic) rolled(enc session.Encoder, wait time.Duration) *set {
	if g, ok := gathers(enc); ok {
		return t.gathered(enc, g, wait)
	}
	u, s := &t.turn, &set{rolls: true}
	if t.prepare(enc, u.bounds.Stream, u.items, &t.states) != nil {
		return nil
	}
	r := t.rolls[enc]
	if n := len(r.items); n > 0 && (r.stream != u.bounds.Stream || len(u.items) > 0 && r.items[n-1].Serial+1 != u.items[0].Serial) {
		r = roll{} // stale: its followers turn behind, and read for themselves
	}
	r.stream = u.bounds.Stream
	ready := 0 // items that wait no longer: all up to the last one that is no append, however the turns were cut
	for _, item := range u.items {
		r.items = append(r.items, item)
		r.bytes += item.Size()
		if item.Kind != stream.Append || item.NoEcho {
			ready, r.bytes = len(r.items), 0
		}
	}
	if u.rollsDue || len(r.items)-ready >= rollEntries || r.bytes >= rollBytes {
		ready = len(r.items)
	}
	delete(t.rolls, enc)
	s.steps = t.steps(enc, r.items[:ready])
	if r.items = r.items[ready:]; len(r.items) > 0 {
		s.waits = r.items[0].Serial
		t.keep(enc, r, wait)
	}
	return s
}

// keep lets a roll wait, and sees that a turn comes when the time is over.
func (t *topic) keep(enc session.Encoder, r roll, wait time.Duration) {
	if t.rolls == nil {
		t.rolls = map[session.Encoder]roll{}
	}
	t.rolls[enc] = r
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rollTimer {
		return
	}
	t.rollTimer = true
	time.AfterFunc(wait, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.rollTimer, t.rollsDue = false, true
		t.wake()
	})
}

// steps makes the steps of items: each run of appends to one message is one.
func (t *topic) steps(enc session.Encoder, items []*hot) []step {
	steps := make([]step, 0, len(items))
	for len(items) > 0 {
		n := 1
		for n < len(items) && runs(items[n-1].Entry, items[n].Entry) {
			n++
		}
		st := step{first: items[0].Serial, last: items[n-1].Serial}
		if items[0].NoEcho {
			st.conn = items[0].Conn
		}
		fresh := true
		if n == 1 || enc.Whole() {
			st.frame, fresh = t.frame(enc, t.turn.bounds.Stream, items[n-1])
		} else {
			st.frame = t.joinedFrame(enc, items[:n])
		}
		if fresh {
			t.turn.encoded++
		}
		steps, items = append(steps, st), items[n:]
	}
	return steps
}

// runs reports whether b continues what a adds to a message, for everybody.
func runs(a, b *stream.Entry) bool {
	return superseded(a, b) && !a.NoEcho && !b.NoEcho && a.Data.Type == stream.Text && b.Data.Type == stream.Text && a.User == b.User
}

// joinedFrame makes the frame of several appends: that of the last, with the text of all.
func (t *topic) joinedFrame(enc session.Encoder, items []*hot) []byte {
	last := items[len(items)-1]
	e := *last.Entry
	e.Data.Bytes = nil
	for _, item := range items {
		e.Data.Bytes = append(e.Data.Bytes, item.Data.Bytes...)
	}
	d := session.Delivery{Ref: t.ref, Stream: t.turn.bounds.Stream, Entry: &e}
	t.enc.Lock()
	if enc.State(e.Kind) {
		d.State = last.With.state
	}
	t.enc.Unlock()
	payload, ok := enc.Entry(nil, d)
	if !ok {
		return nil
	}
	return t.hub.framed(enc, payload)
}

// takeRolled queues what a roller's set holds. It returns false when the follower must turn behind: an entry is missing,
// its cursor is in the middle of a step, or the outbox is full. The session's lock is held.
func (f *Follower) takeRolled(head uint64, s *set) bool {
	for _, st := range s.steps {
		switch {
		case f.cursor >= st.last:
			continue
		case f.cursor+1 < st.first, f.cursor+1 > st.first && !st.parts:
			return false
		case st.frame == nil || st.conn != "" && st.conn == f.conn:
			f.passed()
			f.cursor = st.last
			continue
		case !f.out.Put(st.frame):
			return false
		}
		f.queued()
		f.cursor = st.last
	}
	return f.cursor >= head || s.waits > 0 && f.cursor+1 >= s.waits
}
