package rooms

import (
	"math"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// join begins to follow a room, or answers again for one that is joined already.
func (m *Machine) join(r *Request) error {
	name, err := r.name(m.opts.App.Limits.ChannelNameLength)
	if err != nil {
		return err
	}
	if err := m.can(name, auth.Join); err != nil {
		return err
	}
	if s := m.rooms.find(name.String()); s != nil {
		return m.joinAgain(s, r)
	}
	s := &room{name: name, policy: m.opts.App.Policy(name.String()), waiting: []string{r.Correlation}}
	if err := m.admit(s, r); err != nil {
		return err
	}
	m.rooms.add(s)
	if s.member != nil {
		m.attend(s)
		return nil
	}
	m.follow(s)
	return nil
}

// admit reads what the join asks for and decides whether it may.
func (m *Machine) admit(s *room, r *Request) (err error) {
	if most := m.opts.App.Limits.ChannelsPerConnection; most > 0 && m.rooms.len() >= most {
		return fault.New(fault.LimitExceeded, "the connection has joined the %d rooms that it may join", most)
	}
	if !s.policy.ClientsSubscribe() {
		return fault.New(fault.Forbidden, "clients may not join the room %s", channel.Quote(s.name.String()))
	}
	if s.wish, err = r.wish(); err != nil {
		return err
	}
	if s.wish.resume && !s.wish.verified && (!s.policy.UnverifiedResume || s.policy.Durability == stream.Volatile) {
		s.wish.refused = stream.StreamReset // a serial alone proves nothing here
	}
	if s.enc, err = m.encoder(r); err != nil {
		return err
	}
	s.member, err = m.memberOf(s, r)
	return err
}

// wish reads where a join wants to begin. A resume wins over a rewind.
func (r *Request) wish() (w wish, err error) {
	serial, given, err := r.number("resume_from")
	if err != nil {
		return w, err
	}
	id, err := r.text("stream_id", 200)
	if err != nil {
		return w, err
	}
	if given {
		w.resume, w.verified = true, id != ""
		w.cursor = stream.Cursor{Stream: stream.ID(id), Serial: serial}
		if serial > stream.MaxSerial {
			w.refused = stream.PositionAhead
		}
	}
	v := r.value.Get("rewind")
	if !v.Given() {
		return w, nil
	}
	count, byCount, err := number(v.Get("count"), "rewind.count")
	if err != nil {
		return w, err
	}
	seconds, byTime, err := number(v.Get("seconds"), "rewind.seconds")
	if err != nil {
		return w, err
	}
	if v.Kind() != envelope.Object || byCount == byTime || byCount && count == 0 || byTime && seconds == 0 {
		return w, fault.New(fault.Invalid, "rewind must be {count} or {seconds}, of 1 or more").In("rewind")
	}
	if !w.resume {
		w.count, w.ms = count, int64(min(seconds, math.MaxInt32))*1000
	}
	return w, nil
}

// joinAgain answers a join for a room that is joined: nothing is moved, nothing is sent twice.
func (m *Machine) joinAgain(s *room, r *Request) error {
	if _, err := r.wish(); err != nil {
		return err
	}
	p, err := m.memberOf(s, r)
	if err != nil {
		return err
	}
	if s.stage == deciding {
		s.waiting = append(s.waiting, r.Correlation)
		return nil
	}
	if err := m.updateMember(s, r); err != nil {
		return err
	}
	m.send(m.joined(s, r.Correlation))
	m.upgrade(s, p)
	return nil
}

func (m *Machine) follow(s *room) {
	s.begun = true
	start := session.Start{RewindCount: s.wish.count, RewindMS: s.wish.ms}
	if s.wish.resume && s.wish.refused == stream.Proven {
		start.Resume, start.Cursor, start.Limits = true, s.wish.cursor, s.policy.Window(false)
	}
	m.do(session.Follow{Tag: s.tag, Ref: s.ref(m), Start: start, Encoder: s.enc})
}

// followed takes the decision about a start.
func (m *Machine) followed(in session.Followed) {
	s, presence := m.rooms.tagged(in.Tag)
	switch {
	case s == nil:
		return
	case in.Err != nil || in.Reason == stream.StoreUnavailable:
		m.notFollowed(s, in.Err)
		return
	case presence:
		m.followedMembers(s, in)
		return
	}
	s.start, s.decided = in, true
	m.settle(s)
}

// notFollowed ends a room that cannot be followed; the client keeps its cursor.
func (m *Machine) notFollowed(s *room, err error) {
	if err == nil {
		err = fault.New(fault.Unavailable, "the log of the room cannot be read now")
	}
	m.refuse(s, err)
}

// refuse ends a room with an error, in answer to those who asked to join it or, if it was joined, by itself.
func (m *Machine) refuse(s *room, err error) {
	name := s.name.String()
	if s.stage == deciding {
		for _, c := range s.waiting {
			m.send(errorFrame(err, "", name, c))
		}
		m.drop(s, s.policy.Presence.CleanGrace)
		return
	}
	m.send(errorFrame(err, "", name, ""))
	m.drop(s, s.policy.Presence.DropGrace)
	m.send(leftFrame(name, ""))
}

// settle answers a join as soon as all is known that the answer says.
func (m *Machine) settle(s *room) {
	if s.stage != deciding || !s.decided || s.member != nil && !s.member.follows {
		return
	}
	w := &s.wish
	if w.resume && w.refused == stream.Proven {
		w.refused = s.start.Reason
	}
	s.stage = live
	if s.replays() > 0 {
		s.stage = replaying
	}
	for _, c := range s.waiting {
		m.send(m.joined(s, c))
	}
	s.waiting = nil
	s.member.tell()
	switch {
	case w.resume && w.refused != stream.Proven:
		m.send(s.snapshotRequired(w.refused, s.start.Bounds))
	case s.stage == live && (w.resume || w.rewinds()):
		m.send(s.resumed(s.start.Bounds.Head, 0))
	}
	m.do(session.Release{Tag: s.tag})
	if s.member != nil {
		m.do(session.Release{Tag: s.presenceTag()})
	}
}

// replays is how many entries were to come before live ones when the start was decided.
func (s *room) replays() uint64 {
	n := s.start.Rewound.Rows
	if s.wish.resume && s.wish.refused == stream.Proven {
		n += s.start.Replay.Count()
	}
	return n
}

func (m *Machine) joined(s *room, correlation string) []byte {
	f := roomFrame(make([]byte, 0, 256), "room.joined", s.name.String())
	f.text("session_id", m.who.session)
	b := s.start.Bounds
	f.text("stream_id", string(b.Stream))
	f.uint("event_id", b.Head)
	f.bool("resumable", b.Logged)
	f.bool("resumed", s.wish.resume && s.wish.refused == stream.Proven)
	if s.wish.resume && !s.wish.verified {
		f.bool("verified", false)
	}
	n := uint64(0)
	if s.stage == replaying {
		n = s.replays()
	}
	f.uint("replaying", n)
	if s.member != nil && !s.member.told {
		s.member.list.append(&f)
	}
	return f.answer(correlation)
}

func (s *room) resumed(at, count uint64) []byte {
	f := roomFrame(nil, "room.resumed", s.name.String())
	f.uint("event_id", at)
	f.uint("count", count)
	if s.start.Rewound.Truncated || s.start.Rewound.Limited {
		f.bool("truncated", true) // there was more than the rewind could show
	}
	return f.end()
}

func (s *room) snapshotRequired(reason stream.Reason, b stream.Bounds) []byte {
	f := roomFrame(nil, "room.snapshot_required", s.name.String())
	f.text("reason", reason.String())
	f.text("stream_id", string(b.Stream))
	f.uint("event_id", b.Head)
	f.text("snapshot_url", s.snapshotURL(b.Head))
	return f.end()
}

func leftFrame(room, correlation string) []byte {
	f := roomFrame(nil, "room.left", room)
	return f.answer(correlation)
}

// replayEnded lets a room go live.
func (m *Machine) replayEnded(in session.ReplayEnded) {
	s, presence := m.rooms.tagged(in.Tag)
	if s == nil {
		return
	}
	if !presence && s.stage == replaying {
		m.send(s.resumed(in.Serial, in.Sent+in.Rows))
		s.stage = live
	}
	m.do(session.Release{Tag: in.Tag})
}

// lost tells that a room lost its continuity, and goes on live from its head.
func (m *Machine) lost(in session.Lost) {
	s, presence := m.rooms.tagged(in.Tag)
	switch {
	case s == nil:
		return
	case presence:
		m.lostMembers(s, in)
		return
	case in.Reason == stream.StoreUnavailable:
		m.notFollowed(s, nil)
		return
	}
	s.start = session.Followed{Tag: in.Tag, Bounds: in.Bounds, Reason: in.Reason}
	if s.stage == deciding { // the answer to come tells the bounds as they are now
		return
	}
	s.stage = live
	m.send(s.snapshotRequired(in.Reason, in.Bounds))
	m.do(session.Release{Tag: in.Tag})
}

// leave ends a room. To leave one that is not joined is no error: there is nothing left to do.
func (m *Machine) leave(r *Request) error {
	name, err := r.name(m.opts.App.Limits.ChannelNameLength)
	if err != nil {
		return err
	}
	if s := m.rooms.find(name.String()); s != nil {
		for _, c := range s.waiting {
			m.send(errorFrame(fault.New(fault.Conflict, "the room was left before it was joined"), "", s.name.String(), c))
		}
		m.drop(s, s.policy.Presence.CleanGrace)
	}
	m.send(leftFrame(name.String(), r.Correlation))
	return nil
}
