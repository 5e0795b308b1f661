package pusher

import (
	"errors"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// subscribe checks a request for a channel and begins it, or lets it wait for a resume.
func (m *Machine) subscribe(r *request) (problem string) {
	fields, problem := r.fields()
	if problem != "" {
		m.endWindow()
		return problem
	}
	name, err := m.channelName(channelOf(r, fields))
	if err != nil {
		m.fail(codeChannel, err.Error())
		return ""
	}
	if s := m.subs.find(name.String()); s != nil {
		m.resubscribe(s)
		return ""
	}
	s := &subscription{name: name, policy: m.opts.App.Policy(name.String())}
	if code, err := m.admit(s, fields); err != nil {
		m.fail(code, err.Error())
		return ""
	}
	m.subs.add(s)
	if m.res.wait(m) {
		return ""
	}
	m.begin(s)
	return ""
}

func (m *Machine) channelName(s string) (channel.Name, error) {
	if channel.Wildcard(s) {
		return channel.Name{}, fault.New(fault.Unsupported, "wildcard subscriptions (%s) are not available here", quote(s))
	}
	if _, meta := channel.Meta(s); meta {
		return channel.Name{}, fault.New(fault.Unsupported, "meta channels (%s) are not available here", quote(s))
	}
	return channel.Parse(s, m.opts.App.Limits.ChannelNameLength)
}

// admit decides whether the connection may subscribe, and with what. The code is that of the error frame.
func (m *Machine) admit(s *subscription, fields envelope.Value) (code int, err error) {
	limits := m.opts.App.Limits
	if len(m.subs.list) >= limits.ChannelsPerConnection && limits.ChannelsPerConnection > 0 {
		return codeCapacity, fault.New(fault.LimitExceeded, "the connection has the %d subscriptions that it may have", limits.ChannelsPerConnection)
	}
	if fields.Get("filter").Given() || fields.Get("tags_filter").Given() {
		if m.protocol() == V2 {
			return codeFormat, fault.New(fault.Unsupported, "subscription filters are not available here")
		}
	}
	if s.rewind, err = parseRewind(fields.Get("rewind")); err != nil {
		return codeFormat, err
	}
	if s.rewind.wanted() && (m.protocol() != V2 || s.policy.NoLog) {
		return codeChannel, fault.New(fault.Disabled, "rewind needs protocol=2 and a channel that keeps a log; %s has not both", quote(s.name.String()))
	}
	if err := m.allowed(s.name, s.policy); err != nil {
		return codeUnauthorized, err
	}
	s.enc = m.encoder(s.policy, fields)
	return m.prove(s, fields)
}

func (m *Machine) encoder(p *app.Policy, fields envelope.Value) Encoder {
	if m.protocol() != V2 {
		return Encoder{Protocol: V1}
	}
	e := Encoder{Protocol: V2, Value: m.opts.App.Features.V2DataValue, Full: m.opts.Full, Mutable: p.Mutable}
	if p.Mutable { // elsewhere it would only keep connections from sharing frames
		e.Roll = m.opts.Rollup
	}
	switch s, _ := fields.Get("v2_data").Text(); s {
	case "value":
		e.Value = true
	case "string":
		e.Value = false
	}
	return e
}

// allowed is what needs no signature: policies, and who a user's channel belongs to.
func (m *Machine) allowed(name channel.Name, p *app.Policy) error {
	if id, ok := name.ServerToUser(); ok && (m.user.id == "" || id != m.user.id) {
		return fault.New(fault.Forbidden, "the channel %s belongs to a user that this connection has not signed in as", quote(name.String()))
	}
	if !p.ClientsSubscribe() || !m.user.may(capSubscribe, name.String()) {
		return fault.New(fault.Forbidden, "clients may not subscribe to the channel %s", quote(name.String()))
	}
	return nil
}

// prove checks the auth string of a channel that needs one, and of a presence channel the member that it carries.
func (m *Machine) prove(s *subscription, fields envelope.Value) (code int, err error) {
	if !s.name.NeedsAuth() {
		return 0, nil
	}
	signature, _ := fields.Get("auth").Text()
	data, _ := fields.Get("channel_data").Text()
	sub := auth.Subscription{App: m.opts.App.ID, Socket: m.conn.id, Name: s.name, Auth: signature, Data: data}
	grant, err := sub.Verify(m.opts.Keys)
	if err != nil {
		return codeUnauthorized, err
	}
	if !grant.Can(s.name.String(), auth.Join) {
		return codeUnauthorized, fault.New(fault.Forbidden, "the auth string does not allow to join %s", quote(s.name.String()))
	}
	if !s.name.Presence() {
		return 0, nil
	}
	return m.memberOf(s, grant)
}

// resubscribe answers a second subscribe to a channel. The answer carries no position: what the client has seen is not
// known here, and a position ahead of it would lose what is still on its way.
func (m *Machine) resubscribe(s *subscription) {
	switch {
	case s.hidden:
		s.hidden = false
		if s.stage == live || s.stage == replaying || s.stage == settled {
			m.acknowledge(s, false)
		}
	case s.acked:
		m.acknowledgeAgain(s)
	default:
		s.again = true
	}
}

// unsubscribe ends a subscription, or forgets the position of a channel that is not subscribed to. It has no answer.
func (m *Machine) unsubscribe(r *request) (problem string) {
	name, ok := r.data.Text()
	if !ok || strings.HasPrefix(strings.TrimSpace(name), "{") { // no name begins like that
		fields, problem := r.fields()
		if problem != "" {
			return problem
		}
		name = channelOf(r, fields)
	}
	m.res.forget(name)
	s := m.subs.find(name)
	switch {
	case s == nil:
	case s.name.Kind() == channel.User: // it goes on reaching the user: see followUser
		s.hidden, s.acked = true, false
	default:
		m.drop(s, s.policy.Presence.CleanGrace)
	}
	return ""
}

// begin starts to follow a channel, from the position of a resume if there is one.
func (m *Machine) begin(s *subscription) {
	m.res.claim(m, s)
	if s.member != nil {
		s.stage = entering
		m.do(session.Enter{Tag: s.presenceTag(), Ref: s.presenceRef(m), Member: s.member.Member})
		return
	}
	m.follow(s)
}

func (m *Machine) follow(s *subscription) {
	s.stage = following
	m.do(session.Follow{Tag: s.tag, Ref: s.ref(m), Start: s.startAt(), Encoder: s.enc})
}

// startAt is where the follower is to begin, as far as is known now.
func (s *subscription) startAt() session.Start {
	start := session.Start{RewindCount: s.rewind.count, RewindMS: s.rewind.ms, Unlogged: s.policy.NoLog}
	if s.resume != nil {
		start.Resume, start.Limits = s.resume.asks(s.policy), s.policy.Window(false)
		start.Cursor = stream.Cursor{Stream: s.resume.stream, Serial: s.resume.serial}
		s.resume.asked = true
	}
	return start
}

// followed takes the decision about a start.
func (m *Machine) followed(in session.Followed) {
	s, presence := m.subs.tagged(in.Tag)
	switch {
	case s == nil:
		return
	case in.Err != nil:
		m.refused(s, in.Err)
		return
	case presence:
		m.followedMembers(s, in)
		return
	case in.Dirty:
		s.stage = live
		m.resumeDenied(s, denial{code: codeUnverifiable, reason: "live_delivery_has_begun", current: s.base.stream})
		m.do(session.Place{Tag: s.tag})
		m.settle(s)
		return
	case s.resume != nil && !s.resume.asked: // a resume came while the start was decided
		m.do(session.Refollow{Tag: s.tag, Start: s.startAt()})
		return
	}
	s.start, s.base = &in, placeOf(in.Bounds)
	if s.ready() {
		m.welcome(s)
	}
}

// ready reports whether every log of the channel is followed.
func (s *subscription) ready() bool {
	return s.start != nil && (s.member == nil || s.member.follows)
}

// refused ends a subscription that cannot be followed.
func (m *Machine) refused(s *subscription, err error) {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind == fault.Unavailable || f.Kind == fault.Internal {
		m.unavailable()
		return
	}
	if s.resume != nil {
		m.resumeDenied(s, denial{code: codeUnverifiable, reason: "subscription_refused"})
	}
	m.fail(codes[f.Kind], f.Error())
	m.drop(s, 0)
}

// drop removes a subscription from wherever it is.
func (m *Machine) drop(s *subscription, grace time.Duration) {
	if s.stage >= following {
		m.do(session.Unfollow{Tag: s.tag})
		if s.member != nil {
			m.do(session.Unfollow{Tag: s.presenceTag()})
		}
	}
	if s.member != nil && s.stage >= entering {
		m.do(session.Exit{Tag: s.presenceTag(), Ref: s.presenceRef(m), Grace: grace, Cause: "disconnect"})
	}
	m.subs.remove(s)
	s.resume.leave(m, s)
}
