package pusher

import (
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// welcome answers a subscribe (or a resume that came after its answer) whose start is decided, and lets the follower go.
func (m *Machine) welcome(s *subscription) {
	in := s.start
	if !s.acked && !s.hidden {
		m.acknowledge(s, true)
	}
	if s.resume != nil {
		m.judge(s)
	}
	if s.resume != nil || s.rewind.wanted() {
		if in.Replay.Count() > 0 || in.Rewound.Rows > 0 {
			s.stage = replaying
			m.do(session.Release{Tag: s.tag})
			return
		}
		m.replayDone(s, session.ReplayEnded{Tag: s.tag, Serial: in.Bounds.Head, Stream: in.Bounds.Stream})
		return
	}
	if s.name.Cache() && !s.hidden {
		s.stage, s.recalling = settled, true
		m.do(session.Recall{Tag: s.tag, Ref: s.ref(m), At: in.Bounds.Head})
		return
	}
	m.settle(s)
}

// acknowledge sends subscription_succeeded. With a position it is the first answer: then the position is the client's
// own cursor if a resume names the channel, since clients store it before the replay has reached them.
func (m *Machine) acknowledge(s *subscription, first bool) {
	size := len(s.name.String())
	if m.protocol() == V2 {
		size += 96
	}
	f := m.protocol().inner("subscription_succeeded", size)
	f.channel(s.name.String())
	var small [64]byte
	data := append(small[:0], '{')
	if s.member != nil && s.member.entered != nil {
		data = s.member.append(data)
		s.member.entered = nil // lists are long, and most are never asked for again
	}
	if m.protocol() == V2 && s.base.logged {
		if len(data) > 1 {
			data = append(data, ',')
		}
		data = strconv.AppendUint(append(data, `"attach_serial":`...), s.base.serial, 10)
	}
	f.text(append(data, '}'))
	f.id(m.nextID())
	if m.protocol() == V2 && first {
		switch r := s.resume; {
		case r != nil && r.malformed: // the client keeps what it has until that is refused
		case r != nil && r.stream != "":
			f.position(r.stream, r.serial)
		case r != nil: // a cursor without a stream id
			f.b = strconv.AppendUint(append(f.b, `,"serial":`...), r.serial, 10)
		case s.base.logged:
			f.position(s.base.stream, s.base.serial)
		}
	}
	m.send(append(f.b, '}'))
	s.acked = true
}

// acknowledgeAgain answers a second subscribe, with the members as they are now.
func (m *Machine) acknowledgeAgain(s *subscription) {
	if s.member == nil {
		m.acknowledge(s, false)
		return
	}
	m.do(session.List{Tag: s.presenceTag(), Ref: s.presenceRef(m)})
}

// replayEnded takes note that everything up to the attach serial was queued.
func (m *Machine) replayEnded(in session.ReplayEnded) {
	if s, presence := m.subs.tagged(in.Tag); s != nil && !presence && s.stage == replaying {
		m.replayDone(s, in)
	} else if s != nil && presence {
		m.do(session.Release{Tag: in.Tag})
	}
}

// replayDone ends a rewind, a resume, or both in one pass.
func (m *Machine) replayDone(s *subscription, in session.ReplayEnded) {
	if s.rewind.wanted() {
		m.rewindComplete(s, in)
	}
	if s.resume != nil {
		s.resume.done = in
	}
	m.settle(s)
}

func (m *Machine) rewindComplete(s *subscription, in session.ReplayEnded) {
	r := s.start.Rewound
	f := m.protocol().event("rewind_complete", 256)
	f.channel(s.name.String())
	f.data()
	f.b = strconv.AppendUint(append(f.b, `{"historical_count":`...), in.Rows+in.Sent, 10)
	f.b = append(f.b, `,"live_count":0,"complete":`...)
	f.b = strconv.AppendBool(f.b, !r.Truncated && !r.Limited)
	f.b = strconv.AppendBool(append(f.b, `,"truncated_by_retention":`...), r.Truncated)
	f.b = strconv.AppendBool(append(f.b, `,"truncated_by_limit":`...), r.Limited)
	f.b = append(f.b, '}')
	f.id(m.nextID())
	f.position(in.Stream, in.Serial)
	m.send(append(f.b, '}'))
	s.rewind = rewind{}
}

// settle ends a subscription's past: it goes live at once, or with the rest of its resume.
func (m *Machine) settle(s *subscription) {
	if s.stage != live {
		s.stage = settled
	}
	if s.resume != nil {
		s.resume.group.settled(m)
		return
	}
	m.goLive(s)
}

// goLive lets a settled follower go on with what comes.
func (m *Machine) goLive(s *subscription) {
	s.resume, s.start = nil, nil
	if s.stage == live {
		return
	}
	s.stage = live
	m.do(session.Release{Tag: s.tag})
	if s.member != nil && !s.member.released {
		s.member.released = true
		m.do(session.Release{Tag: s.presenceTag()})
	}
	if s.again {
		s.again = false
		m.acknowledgeAgain(s)
	}
	if m.opts.App.Features.SubscriptionCount && s.member == nil && !s.hidden && !s.counted {
		s.counted = true
		m.do(session.Count{Tag: s.tag, Ref: s.ref(m)})
	}
}

// lost tells the client that a channel has lost its continuity. V1 has no frame for that: the client is to come back
// and load its state anew. So is a client whose presence list can no longer be trusted.
func (m *Machine) lost(in session.Lost) {
	s, presence := m.subs.tagged(in.Tag)
	switch {
	case s == nil:
	case in.Reason == stream.StoreUnavailable:
		m.unavailable()
	case m.protocol() != V2 || presence:
		m.close(session.Close{Code: codeCapacity, Reason: "The channel lost its continuity; please reconnect."})
	default:
		m.lostV2(s, in)
	}
}

func (m *Machine) lostV2(s *subscription, in session.Lost) {
	d := denialOf(in.Reason, in.Bounds)
	if in.Reason == stream.StreamReset {
		d.reason = "durable_stream_changed_during_reconnect"
	}
	if d.expected = s.base.stream; s.resume != nil && s.resume.stream != "" {
		d.expected = s.resume.stream
	}
	s.base, s.rewind = placeOf(in.Bounds), rewind{}
	m.resumeDenied(s, d)
	m.placeAnew(s)
	switch s.stage {
	case replaying:
		m.settle(s)
	case live:
		m.do(session.Release{Tag: s.tag})
	}
}
