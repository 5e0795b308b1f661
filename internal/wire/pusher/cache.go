package pusher

import (
	"github.com/continuo-rt/continuo/internal/core/session"
)

// recalled sends what a cache channel remembers, before anything live.
func (m *Machine) recalled(in session.Recalled) {
	s, presence := m.subs.tagged(in.Tag)
	if s == nil || presence || !s.recalling {
		return
	}
	s.recalling = false
	if in.Err != nil {
		m.refused(s, in.Err)
		return
	}
	sent := false
	if in.Entry != nil && in.State.Live() {
		d := session.Delivery{Ref: s.ref(m), Stream: in.Stream, Entry: in.Entry, State: &in.State, Rewound: true}
		var payload []byte
		if payload, sent = s.enc.Entry(nil, d); sent {
			m.send(payload)
		}
	}
	if !sent {
		f := m.protocol().event("cache_miss", 64)
		f.channel(s.name.String())
		f.text([]byte("{}"))
		m.send(f.end(m.nextID()))
	}
	m.settle(s)
}
