package pusher

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// memberOf reads who joins a presence channel: from the channel_data that was signed, or, without any, the user that
// the connection has signed in as.
func (m *Machine) memberOf(s *subscription, g auth.Grant) (code int, err error) {
	if !m.user.may(capPresence, s.name.String()) {
		return codeUnauthorized, fault.New(fault.Forbidden, "the user may not be present on %s", quote(s.name.String()))
	}
	member := session.Member{User: m.user.id, Info: m.user.info}
	if g.Data() != "" {
		v, err := envelope.Parse([]byte(g.Data()))
		if err != nil {
			return codeFormat, fault.New(fault.Invalid, "the channel_data is no JSON: %w", err)
		}
		if member, err = parseMember(v); err != nil {
			return codeFormat, err
		}
	} else if member.User == "" {
		return codeFormat, fault.New(fault.Invalid, "the presence channel %s needs channel_data with a user_id", quote(s.name.String()))
	}
	if err := m.fits(member, m.opts.App.Limits.PresenceMemberBytes); err != nil {
		return codeChannel, err
	}
	s.member = &membership{Member: member}
	return 0, nil
}

// parseMember reads {"user_id":…,"user_info":…}. Whole numbers are taken as user ids, in decimal.
func parseMember(v envelope.Value) (session.Member, error) {
	id, ok := v.Get("user_id").Text()
	if n, number := v.Get("user_id").Uint(); number {
		id, ok = strconv.FormatUint(n, 10), true
	}
	if !ok || id == "" {
		return session.Member{}, fault.New(fault.Invalid, "the channel_data has no user_id, or one that is neither a string nor a whole number").In("channel_data")
	}
	var info []byte
	if i := v.Get("user_info"); i.Given() {
		info = append(info, i...)
	}
	return session.Member{User: id, Info: info}, nil
}

// maxUserID is the longest user id: it is a part of keys in the log.
const maxUserID = 160

func (m *Machine) fits(member session.Member, most int) error {
	switch {
	case len(member.User) > maxUserID:
		return fault.New(fault.Invalid, "the user_id %s has %d bytes, more than the %d allowed", quote(member.User), len(member.User), maxUserID)
	case len(member.Info) > most:
		return fault.New(fault.TooLarge, "the user_info has %d bytes, more than the %d allowed", len(member.Info), most)
	}
	for i := range len(member.User) {
		if member.User[i] == 0 {
			return fault.New(fault.Invalid, "the user_id %s has a zero byte", quote(member.User))
		}
	}
	return nil
}

// entered takes the members as of the own join, and follows the presence log from there.
func (m *Machine) entered(in session.Entered) {
	s, presence := m.subs.tagged(in.Tag)
	switch {
	case s == nil || !presence: // unsubscribed meanwhile
		return
	case s.stage != entering:
		m.notUpdated(in)
		return
	case in.Err != nil:
		m.notEntered(s, in.Err)
		return
	}
	s.member.entered = &in
	m.do(session.Follow{Tag: s.presenceTag(), Ref: s.presenceRef(m), Encoder: Members{Protocol: m.protocol()},
		Start: session.Start{Resume: true, Cursor: stream.Cursor{Stream: in.Stream, Serial: in.Serial}}})
	m.follow(s)
}

// notEntered refuses a subscription because its member cannot enter.
func (m *Machine) notEntered(s *subscription, err error) {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind == fault.Unavailable || f.Kind == fault.Internal {
		m.unavailable()
		return
	}
	m.fail(codes[f.Kind], f.Error())
	m.subs.remove(s)
	s.resume.leave(m, s)
}

// listed tells the members to a client that subscribed a second time.
func (m *Machine) listed(in session.Listed) {
	s, presence := m.subs.tagged(in.Tag)
	switch {
	case s == nil || !presence || !s.acked:
	case in.Err != nil:
		f := fault.Of(in.Err)
		m.fail(codes[f.Kind], f.Error())
	default:
		s.member.entered = &session.Entered{Members: in.Members, Count: in.Count}
		m.acknowledge(s, false)
	}
}

// notUpdated tells that an update of a member failed.
func (m *Machine) notUpdated(in session.Entered) {
	if in.Err != nil {
		f := fault.Of(in.Err)
		m.fail(codes[f.Kind], f.Error())
	}
}

// followedMembers takes the decision about the presence log. One that does not continue right after the join is not to
// be trusted.
func (m *Machine) followedMembers(s *subscription, in session.Followed) {
	if in.Reason != stream.Proven {
		m.unavailable()
		return
	}
	s.member.follows = true
	if s.stage == following && s.ready() {
		m.welcome(s)
	}
}

// append writes the member list of a subscription's answer. Where the policy cuts it, it says so, and the member itself
// is among those that are listed.
func (p *membership) append(dst []byte) []byte {
	list := p.listed()
	dst = append(dst, `"presence":{"ids":[`...)
	for i := range list {
		dst = envelope.AppendString(comma(dst), list[i].User)
	}
	dst = append(dst, `],"hash":{`...)
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(envelope.AppendString(dst, list[i].User), ':')
		if info := list[i].Info; len(info) > 0 {
			dst = append(dst, info...)
		} else {
			dst = append(dst, "null"...)
		}
	}
	dst = strconv.AppendInt(append(dst, `},"count":`...), int64(p.entered.Count), 10)
	if len(list) < p.entered.Count {
		dst = append(dst, `,"truncated":true`...)
	}
	return append(dst, '}')
}

// listed is the list that came with the answer, and the member if that was cut.
func (p *membership) listed() []session.Member {
	list := p.entered.Members
	if len(list) >= p.entered.Count {
		return list
	}
	i, found := slices.BinarySearchFunc(list, p.User, func(m session.Member, user string) int { return strings.Compare(m.User, user) })
	if found {
		return list
	}
	return slices.Insert(slices.Clone(list), i, p.Member)
}

// leave takes the connection's members out when it has ended.
func (m *Machine) leave(clean bool) {
	for _, s := range m.subs.list {
		if s.member == nil || s.stage < entering {
			continue
		}
		grace, cause := s.policy.Presence.CleanGrace, presence.Disconnect
		switch {
		case m.ended == session.ByApp:
			grace, cause = 0, presence.Forced
		case !clean || m.shut: // what the server ended is to come back, however politely the client closed
			grace, cause = m.dropGrace(s), presence.Timeout
		}
		m.do(session.Exit{Tag: s.presenceTag(), Ref: s.presenceRef(m), Grace: grace, Cause: cause})
	}
}

func (m *Machine) dropGrace(s *subscription) time.Duration {
	if m.protocol() == V1 {
		return s.policy.Presence.DropGraceV1
	}
	return s.policy.Presence.DropGrace
}

// presenceUpdate changes the info of a member: the channel stands in the data or beside it, the info is data or
// user_info.
func (m *Machine) presenceUpdate(r *request) (problem string) {
	fields, problem := r.fields()
	if problem != "" {
		return problem
	}
	name := channelOf(r, fields)
	s := m.subs.find(name)
	if m.protocol() != V2 || s == nil || s.member == nil || s.stage < following {
		m.fail(codeChannel, "presence_update needs protocol=2 and a presence channel that the connection has joined; "+quote(name)+" is none")
		return ""
	}
	info := fields.Get("data")
	if info.Kind() == envelope.Absent {
		info = fields.Get("user_info")
	}
	if text, ok := info.Text(); ok {
		if v, err := envelope.Parse([]byte(text)); err == nil {
			info = v
		}
	}
	member := session.Member{User: s.member.User, Info: append([]byte(nil), info...)}
	if err := m.fits(member, m.opts.App.Limits.PresenceUpdateBytes); err != nil {
		m.fail(codeChannel, err.Error())
		return ""
	}
	if ok, _ := s.member.updates.Allow(m.opts.App.Limits.PresenceUpdatesPerSecond, time.Second, m.clock()); !ok {
		m.fail(codeClientEvent, "presence updates are sent too fast")
		return ""
	}
	s.member.Info = member.Info
	m.do(session.Enter{Tag: s.presenceTag(), Ref: s.presenceRef(m), Member: member, Update: true})
	return ""
}

// clock is the time that limits count with.
func (m *Machine) clock() time.Duration { return time.Duration(m.now) * time.Millisecond }

// counted tells the number of subscriptions of a channel.
func (m *Machine) counted(in session.Counted) {
	s, presence := m.subs.tagged(in.Tag)
	if s == nil || presence || s.stage != live || s.hidden {
		return
	}
	f := m.protocol().inner("subscription_count", 64)
	f.channel(s.name.String())
	f.text(append(strconv.AppendInt([]byte(`{"subscription_count":`), int64(in.N), 10), '}'))
	m.send(f.end(m.nextID()))
}
