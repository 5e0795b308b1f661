package hub

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// gatherer is a roller for which the newest of certain entries stands for those before it: what comes of them within a
// time is one frame. It has no use for the states of messages.
type gatherer interface {
	roller
	// Gathers reports whether a later entry may stand for this one.
	Gathers(e *stream.Entry) bool
}

func gathers(enc session.Encoder) (g gatherer, ok bool) {
	if f, is := enc.(framer); is {
		enc = f.Unwrap()
	}
	g, ok = enc.(gatherer)
	return g, ok
}

// gathered makes the set of a turn for a gatherer: what waited is sent before the first entry that nothing stands for,
// or when it is time.
func (t *topic) gathered(enc session.Encoder, g gatherer, wait time.Duration) *set {
	u, s := &t.turn, &set{rolls: true}
	r := t.rolls[enc]
	delete(t.rolls, enc)
	if r.stream != u.bounds.Stream || len(u.items) > 0 && r.moment.last+1 != u.items[0].Serial {
		r = roll{stream: u.bounds.Stream} // stale: its followers turn behind, and read for themselves
	}
	m := &r.moment
	for _, item := range u.items {
		frame, fresh := t.frame(enc, u.bounds.Stream, item)
		if fresh {
			u.encoded++
		}
		waits := g.Gathers(item.Entry)
		switch {
		case waits && m.frame != nil:
			if m.last = item.Serial; frame != nil {
				m.frame = frame
			}
			continue
		case waits && frame != nil:
			*m = step{frame: frame, first: item.Serial, last: item.Serial, parts: true}
			continue
		}
		s.flush(m)
		st := step{frame: frame, first: item.Serial, last: item.Serial}
		if item.NoEcho {
			st.conn = item.Conn
		}
		s.steps = append(s.steps, st)
	}
	if u.rollsDue {
		s.flush(m)
	}
	if m.frame != nil {
		s.waits = m.first
		t.keep(enc, r, wait)
	}
	return s
}

// flush gives what waited to the set.
func (s *set) flush(m *step) {
	if m.frame != nil {
		s.steps = append(s.steps, *m)
	}
	*m = step{}
}
