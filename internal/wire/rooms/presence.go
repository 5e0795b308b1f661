package rooms

import (
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/limit"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Causes of a leave that a machine gives.
const (
	disconnect = corepresence.Disconnect
	timeout    = corepresence.Timeout
	forced     = corepresence.Forced
)

// member is what a connection does with a room's presence: it has entered, or it watches.
type member struct {
	session.Member
	enters  bool // false: it only watches
	entered bool // Enter was asked for, so an Exit is owed
	follows bool // the presence log is followed
	told    bool // the list was sent, and its transitions follow
	tries   int
	list    members
	updates limit.Window
}

// members is a list of members at a serial of the presence log.
type members struct {
	list   []session.Member
	count  int
	stream stream.ID
	serial uint64
}

func (l *members) append(f *frame) {
	f.name("members")
	f.b = append(f.b, '[')
	for i := range l.list {
		f.comma()
		f.b = append(f.b, '{')
		f.text("user_id", l.list[i].User)
		if len(l.list[i].Info) > 0 {
			f.raw("info", l.list[i].Info)
		}
		f.b = append(f.b, '}')
	}
	f.b = append(f.b, ']')
	if len(l.list) < l.count {
		f.bool("members_truncated", true)
	}
	f.uint("member_count", uint64(l.count))
	f.uint("presence_id", l.serial)
}

// memberOf reads what a join wants of presence; nil: nothing. The token's info is what a member shows; the client's own
// presence_data stands in where there is none.
func (m *Machine) memberOf(s *room, r *Request) (*member, error) {
	mode, err := r.text("presence", 16)
	if err != nil || mode == "" {
		return nil, err
	}
	if mode != "enter" && mode != "watch" {
		return nil, fault.New(fault.Invalid, `presence must be "enter" or "watch"`).In("presence")
	}
	if err := m.can(s.name, auth.Presence); err != nil {
		return nil, err
	}
	p := &member{enters: mode == "enter", Member: session.Member{User: m.who.user()}}
	if u := p.User; p.enters && (len(u) > maxUserID || strings.IndexByte(u, 0) >= 0) {
		return nil, fault.New(fault.Invalid, "a user id of more than %d bytes, or with a zero byte, cannot enter", maxUserID).In("presence")
	}
	p.Info, err = m.info(r)
	return p, err
}

// maxUserID is the longest id of a member: it is a part of keys in the log.
const maxUserID = 160

func (m *Machine) info(r *Request) ([]byte, error) {
	data := r.raw("presence_data")
	if proven := m.who.grant.Data(); proven != "" {
		data = []byte(proven)
	}
	if most := m.opts.App.Limits.PresenceMemberBytes; len(data) > most {
		return nil, fault.New(fault.TooLarge, "the presence data has %d bytes, more than the %d allowed", len(data), most).In("presence_data")
	}
	return data, nil
}

// updateMember changes what a member shows, when a room is joined again with presence data.
func (m *Machine) updateMember(s *room, r *Request) error {
	if s.member == nil || !s.member.entered || len(r.raw("presence_data")) == 0 {
		return nil
	}
	info, err := m.info(r)
	if err != nil || string(info) == string(s.member.Info) {
		return err
	}
	if ok, retry := s.member.updates.Allow(m.opts.App.Limits.PresenceUpdatesPerSecond, time.Second, m.clock()); !ok {
		return fault.New(fault.RateLimited, "presence data changes too fast").After(retry)
	}
	s.member.Info = info
	m.do(session.Enter{Tag: s.presenceTag(), Ref: s.presenceRef(m), Member: s.member.Member, Update: true})
	return nil
}

// attend enters a room's presence, or asks for its members.
func (m *Machine) attend(s *room) {
	s.member.follows, s.member.told = false, false
	if s.member.enters && !s.member.entered {
		s.member.entered = true
		m.do(session.Enter{Tag: s.presenceTag(), Ref: s.presenceRef(m), Member: s.member.Member})
		return
	}
	m.do(session.List{Tag: s.presenceTag(), Ref: s.presenceRef(m)})
}

// entered takes the members as of the own join, and follows both logs from there.
func (m *Machine) entered(in session.Entered) {
	s, presence := m.rooms.tagged(in.Tag)
	if s == nil || !presence || s.member == nil {
		return
	}
	if in.Err != nil {
		m.notEntered(s, in.Err)
		return
	}
	m.attended(s, members{in.Members, in.Count, in.Stream, in.Serial})
}

// attended takes the members, and follows the presence log from there.
func (m *Machine) attended(s *room, l members) {
	s.member.list = l
	m.do(session.Follow{Tag: s.presenceTag(), Ref: s.presenceRef(m), Encoder: Members{},
		Start: session.Start{Resume: true, Cursor: stream.Cursor{Stream: l.stream, Serial: l.serial}}})
	if !s.begun {
		m.follow(s)
	}
}

// notEntered tells why a member could not enter, or why its update failed. A room that is joined goes on without it.
func (m *Machine) notEntered(s *room, err error) {
	p := s.member
	if s.stage == deciding {
		p.entered = false
		m.refuse(s, err)
		return
	}
	m.send(errorFrame(err, "", s.name.String(), ""))
	switch {
	case p.follows: // an update
	case p.list.stream == "":
		s.member = nil
	default: // it watched before, and still does
		p.enters, p.entered, p.follows, p.told = false, false, true, true
	}
}

// upgrade lets a room that was joined without presence watch or enter, and one that watches enter.
func (m *Machine) upgrade(s *room, p *member) {
	switch {
	case p == nil || s.member != nil && (s.member.enters || !p.enters):
		return
	case s.member == nil:
		s.member = p
	default:
		s.member.enters, s.member.Member = true, p.Member
	}
	m.attend(s)
}

// maxTries is how often a list of members that the log has outrun is read again.
const maxTries = 3

// followedMembers takes the decision about the presence log. One that does not continue right after the list is read
// again.
func (m *Machine) followedMembers(s *room, in session.Followed) {
	if s.member == nil {
		return
	}
	if in.Reason != stream.Proven {
		m.do(session.Unfollow{Tag: in.Tag})
		if s.member.tries++; s.member.tries >= maxTries {
			m.refuse(s, fault.New(fault.Unavailable, "the members of the room cannot be told now"))
			return
		}
		m.attend(s)
		return
	}
	s.member.follows, s.member.tries = true, 0
	if s.stage == deciding {
		m.settle(s)
		return
	}
	m.send(presenceFrame(s.name.String(), &s.member.list, ""))
	s.member.tell()
	m.do(session.Release{Tag: in.Tag})
}

// tell lets go of a list that was sent: transitions move it on.
func (p *member) tell() {
	if p != nil {
		p.told, p.list.list = true, nil
	}
}

// lostMembers reads the members anew and tells them.
func (m *Machine) lostMembers(s *room, in session.Lost) {
	if s.member == nil {
		return
	}
	if in.Reason == stream.StoreUnavailable {
		m.notFollowed(s, nil)
		return
	}
	m.do(session.Unfollow{Tag: in.Tag})
	m.attend(s)
}

func presenceFrame(room string, l *members, correlation string) []byte {
	f := roomFrame(make([]byte, 0, 256), "room.presence", room)
	l.append(&f)
	return f.answer(correlation)
}

// drop removes a room.
func (m *Machine) drop(s *room, grace time.Duration) {
	m.do(session.Unfollow{Tag: s.tag})
	if s.member != nil {
		m.do(session.Unfollow{Tag: s.presenceTag()})
		m.exit(s, grace, disconnect)
	}
	m.rooms.remove(s)
}

func (m *Machine) exit(s *room, grace time.Duration, cause string) {
	if s.member != nil && s.member.entered {
		s.member.entered = false
		m.do(session.Exit{Tag: s.presenceTag(), Ref: s.presenceRef(m), Grace: grace, Cause: cause})
	}
}

// leaveAll takes the connection's members out when it has ended. A client that the server sent away for a while comes
// back, so its grace is that of a dropped one.
func (m *Machine) leaveAll(clean bool) {
	for _, s := range m.rooms.all() {
		switch {
		case m.cause == forced:
			m.exit(s, 0, forced)
		case m.cause != "":
			m.exit(s, s.policy.Presence.DropGrace, m.cause)
		case clean:
			m.exit(s, s.policy.Presence.CleanGrace, disconnect)
		default:
			m.exit(s, s.policy.Presence.DropGrace, timeout)
		}
	}
}

// presence asks who the members of a room are, or were.
func (m *Machine) presence(r *Request) error {
	name, err := r.name(m.opts.App.Limits.ChannelNameLength)
	if err != nil {
		return err
	}
	if err := m.can(name, auth.Presence); err != nil {
		return err
	}
	if err := m.mayRead(r); err != nil {
		return err
	}
	e := session.List{Ref: stream.Ref{App: m.opts.App.ID, Channel: name.String(), Log: stream.Presence}}
	if e.Serial, e.AtSerial, err = r.number("at_presence_id"); err != nil {
		return err
	}
	at, byTime, err := r.number("at_ms")
	switch {
	case err != nil:
		return err
	case byTime && e.AtSerial:
		return fault.New(fault.Invalid, "at_presence_id and at_ms name two moments: give one of them").In("at_ms")
	case at > stream.MaxSerial || e.Serial > stream.MaxSerial:
		return fault.New(fault.Invalid, "that moment is in the future")
	}
	e.Time, e.AtTime = int64(at), byTime
	e.Tag = m.asked.add(r)
	m.do(e)
	return nil
}

// listed takes a list of members: of a client.presence, or of a room that watches.
func (m *Machine) listed(in session.Listed) {
	l := members{in.Members, in.Count, in.Stream, in.Serial}
	if a, ok := m.asked.take(in.Tag); ok {
		if in.Err != nil {
			m.send(errorFrame(in.Err, "", a.room, a.correlation))
			return
		}
		m.send(presenceFrame(a.room, &l, a.correlation))
		return
	}
	s, presence := m.rooms.tagged(in.Tag)
	if s == nil || !presence || s.member == nil {
		return
	}
	if in.Err != nil {
		m.refuse(s, in.Err)
		return
	}
	m.attended(s, l)
}
