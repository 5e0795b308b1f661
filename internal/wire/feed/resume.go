package feed

import (
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// group is the replay of a login: one resume_complete for all channels that were accepted.
type group struct {
	undecided int
	running   int
	accepted  []*subscription
	counts    map[*subscription]uint64
}

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
	stream.SlowConsumer:    backpressure,
}

// followed takes the decision about one channel; the last one answers the login.
func (m *Machine) followed(in session.Followed) {
	s := m.subs[in.Tag]
	if in.Err != nil || in.Reason == stream.StoreUnavailable {
		m.unavailable(in.Err)
		return
	}
	s.done, s.state = true, in
	if s.start.Resume {
		s.refused = in.Reason
	}
	for _, other := range m.subs {
		if !other.done {
			return
		}
	}
	m.answer()
}

func (m *Machine) unavailable(err error) {
	if err != nil && fault.KindOf(err) == fault.Forbidden {
		m.refuse(&Refusal{Code: "login_failed", Msg: err.Error(), Close: 4000})
		return
	}
	m.refuse(&Refusal{Code: "store_unavailable", Msg: "the log cannot be read now: come back with the same cursors", Close: 1011})
}

// answer sends login_ok, tells what was refused, and lets the followers go: those with a cursor replay, the others are
// live.
func (m *Machine) answer() {
	m.phase = open
	m.do(session.Send{Payload: m.loginOK()})
	m.tellRefused()
	m.resume.counts = map[*subscription]uint64{}
	for i, s := range m.subs {
		if !s.cursor || s.refused != stream.Proven {
			m.do(session.Release{Tag: session.Tag(i)})
			continue
		}
		m.resume.accepted = append(m.resume.accepted, s)
		m.resume.counts[s] = 0
		if s.state.Replay.Count() > 0 {
			s.replay = true
			m.resume.running++
		}
	}
	for i, s := range m.subs {
		if s.replay {
			m.do(session.Release{Tag: session.Tag(i)})
		}
	}
	m.complete()
}

// tellRefused sends one snapshot_required for each reason.
func (m *Machine) tellRefused() {
	for _, word := range []string{serverRestarted, windowExceeded} {
		var list []*subscription
		for _, s := range m.subs {
			if s.cursor && s.refused != stream.Proven && reasons[s.refused] == word {
				list = append(list, s)
			}
		}
		if len(list) > 0 {
			m.do(session.Send{Payload: m.required("snapshot_required", word, list)})
		}
	}
}

func (m *Machine) replayEnded(in session.ReplayEnded) {
	s := m.subs[in.Tag]
	if !s.replay {
		return
	}
	s.replay = false
	m.resume.counts[s] = in.Sent
	m.resume.running--
	m.complete()
}

// complete sends resume_complete when every accepted channel has been replayed, and lets them go live.
func (m *Machine) complete() {
	if m.resume.running > 0 || m.resume.accepted == nil {
		return
	}
	accepted := m.resume.accepted
	m.resume.accepted = nil
	if len(accepted) == 0 {
		return
	}
	m.do(session.Send{Payload: m.resumeComplete(accepted)})
	for i, s := range m.subs {
		if _, ok := m.resume.counts[s]; ok {
			m.do(session.Release{Tag: session.Tag(i)})
		}
	}
}

// lost tells the client that a channel must be taken anew, and goes on live from its head.
func (m *Machine) lost(in session.Lost) {
	s := m.subs[in.Tag]
	if in.Reason == stream.StoreUnavailable {
		m.unavailable(nil)
		return
	}
	s.state.Bounds = in.Bounds
	kind, word := "resync_required", reasons[in.Reason]
	if s.replay {
		kind = "snapshot_required"
		if word == backpressure {
			word = windowExceeded
		}
	} else if word == windowExceeded {
		word = backpressure
	}
	if m.phase != open {
		return // the login is not answered yet: it will tell the bounds as they are now
	}
	m.do(session.Send{Payload: m.required(kind, word, []*subscription{s})})
	waits := !s.replay && m.resume.accepted != nil && s.cursor
	if s.replay {
		s.replay = false
		m.drop(s)
		m.resume.running--
	}
	if !waits {
		m.do(session.Release{Tag: in.Tag})
	}
	m.complete()
}

// drop takes a channel out of the resume_complete that is to come.
func (m *Machine) drop(s *subscription) {
	delete(m.resume.counts, s)
	kept := m.resume.accepted[:0]
	for _, other := range m.resume.accepted {
		if other != s {
			kept = append(kept, other)
		}
	}
	m.resume.accepted = kept
}
