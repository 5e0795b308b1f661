package pusher

import (
	"slices"
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// The codes of resume_failed.
const (
	codeReset        = "stream_reset"
	codeExpired      = "position_expired"
	codeUnverifiable = "continuity_unverifiable"
)

// denials maps every reason for a refusal to the code and the reason of resume_failed. That the store is unavailable is
// never told so: clients would throw their position away.
var denials = map[stream.Reason][2]string{
	stream.StreamReset:     {codeReset, "stream_id_mismatch"},
	stream.PositionExpired: {codeExpired, "retained_history_floor_is_ahead_of_requested_serial"},
	stream.WindowExceeded:  {codeExpired, "recovery_window_exceeded"},
	stream.PositionAhead:   {codeUnverifiable, "position_ahead_of_durable_stream"},
	stream.SlowConsumer:    {codeExpired, "retention_boundary_crossed_during_reconnect"},
	stream.NotLogged:       {codeExpired, "hot_replay_expired_and_durable_history_disabled"},
}

// denial says why a channel does not continue from the client's position.
type denial struct {
	code, reason      string
	expected, current stream.ID // what the client sent, and what the server has; empty: not known
	oldest, newest    uint64
	bounded           bool // oldest and newest are known
}

func denialOf(r stream.Reason, b stream.Bounds) denial {
	words, ok := denials[r]
	if !ok {
		words = [2]string{codeUnverifiable, r.String()}
	}
	d := denial{code: words[0], reason: words[1]}
	if b.Logged {
		d.current, d.oldest, d.newest, d.bounded = b.Stream, b.Floor+1, b.Head, true
	}
	return d
}

func (d *denial) append(dst []byte, channel string) []byte {
	dst = envelope.AppendString(append(dst, `{"channel":`...), channel)
	dst = append(append(append(dst, `,"code":"`...), d.code...), `","reason":"`...)
	dst = append(append(dst, d.reason...), '"')
	if d.expected != "" {
		dst = envelope.AppendString(append(dst, `,"expected_stream_id":`...), string(d.expected))
	}
	if d.current != "" {
		dst = envelope.AppendString(append(dst, `,"current_stream_id":`...), string(d.current))
	}
	if d.bounded {
		dst = strconv.AppendUint(append(dst, `,"oldest_available_serial":`...), d.oldest, 10)
		dst = strconv.AppendUint(append(dst, `,"newest_available_serial":`...), d.newest, 10)
	}
	return append(dst, '}')
}

// resumeFailed tells the client that a channel does not continue from its position. It throws the position away.
func (m *Machine) resumeFailed(channel string, d *denial) {
	f := m.protocol().event("resume_failed", 512)
	f.channel(channel)
	f.text(d.append(make([]byte, 0, 384), channel))
	m.send(f.end(m.nextID()))
}

// resumeDenied tells it of a subscription, and remembers it for resume_success.
func (m *Machine) resumeDenied(s *subscription, d denial) {
	if r := s.resume; r != nil {
		if d.expected == "" {
			d.expected = r.stream
		}
		r.denied, r.denial = true, d
	}
	m.resumeFailed(s.name.String(), &d)
}

// placeAnew gives the client, whose position was just refused, the one that its channel goes on from. Without it a
// connection that is cut before the next event would come back without a position, and nobody would notice a gap. The
// end of a rewind does the same.
func (m *Machine) placeAnew(s *subscription) {
	if s.base.logged && !s.rewind.wanted() {
		m.send(s.enc.Position(nil, s.ref(m), s.base.stream, s.base.serial))
	}
}

// judge tells the client of a decision against its position.
func (m *Machine) judge(s *subscription) {
	switch {
	case s.resume.asks(s.policy) && s.start.Reason == stream.Proven:
		return
	case s.resume.malformed:
		d := denialOf(stream.PositionAhead, s.start.Bounds)
		d.reason = "position_malformed"
		m.resumeDenied(s, d)
	case s.resume.bare(s.policy):
		d := denialOf(stream.PositionAhead, s.start.Bounds)
		d.reason = "legacy_serial_only_position_cannot_use_cold_recovery"
		m.resumeDenied(s, d)
	default:
		m.resumeDenied(s, denialOf(s.start.Reason, s.start.Bounds))
	}
	m.placeAnew(s)
}

// group is the channels of one resume request: they are answered by one resume_success, and none of them goes live
// before it.
type group struct {
	members  []*subscription
	failures []failure // of channels that never joined
	open     int       // members whose past is not over yet
	over     bool
}

type failure struct {
	channel string
	denial
}

func (g *group) join(s *subscription, p position) {
	s.resume = &resumption{position: p, group: g}
	g.members = append(g.members, s)
	g.open++
}

// settled takes note that one more member has nothing of its past to send.
func (g *group) settled(m *Machine) {
	g.open--
	g.check(m)
}

// leave takes a subscription that ends out of its group.
func (r *resumption) leave(m *Machine, s *subscription) {
	if r == nil {
		return
	}
	g := r.group
	g.members = slices.DeleteFunc(g.members, func(other *subscription) bool { return other == s })
	if s.stage != settled && s.stage != live {
		g.open--
	}
	g.check(m)
}

// check answers the resume once all of its members are settled, and lets them go live.
func (g *group) check(m *Machine) {
	if g.open > 0 || g.over || m.shut || len(g.members)+len(g.failures) == 0 {
		return
	}
	g.over = true
	m.resumeSuccess(g)
	for _, s := range g.members {
		m.goLive(s)
	}
}

func (m *Machine) resumeSuccess(g *group) {
	data := make([]byte, 0, 64+256*(len(g.members)+len(g.failures)))
	data = append(data, `{"recovered":[`...)
	for _, s := range g.members {
		if !s.resume.denied {
			data = s.resume.append(comma(data), s.name.String())
		}
	}
	data = append(data, `],"failed":[`...)
	for _, s := range g.members {
		if s.resume.denied {
			data = s.resume.denial.append(comma(data), s.name.String())
		}
	}
	for i := range g.failures {
		data = g.failures[i].append(comma(data), g.failures[i].channel)
	}
	f := m.protocol().event("resume_success", len(data)+len(data)/4)
	f.text(append(data, `]}`...))
	m.send(f.end(m.nextID()))
}

// comma separates list items.
func comma(dst []byte) []byte {
	if dst[len(dst)-1] == '[' {
		return dst
	}
	return append(dst, ',')
}

// append writes an item of recovered. The window and the store are one path here: the source is always "hot".
func (r *resumption) append(dst []byte, channel string) []byte {
	dst = envelope.AppendString(append(dst, `{"channel":`...), channel)
	dst = strconv.AppendUint(append(dst, `,"source":"hot","replayed":`...), r.done.Sent, 10)
	dst = envelope.AppendString(append(dst, `,"position":{"stream_id":`...), string(r.done.Stream))
	dst = strconv.AppendUint(append(dst, `,"serial":`...), r.done.Serial, 10)
	last := r.done.Last
	if last == "" {
		last = r.last
	}
	if last != "" {
		dst = envelope.AppendString(append(dst, `,"last_message_id":`...), last)
	}
	return append(dst, `}}`...)
}
