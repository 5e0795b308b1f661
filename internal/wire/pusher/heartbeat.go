package pusher

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
)

// pongWait is how long a client may take to answer a ping.
const pongWait = 30 * time.Second

// heartbeat keeps the connection's times. The driver has one timer for it, set to whichever comes first.
type heartbeat struct {
	pinged int64 // when a sign of life was asked for; 0: none is owed
	drain  int64 // when the connection ends because the server stops; 0: never
	armed  int64 // what the driver's timer is set to
}

func (h *heartbeat) heard() { h.pinged = 0 }

// arm sets the driver's timer if it has to be set anew.
func (h *heartbeat) arm(m *Machine) {
	at := int64(0)
	if !m.shut {
		at = earliest(m.res.due(), h.drain)
		if h.pinged > 0 && m.protocol() == V1 {
			at = earliest(at, h.pinged+pongWait.Milliseconds())
		}
	}
	if at != h.armed {
		h.armed = at
		m.do(session.Wake{At: at})
	}
}

// earliest is the smaller of two times of which 0 is never.
func earliest(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

func (m *Machine) woken() {
	h := &m.beat
	h.armed = 0
	switch {
	case h.drain > 0 && m.now >= h.drain:
		m.terminate(session.Stopping)
	case m.protocol() == V1 && h.pinged > 0 && m.now >= h.pinged+pongWait.Milliseconds():
		m.terminate(session.Silent)
	default:
		m.expire()
	}
}

// idle asks a silent client for a sign of life. V1 clients get a frame and answer with one; V2 clients must not get such
// frames: they are pinged by the transport, whose pongs count as signs of life.
func (m *Machine) idle(in session.Idle) {
	h := &m.beat
	if h.pinged > 0 && m.now-h.pinged >= pongWait.Milliseconds() && in.For > m.now-h.pinged {
		m.terminate(session.Silent)
		return
	}
	switch {
	case m.protocol() == V2:
		h.pinged = m.now
		m.do(session.Ping{})
	case h.pinged == 0:
		h.pinged = m.now
		m.send([]byte(`{"event":"pusher:ping"}`))
	}
}
