package session

import (
	"strconv"

	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// room is a room that is wanted, or that the server has refused.
type room struct {
	name    string
	options Join
	state   RoomState
	refused bool

	stream  string
	seen    int64 // the highest event id delivered or passed; -1: no position
	cursor  Cursor
	pending queue

	joined   bool
	joinID   string // of the join that is under way
	asked    bool   // that join named a position
	proven   bool   // the server has proven that what comes follows seen
	resumed  bool   // of room.joined
	missed   int64
	joinedAt int64
	retryAt  int64
	failures int
	problem  *wire.Frame // the last error of the room that answered nothing
	snap     loading
}

// loading is a snapshot that is needed.
type loading struct {
	at       Cursor // what was announced
	reason   string
	url      string
	fetchAt  int64
	failures int
	held     []*wire.Frame
	overflow bool // what was held did not fit: join again once it is loaded
}

// id makes the correlation id of a frame of the machine's own.
func (m *Machine) id() string {
	m.ids++
	return "s" + strconv.Itoa(m.ids)
}

func (m *Machine) setRoom(r *room, s RoomState) {
	if s.State == RoomLive {
		r.snap.failures = 0
	}
	if s != r.state {
		r.state = s
		m.do(Effect{Do: RoomChanged, Room: r.name, RoomState: s})
	}
}

// wanted is the room of that name, or nil if it is not wanted.
func (m *Machine) wanted(name string) *room {
	if r := m.rooms[name]; r != nil && !r.refused {
		return r
	}
	return nil
}

func (m *Machine) join(name string, options Join) {
	r := m.rooms[name]
	if r == nil {
		r = &room{name: name, seen: -1, retryAt: never, joinedAt: never}
		r.snap.fetchAt = never
		m.rooms[name], m.order = r, append(m.order, r)
	} else if r.options = options; !r.refused {
		return
	}
	r.options, r.refused = options, false
	if c := options.Cursor; c != nil && r.seen < 0 {
		r.stream, r.seen, r.cursor = c.StreamID, c.EventID, *c
	}
	m.setRoom(r, RoomState{State: RoomJoining})
	if m.conn.joinable() {
		m.sendJoin(r)
	}
}

func (m *Machine) sendJoin(r *room) {
	r.retryAt, r.joined, r.joinID, r.asked = never, false, m.id(), r.seen >= 0
	c := &wire.Command{Kind: wire.ClientJoin, RoomID: r.name, CorrelationID: r.joinID, Presence: r.options.Presence,
		PresenceData: r.options.PresenceData, Events: r.options.Events}
	if r.asked {
		seen := r.seen
		c.ResumeFrom, c.StreamID = &seen, r.stream
	} else {
		c.Rewind = r.options.Rewind
	}
	m.send(c)
}

// rejoin begins again at seen.
func (m *Machine) rejoin(r *room) {
	m.setRoom(r, RoomState{State: RoomJoining})
	m.send(&wire.Command{Kind: wire.ClientLeave, RoomID: r.name, CorrelationID: m.id()})
	m.unjoin(r)
	m.sendJoin(r)
}

// unjoin forgets what holds for a joined room alone.
func (m *Machine) unjoin(r *room) {
	if r.joined && m.now-r.joinedAt >= stableAfter {
		r.failures = 0
	}
	r.joined, r.joinID, r.retryAt, r.problem = false, "", never, nil
	r.snap.fetchAt, r.snap.held, r.snap.overflow = never, nil, false
}

// forgetJoins follows the end of a connection.
func (m *Machine) forgetJoins() {
	for _, r := range m.order {
		if !r.refused {
			m.unjoin(r)
			m.setRoom(r, RoomState{State: RoomJoining})
		}
	}
}

func (m *Machine) leave(name string) {
	r := m.rooms[name]
	if r == nil {
		return
	}
	delete(m.rooms, name)
	for i := range m.order {
		if m.order[i] == r {
			m.order = append(m.order[:i:i], m.order[i+1:]...)
			break
		}
	}
	m.setRoom(r, RoomState{State: RoomLeft})
	if m.conn.joinable() && (r.joined || r.joinID != "") {
		m.send(&wire.Command{Kind: wire.ClientLeave, RoomID: name, CorrelationID: m.id()})
	}
	m.flush()
}

// joinedFrame is a room.joined.
func (m *Machine) joinedFrame(f *wire.Frame) {
	r := m.wanted(f.RoomID)
	if r == nil || r.joinID == "" || f.CorrelationID != "" && f.CorrelationID != r.joinID {
		return
	}
	r.joined, r.joinID, r.joinedAt, r.problem = true, "", m.now, nil
	r.missed, r.resumed, r.proven = 0, f.Resumed, f.Resumed || !r.asked
	switch {
	case f.Resumed && r.asked && f.StreamID != r.stream:
		m.need(r, loading{at: Cursor{f.StreamID, f.EventID}, reason: "stream_reset"})
	case !r.asked && !f.Resumed && f.Replaying == 0:
		r.stream, r.seen = f.StreamID, f.EventID
		m.setRoom(r, RoomState{State: RoomLive})
	default:
		if !r.asked {
			r.stream = f.StreamID
		}
		m.setRoom(r, RoomState{State: RoomResuming, Replaying: f.Replaying})
	}
	if f.Members != nil {
		m.deliver(r, f)
	}
	m.flush()
	m.settle(r)
}

func (m *Machine) resumedFrame(f *wire.Frame) {
	r := m.wanted(f.RoomID)
	if r == nil || !r.joined || !r.proven || r.state.State != RoomResuming {
		return
	}
	r.seen = max(r.seen, f.EventID)
	m.setRoom(r, RoomState{State: RoomLive, Resumed: r.resumed, Missed: r.missed})
	m.settle(r)
}

func (m *Machine) positionFrame(f *wire.Frame) {
	r := m.wanted(f.RoomID)
	if r != nil && r.joined && r.proven && (r.state.State == RoomLive || r.state.State == RoomResuming) {
		r.seen = max(r.seen, f.EventID)
		m.settle(r)
	}
}

// leftFrame is a room.left: the answer to a client.leave repeats its correlation id.
func (m *Machine) leftFrame(f *wire.Frame) {
	r := m.wanted(f.RoomID)
	if r == nil || !r.joined || f.CorrelationID != "" {
		return
	}
	problem := r.problem
	m.unjoin(r)
	if problem == nil {
		problem = &wire.Frame{Retryable: true}
	}
	m.turnedAway(r, problem)
}

// turnedAway decides what follows when a room is not joined, because of an error.
func (m *Machine) turnedAway(r *room, f *wire.Frame) {
	if f.Retryable {
		m.setRoom(r, RoomState{State: RoomJoining})
		r.retryAt = m.now + max(m.draw(r.failures), f.RetryAfterMS)
		r.failures++
		return
	}
	r.refused = true
	m.setRoom(r, RoomState{State: RoomRefused, Code: f.Code, Message: f.Message})
	m.flush()
}
