package pusher

import (
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

const (
	windowMS = 25     // how long subscribe answers wait for a resume
	heldMS   = 30_000 // how long a position waits for its channel to be subscribed to
)

// position is what a client presents for one channel.
type position struct {
	stream    stream.ID
	serial    uint64
	last      string // last_message_id: advisory, since clients keep the acknowledgement's there
	malformed bool
}

// held is a position whose channel is not subscribed to yet.
type held struct {
	position
	channel string
	until   int64
}

// resumes are the resume requests of a connection.
type resumes struct {
	window int64  // until when subscribe answers wait; 0: none does
	closed bool   // no subscribe waits any more
	held   []held // oldest first
}

// resumption is the part of a subscription that continues from a position.
type resumption struct {
	position
	asked  bool // the follower's start was decided with the position
	denied bool // resume_failed was sent
	denial denial
	done   session.ReplayEnded
	group  *group
}

// bare reports whether the position has no stream id and the policy does not take the serial's word for it. Volatile
// streams begin at 1 again after each restart, so there a serial proves nothing.
func (r *resumption) bare(p *app.Policy) bool {
	return r.stream == "" && (!p.UnverifiedResume || p.Durability == stream.Volatile)
}

// asks reports whether the follower's start can be decided by the position at all.
func (r *resumption) asks(p *app.Policy) bool { return r != nil && !r.malformed && !r.bare(p) }

// wait lets a subscribe wait for a resume: once for each V2 connection, from its first subscribe.
func (r *resumes) wait(m *Machine) bool {
	if r.closed || m.protocol() != V2 {
		return false
	}
	if r.window == 0 {
		r.window = m.now + windowMS
	}
	return true
}

// due is when the next thing has to be done.
func (r *resumes) due() int64 {
	if len(r.held) == 0 {
		return r.window
	}
	return earliest(r.window, r.held[0].until)
}

// endWindow begins what waits, if anything does.
func (m *Machine) endWindow() {
	if m.res.window > 0 {
		m.res.window, m.res.closed = 0, true
		m.beginWaiting()
	}
}

func (m *Machine) beginWaiting() {
	for i := 0; i < len(m.subs.list) && !m.shut; i++ {
		if s := m.subs.list[i]; s.stage == waiting {
			m.begin(s)
		}
	}
}

// expire does what the time has come for.
func (m *Machine) expire() {
	if r := &m.res; r.window > 0 && m.now >= r.window {
		m.endWindow()
	}
	for r := &m.res; len(r.held) > 0 && m.now >= r.held[0].until; {
		h := r.held[0]
		r.held = r.held[1:]
		d := denial{code: codeUnverifiable, reason: "channel_not_subscribed", expected: h.stream}
		m.resumeFailed(h.channel, &d)
	}
}

// hold keeps a position until its channel is subscribed to.
func (r *resumes) hold(channel string, p position, until int64) {
	r.forget(channel)
	r.held = append(r.held, held{p, channel, until})
}

// forget lets go of the position of a channel.
func (r *resumes) forget(channel string) (p position, ok bool) {
	for i, h := range r.held {
		if h.channel == channel {
			r.held = append(r.held[:i], r.held[i+1:]...)
			return h.position, true
		}
	}
	return position{}, false
}

// claim gives a subscription that begins the position that was held for it. It gets a resume_success of its own.
func (r *resumes) claim(m *Machine, s *subscription) {
	if p, ok := r.forget(s.name.String()); ok && s.resume == nil {
		g := &group{}
		g.join(s, p)
	}
}

// resume takes the positions that a client presents.
func (m *Machine) resume(r *request) (problem string) {
	if m.protocol() != V2 {
		m.fail(codeClientEvent, "connection recovery needs protocol=2")
		return ""
	}
	defer m.beginWaiting()
	m.res.window, m.res.closed = 0, true
	fields, problem := r.fields()
	if problem != "" {
		return problem
	}
	most := max(m.opts.App.Limits.ChannelsPerConnection, 1)
	positions, order, err := m.positionsOf(fields, most)
	if err != nil { // the others are resumed all the same
		m.fail(codeChannel, err.Error())
	}
	switch {
	case len(order) == 0 && err != nil:
		return ""
	case len(order) == 0:
		m.fail(codeList, "No channel recovery positions provided")
		return ""
	case len(order) > most, len(m.res.held)+len(order) > 2*most:
		m.fail(codeList, "The resume names more channels than the "+strconv.Itoa(most)+" that a connection may have")
		return ""
	}
	g := &group{}
	for _, name := range order {
		m.resumeChannel(g, name, positions[name])
	}
	if m.beginWaiting(); !m.shut {
		g.check(m)
	}
	return ""
}

// resumeChannel decides what is to be done about one position.
func (m *Machine) resumeChannel(g *group, name string, p position) {
	s := m.subs.find(name)
	switch {
	case p.malformed && (s == nil || s.stage >= replaying):
		m.deny(g, name, s, p, "position_malformed")
	case s == nil:
		m.res.hold(name, p, m.now+heldMS)
	case s.resume != nil, s.stage == replaying, s.stage == settled:
		m.deny(g, name, s, p, "channel_is_being_replayed")
	case s.stage == live:
		g.join(s, p)
		s.stage = following
		m.do(session.Refollow{Tag: s.tag, Start: s.startAt()})
	default: // the start is not decided yet, or will be decided again
		g.join(s, p)
	}
}

// deny refuses a position without touching the subscription, if there is one: then the client, which throws the refused
// position away, is told where the subscription stands.
func (m *Machine) deny(g *group, name string, s *subscription, p position, reason string) {
	d := denial{code: codeUnverifiable, reason: reason, expected: p.stream}
	if s != nil {
		d.current = s.base.stream
	}
	m.resumeFailed(name, &d)
	if s != nil && s.base.logged {
		m.do(session.Place{Tag: s.tag})
	}
	g.failures = append(g.failures, failure{name, d})
}

// positionsOf reads channel_positions, and channel_serials of older clients; at most one more than most. What is kept of
// them is bounded: names that no channel can have are left out, and told by err.
func (m *Machine) positionsOf(fields envelope.Value, most int) (all map[string]position, order []string, err error) {
	all = map[string]position{}
	for _, member := range [...]string{"channel_positions", "channel_serials"} {
		for name, v := range fields.Get(member).Members() {
			if _, have := all[string(name)]; have || len(order) > most {
				continue
			}
			channel := string(name)
			if _, bad := m.channelName(channel); bad != nil {
				err = bad
				continue
			}
			all[channel] = positionOf(v)
			order = append(order, channel)
		}
	}
	return all, order, err
}

// The longest ids that are kept of a position. Stream ids are shorter; message ids are advisory.
const (
	maxStreamID  = 128
	maxMessageID = 256
)

// positionOf reads one position: an object, or the bare serial of older clients.
func positionOf(v envelope.Value) position {
	var p position
	serial := v
	if v.Kind() == envelope.Object {
		serial = v.Get("serial")
		if id := v.Get("stream_id"); id.Given() {
			s, ok := id.Text()
			if p.malformed = !ok || len(s) > maxStreamID; !p.malformed {
				p.stream = stream.ID(s)
			}
		}
		if last, _ := v.Get("last_message_id").Text(); len(last) <= maxMessageID {
			p.last = last
		}
	}
	n, ok := serial.Uint()
	if s, text := serial.Text(); text {
		n, ok = decimal(s)
	}
	p.serial, p.malformed = n, p.malformed || !ok
	return p
}
