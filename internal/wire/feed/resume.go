package feed

import (
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Words of the reasons in snapshot_required and resync_required.
const (
	serverRestarted = "server_restarted"
	windowExceeded  = "resume_window_exceeded"
	backpressure    = "client_backpressure"
)

// reasons maps every reason to the protocol's word. StoreUnavailable has none: the connection is closed 1011.
var reasons = map[stream.Reason]string{
	stream.StreamReset:     serverRestarted,
	stream.PositionAhead:   serverRestarted,
	stream.PositionExpired: windowExceeded,
	stream.WindowExceeded:  windowExceeded,
	stream.NotLogged:       windowExceeded,
	stream.SlowConsumer:    windowExceeded, // live: backpressure
}

// followed takes the decision about one channel; the last one answers the login.
func (m *Machine) followed(in session.Followed) {
	if m.phase != deciding {
		return
	}
	if in.Err != nil || in.Reason == stream.StoreUnavailable {
		m.unavailable(in.Err)
		return
	}
	s := m.attach.subs[in.Tag]
	if s.start.Resume {
		s.refused = in.Reason
	}
	s.bounds, s.count = in.Bounds, in.Replay.Count()
	switch {
	case s.refused != stream.Proven:
		s.stage = refused
	case !s.start.Resume:
		s.stage = fresh
	case s.count > 0:
		s.stage = replays
	default:
		s.stage = complete
	}
	if m.attach.decided++; m.attach.decided == len(m.attach.subs) {
		m.answer()
	}
}

// unavailable ends the connection without a word about cursors: the client keeps them.
func (m *Machine) unavailable(err error) {
	if err != nil {
		switch fault.KindOf(err) {
		case fault.Forbidden, fault.AppNotFound, fault.AppDisabled:
			m.refuseWith(Refusal{Code: "login_failed", Msg: err.Error(), Close: closeFix})
			return
		}
	}
	m.refuseWith(Refusal{Msg: "the log cannot be read now", Close: closeFault})
}

// answer sends login_ok, tells what was refused, and lets the followers go: those with a cursor replay, the others are
// live.
func (m *Machine) answer() {
	a := m.attach
	m.phase = open
	m.send(m.loginOK(a))
	for _, word := range []string{serverRestarted, windowExceeded} {
		list := a.having(func(s *subscription) bool { return s.stage == refused && reasons[s.refused] == word })
		if len(list) > 0 {
			m.send(m.required("snapshot_required", word, list...))
		}
	}
	for i, s := range a.subs {
		switch s.stage {
		case fresh, refused:
			m.release(i)
		case replays:
			a.running++
			a.resumed = true
		case complete:
			a.resumed = true
		}
	}
	for i, s := range a.subs {
		if s.stage == replays {
			s.count = 0 // from here on what was replayed
			m.release(i)
		}
	}
	m.completed()
}

func (a *attach) having(want func(*subscription) bool) []*subscription {
	var list []*subscription
	for _, s := range a.subs {
		if want(s) {
			list = append(list, s)
		}
	}
	return list
}

// completed sends resume_complete when every accepted channel has been replayed, and lets them go live.
func (m *Machine) completed() {
	a := m.attach
	if a == nil || a.running > 0 {
		return
	}
	m.attach = nil
	if !a.resumed {
		return
	}
	m.send(m.resumeComplete(a.having(func(s *subscription) bool { return s.stage == complete })))
	for i, s := range a.subs {
		if s.stage == complete {
			m.release(i)
		}
	}
}

func (m *Machine) replayEnded(in session.ReplayEnded) {
	if m.attach == nil || m.attach.subs[in.Tag].stage != replays {
		return
	}
	s := m.attach.subs[in.Tag]
	s.stage, s.count = complete, in.Sent
	m.attach.running--
	m.completed()
}

// lost tells the client that a channel must be taken anew, and goes on live from its head.
func (m *Machine) lost(in session.Lost) {
	switch {
	case in.Reason == stream.StoreUnavailable:
		m.unavailable(nil)
	case m.phase == deciding:
		m.lostEarly(m.attach.subs[in.Tag], in)
	case m.phase == open && m.attach != nil && m.attach.subs[in.Tag].accepted():
		m.lostReplay(m.attach.subs[in.Tag], in)
	case m.phase == open:
		word := reasons[in.Reason]
		if word == windowExceeded {
			word = backpressure
		}
		m.send(m.required("resync_required", word, &subscription{channel: m.channels[in.Tag], bounds: in.Bounds}))
		m.release(int(in.Tag))
	}
}

// accepted reports whether resume_complete is to name the channel, as it stands.
func (s *subscription) accepted() bool { return s.stage == replays || s.stage == complete }

// lostEarly takes a loss before the login was answered: the answer will tell the bounds as they are now.
func (m *Machine) lostEarly(s *subscription, in session.Lost) {
	s.bounds = in.Bounds
	if s.accepted() {
		s.stage, s.refused = refused, in.Reason
	}
}

// lostReplay takes a channel out of the resume_complete that is to come.
func (m *Machine) lostReplay(s *subscription, in session.Lost) {
	if s.stage == replays {
		m.attach.running--
	}
	s.stage, s.bounds = lost, in.Bounds
	m.send(m.required("snapshot_required", reasons[in.Reason], s))
	m.release(int(in.Tag))
	m.completed()
}
