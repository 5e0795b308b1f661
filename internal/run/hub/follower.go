package hub

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/outbox"
)

type state uint8

const (
	held   state = iota // decided, or at the end of its replay: nothing is sent until Release
	behind              // reads pages from its cursor
	live                // takes what the fan-out turn brings
	gone
)

// Follower is one session's cursor in one stream. Its fields below out belong to the session's lock.
type Follower struct {
	topic *topic
	owner Owner
	conn  string // the session's id, for entries that hide from their publisher
	enc   session.Encoder
	tag   session.Tag
	index int // in topic.followers, under topic.mu; -1: not there

	out       *outbox.Outbox
	state     state
	replaying bool // up to attach; held there afterwards
	parked    bool // behind, and at the end of a log that the topic has still to hear of
	sent      bool // an entry was queued since the follower was released
	// news is what the machine has still to be told: the follower stays held until then.
	news     session.Input
	stream   stream.ID // empty: its start is being decided
	born     int64     // of the bounds it was placed in, as base
	base     uint64
	cursor   uint64
	attach   uint64
	skipped  uint32 // entries that were not meant for it since the last frame
	replayed uint64
	rowsSent uint64
	last     string // frame id of the newest entry that was replayed
	rewind   *rewind
}

// Follow makes a follower of a stream for a session and decides its start. The follower is held: nothing is sent before
// Release. limits that the policy sets are in s. An error means that the log could not be read; there is no follower
// then.
func (h *Hub) Follow(ctx context.Context, o Session, req session.Follow) (*Follower, session.Followed) {
	f := &Follower{owner: o.Owner, conn: o.Conn, out: o.Out, enc: req.Encoder, tag: req.Tag, state: held, index: -1}
	for {
		f.topic = h.topic(req.Ref)
		if f.topic.join(f) {
			break
		}
	}
	res := f.decide(ctx, req.Start)
	if res.Err != nil {
		return nil, res
	}
	return f, res
}

// Session is what a hub needs to know of the session that follows.
type Session struct {
	Owner Owner
	Out   *outbox.Outbox
	Conn  string
}

// decide proves the start and places the held follower there. If that is impossible the follower is gone.
func (f *Follower) decide(ctx context.Context, s session.Start) session.Followed {
	for try := 0; ; try++ {
		res, rows := f.judge(ctx, s)
		switch {
		case res.Err != nil && fault.KindOf(res.Err) == fault.NotProvable && try < maxTries:
			continue // a cut overtook the reads of a rewind
		case res.Err != nil:
			f.Unfollow()
			if fault.KindOf(res.Err) == fault.NotProvable {
				res.Err = fault.New(fault.Unavailable, "the channel is cut faster than it can be read: %w", res.Err)
			}
			return res
		case f.settle(res, rows):
			return res
		}
	}
}

// maxTries bounds how often a start is decided again because a cut was faster.
const maxTries = 8

// judge decides where a follower may start, from one read of the stream.
func (f *Follower) judge(ctx context.Context, s session.Start) (res session.Followed, rows *rewind) {
	res.Tag = f.tag
	b, w, err := f.topic.start(ctx, s)
	if err != nil {
		res.Err = err
		return res, nil
	}
	b.Logged = !s.Unlogged
	res.Bounds = b
	cursor, lim := s.Cursor, s.Limits
	if !s.Resume {
		cursor, w, lim = stream.Cursor{Stream: b.Stream, Serial: b.Head}, stream.Witness{At: b.HeadID()}, stream.Window{}
	}
	if s.Resume || b.Logged {
		res.Replay, res.Reason = stream.Prove(cursor, b, w, lim, f.topic.hub.opts.Now())
	}
	if s.RewindCount > 0 || s.RewindMS > 0 {
		res.Rewound, rows, res.Err = f.prepare(ctx, s, b, res)
	}
	return res, rows
}

// settle places a follower whose start was judged. It returns false when the incarnation ended meanwhile: the turn that
// tells followers of that passed over this one.
func (f *Follower) settle(res session.Followed, rows *rewind) bool {
	f.out.Lock()
	defer f.out.Unlock()
	if f.state == gone {
		return true
	}
	f.place(res.Replay, res.Reason, res.Bounds, rows)
	if b := f.topic.newest(); f.stream != b.Stream && f.older(b) {
		f.stream = ""
		return false
	}
	if res.Reason != stream.Proven {
		f.topic.hub.refused(res.Reason, f.enc)
	}
	return true
}

// place sets a held follower to where a decision puts it; the session's lock is held.
func (f *Follower) place(r stream.Replay, reason stream.Reason, b stream.Bounds, rows *rewind) {
	f.stream, f.cursor, f.attach = b.Stream, b.Head, b.Head
	f.born, f.base, f.rewind = b.Born, b.Base, rows
	f.sent, f.parked, f.skipped, f.replayed, f.rowsSent, f.last = false, false, 0, 0, 0, ""
	if reason == stream.Proven && r.Stream() != "" {
		f.stream, f.cursor, f.attach = r.Stream(), r.From(), r.To()
	}
	f.replaying = f.cursor < f.attach || f.rewind != nil
}

// Refollow decides a new start for a follower that was sent nothing live yet; otherwise it answers Dirty and changes
// nothing.
func (f *Follower) Refollow(ctx context.Context, s session.Start) session.Followed {
	f.out.Lock()
	if f.sent || f.state == gone {
		f.out.Unlock()
		return session.Followed{Tag: f.tag, Dirty: true}
	}
	f.toHeld()
	f.stream, f.news = "", nil // the new decision says all that there is to say
	f.out.Unlock()
	return f.decide(ctx, s)
}

// News is what the session's machine has to be told about the follower, nil if there is nothing (any more). A loss takes
// the place of a replay's end that was not told yet.
func (f *Follower) News() session.Input {
	f.out.Lock()
	defer f.out.Unlock()
	news := f.news
	f.news = nil
	return news
}

// Release lets a held follower go on, unless there is news that the machine has to hear first.
func (f *Follower) Release() {
	f.out.Lock()
	defer f.out.Unlock()
	if f.state != held || f.news != nil || f.stream == "" {
		return
	}
	f.state = behind
	f.topic.hub.countBehind(1)
	if !f.replaying && f.tryLive() {
		return
	}
	f.out.Kick()
}

// Unfollow ends the follower at once. What is queued stays queued.
func (f *Follower) Unfollow() {
	f.out.Lock()
	f.toHeld()
	f.state = gone
	f.out.Unlock()
	f.topic.leave(f)
}

// Tag is the machine's number for the subscription.
func (f *Follower) Tag() session.Tag { return f.tag }

// turnBehind makes a live follower read on by itself; the session's lock is held.
func (f *Follower) turnBehind() {
	if f.state == live {
		f.state = behind
		f.topic.hub.countBehind(1)
	}
	f.out.Flush()
	f.out.Kick()
}

// toHeld takes the follower out of delivery; the session's lock is held.
func (f *Follower) toHeld() {
	if f.state == behind {
		f.topic.hub.countBehind(-1)
	}
	f.state = held
	f.parked = false
}

// tryLive flips a follower that is at the head, or past what the topic was told of so far; the session's lock is held.
// The follower is on the topic's list, so every entry above the head that is read here is in a turn that has still to
// visit it.
func (f *Follower) tryLive() bool {
	t := f.topic
	b := t.newest()
	flip := b.Stream == f.stream && b.Head <= f.cursor
	if flip {
		f.state = live
		t.hub.countBehind(-1)
	}
	return flip
}

// park lets a follower that has read everything there is wait for the turn in which the topic hears of it. It returns
// true when the topic knows of more by now.
func (f *Follower) park() (more bool) {
	f.out.Lock()
	defer f.out.Unlock()
	if f.state != behind || f.tryLive() {
		return false
	}
	f.parked = f.topic.newest().Stream != f.stream
	return !f.parked
}

// older reports whether the follower's incarnation began before that of b: a forgetting raises Born, a reset Base. A
// follower that was placed on a newer incarnation than a turn knows of is left alone. The session's lock is held.
func (f *Follower) older(b stream.Bounds) bool {
	return f.born < b.Born || f.born == b.Born && f.base < b.Base
}

// lose holds the follower at the head of b, to go on from there when its face has told the client; the session's lock
// is held.
func (f *Follower) lose(r stream.Reason, b stream.Bounds) {
	_, ended := f.news.(session.ReplayEnded)
	told, _ := f.news.(session.Lost)
	f.news = session.Lost{Tag: f.tag, Reason: r, Bounds: b, Replaying: f.replaying || ended || told.Replaying}
	f.toHeld()
	f.place(stream.Replay{}, r, b, nil)
	f.topic.hub.refused(r, f.enc)
}

// Nudge tells a live follower's client its position if entries that were not meant for it have passed since it was last
// sent anything. Whoever keeps the session's time calls it now and then.
func (f *Follower) Nudge() {
	f.out.Lock()
	defer f.out.Unlock()
	f.position(true)
	f.out.Flush()
}

// Place queues the frame that tells the client where the follower stands: at its place among the entries, whatever the
// follower is doing. It returns false when there was no room even among the control frames.
func (f *Follower) Place() bool {
	f.out.Lock()
	defer f.out.Unlock()
	if f.state == gone || f.stream == "" || f.out.Ending() {
		return true
	}
	payload := f.enc.Position(nil, f.topic.ref, f.stream, f.cursor)
	return payload == nil || f.out.PutControl(f.topic.hub.framed(f.enc, payload))
}

// position queues a position frame when one is due; the session's lock is held.
func (f *Follower) position(overdue bool) {
	if f.state != live || f.skipped == 0 || !overdue && f.skipped < positionEvery {
		return
	}
	payload := f.enc.Position(nil, f.topic.ref, f.stream, f.cursor)
	if payload == nil || f.out.Put(f.topic.hub.framed(f.enc, payload)) {
		f.skipped = 0
	}
}

// positionEvery is how many entries a filtered follower may be past its client's knowledge before it is told: a
// quarter of the default recovery limit.
const positionEvery = 2500

func (h *Hub) countBehind(n int64) {
	h.behind.Add(n)
	if h.opts.Events.Behind != nil {
		h.opts.Events.Behind(n)
	}
}

func (h *Hub) refused(r stream.Reason, to session.Encoder) {
	if f, ok := to.(framer); ok {
		to = f.Unwrap()
	}
	if h.opts.Events.Refused != nil {
		h.opts.Events.Refused(r, to)
	}
}
