package session

import (
	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// frame is a frame that was read.
func (m *Machine) frame(f *wire.Frame) {
	if !m.conn.open() {
		return
	}
	m.conn.read(m.now)
	switch f.Kind {
	case wire.Hello:
		m.hello(f)
	case wire.Error:
		m.errorFrame(f)
	case wire.Reconnect:
		m.conn.after = f.AfterMS
	case wire.TokenExpiring:
		if !m.conn.renewing && m.conn.phase == connected {
			m.conn.renewing = true
			m.do(Effect{Do: WantToken})
		}
	case wire.Joined:
		m.joinedFrame(f)
	case wire.Resumed:
		m.resumedFrame(f)
	case wire.Position:
		m.positionFrame(f)
	case wire.Left:
		m.leftFrame(f)
	case wire.SnapshotRequired:
		m.needed(f)
	case wire.Accepted, wire.Changed, wire.History:
		m.answer(f)
	default:
		m.event(f)
	}
}

func (m *Machine) errorFrame(f *wire.Frame) {
	if m.requestFailed(f) {
		return
	}
	for _, r := range m.order {
		if f.CorrelationID != "" && f.CorrelationID == r.joinID {
			r.joinID = ""
			m.turnedAway(r, f)
			return
		}
	}
	if r := m.wanted(f.RoomID); r != nil && r.joined && f.CorrelationID == "" {
		r.problem = f
	}
	m.warn(f.Code + ": " + f.Message)
}

// event is a frame for the application, and an answer that looks like one.
func (m *Machine) event(f *wire.Frame) {
	if f.Kind == wire.Presence && f.CorrelationID != "" {
		m.answer(f)
		return
	}
	m.quiet = true
	r := m.wanted(f.RoomID)
	switch {
	case !f.IsEvent() || r == nil || !r.joined:
	case f.EventID == 0:
		m.deliver(r, f)
	case r.state.State == RoomSnapshot:
		m.hold(r, f)
	case r.proven && f.EventID > r.seen:
		m.deliver(r, f)
	}
}

// deliver hands an event over, unless the application has too many already.
func (m *Machine) deliver(r *room, f *wire.Frame) {
	if r.state.State == RoomBehind {
		return
	}
	if r.pending.len() >= m.buffer {
		m.behind(r)
		return
	}
	id := f.EventID
	if f.Kind == wire.Joined {
		id = 0
	}
	if id > 0 {
		r.seen = id
		r.missed++
	}
	r.pending.push(id)
	m.do(Effect{Do: Deliver, Room: r.name, Frame: f})
}

func (m *Machine) behind(r *room) {
	r.snap.overflow, r.snap.held = r.state.State == RoomSnapshot, nil
	m.setRoom(r, RoomState{State: RoomBehind})
}

// hold keeps an event until the snapshot is there.
func (m *Machine) hold(r *room, f *wire.Frame) {
	switch {
	case f.EventID <= r.snap.at.EventID:
	case len(r.snap.held) >= m.buffer:
		m.behind(r)
	default:
		r.snap.held = append(r.snap.held, f)
	}
}

// handled follows the application.
func (m *Machine) handled(name string) {
	m.quiet = true
	r := m.rooms[name]
	if r == nil || r.pending.len() == 0 {
		return
	}
	if id := r.pending.pop(); id > 0 && r.pending.len() > 0 {
		m.moveCursor(r, Cursor{r.stream, id})
	}
	m.settle(r)
	if r.state.State == RoomBehind && r.joined && !r.snap.overflow && r.pending.len() <= m.buffer/2 {
		m.quiet = false
		m.rejoin(r)
	}
}

// settle moves the cursor to what was seen, when nothing is left to handle.
func (m *Machine) settle(r *room) {
	if r.pending.len() == 0 && r.seen >= 0 {
		m.moveCursor(r, Cursor{r.stream, r.seen})
	}
}

func (m *Machine) moveCursor(r *room, to Cursor) {
	if to != r.cursor {
		r.cursor = to
		m.do(Effect{Do: StoreCursor, Room: r.name, StreamID: to.StreamID, EventID: to.EventID})
	}
}

// needed is a room.snapshot_required. Who is behind asks again from where he was anyway.
func (m *Machine) needed(f *wire.Frame) {
	r := m.wanted(f.RoomID)
	if r == nil || !r.joined || r.state.State == RoomBehind && !r.snap.overflow {
		return
	}
	m.need(r, loading{at: Cursor{f.StreamID, f.EventID}, reason: f.Reason, url: f.SnapshotURL})
}

func (m *Machine) need(r *room, l loading) {
	l.failures, l.fetchAt = r.snap.failures, never
	r.snap, r.proven = l, false
	m.setRoom(r, RoomState{State: RoomSnapshot, Reason: l.reason})
	if l.failures > 0 {
		r.snap.fetchAt = m.now + m.draw(l.failures-1)
		return
	}
	m.fetch(r)
}

func (m *Machine) fetch(r *room) {
	r.snap.fetchAt = never
	m.do(Effect{Do: FetchSnapshot, Room: r.name, Reason: r.snap.reason, StreamID: r.snap.at.StreamID, EventID: r.snap.at.EventID, URL: r.snap.url})
}

// loadingRoom is the room of that name if it waits for a snapshot.
func (m *Machine) loadingRoom(name string) *room {
	r := m.wanted(name)
	if r == nil || !r.joined || r.state.State != RoomSnapshot && !r.snap.overflow {
		return nil
	}
	return r
}

// snapshot goes on from a snapshot that the application has.
func (m *Machine) snapshot(name string, at Cursor) {
	r := m.loadingRoom(name)
	if r == nil {
		return
	}
	snap := r.snap
	r.snap = loading{fetchAt: never, failures: snap.failures}
	r.stream, r.seen = at.StreamID, at.EventID
	r.pending.unnumber()
	m.moveCursor(r, at)
	if snap.overflow || at.StreamID != snap.at.StreamID || at.EventID < snap.at.EventID {
		if !snap.overflow {
			r.snap.failures++
		}
		m.rejoin(r)
		return
	}
	r.proven = true
	m.setRoom(r, RoomState{State: RoomLive})
	for _, f := range snap.held {
		if f.EventID > r.seen {
			m.deliver(r, f)
		}
	}
}

func (m *Machine) snapshotFailed(name string) {
	if r := m.loadingRoom(name); r != nil {
		r.snap.fetchAt = m.now + m.draw(r.snap.failures)
		r.snap.failures++
	}
}

// queue is the event ids that were delivered and not handled, the oldest first; 0: the event has none.
type queue struct {
	ids  []int64
	head int
}

func (q *queue) len() int { return len(q.ids) - q.head }

func (q *queue) push(id int64) {
	if q.head > len(q.ids)/2 {
		q.ids = q.ids[:copy(q.ids, q.ids[q.head:])]
		q.head = 0
	}
	q.ids = append(q.ids, id)
}

func (q *queue) pop() int64 {
	id := q.ids[q.head]
	q.head++
	if q.head == len(q.ids) {
		q.ids, q.head = q.ids[:0], 0
	}
	return id
}

// unnumber makes the events no part of the log: they are of before a snapshot.
func (q *queue) unnumber() { clear(q.ids[q.head:]) }
