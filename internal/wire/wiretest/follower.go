package wiretest

import (
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

const maxRewind = 100

// follower does what a hub's follower does, one entry at a time.
type follower struct {
	conn      *Conn
	log       *Log
	tag       session.Tag
	enc       session.Encoder
	held      bool
	live      bool
	replaying bool
	sent      bool
	stream    stream.ID
	cursor    uint64
	attach    uint64
	rows      []session.Delivery
	ended     session.ReplayEnded
}

func (f *follower) decide(s session.Start) session.Followed {
	w := f.conn.world
	res := session.Followed{Tag: f.tag}
	if w.Broken {
		res.Err = errUnavailable
		return res
	}
	b := f.log.Bounds()
	b.Logged = !w.NoLog[f.log.Ref.Channel]
	res.Bounds = b
	cursor, witness, lim := stream.Cursor{Stream: b.Stream, Serial: b.Head}, stream.Witness{At: b.HeadID()}, stream.Window{}
	if s.Resume {
		cursor, witness, lim = s.Cursor, f.log.witness(s.Cursor.Serial), s.Limits
	}
	res.Replay, res.Reason = stream.Prove(cursor, b, witness, lim, w.Now)
	*f = follower{conn: f.conn, log: f.log, tag: f.tag, enc: f.enc, held: true, stream: b.Stream, cursor: b.Head, attach: b.Head}
	if res.Reason == stream.Proven {
		f.cursor, f.attach = res.Replay.From(), res.Replay.To()
	}
	if s.RewindCount > 0 || s.RewindMS > 0 {
		res.Rewound = f.prepare(s, b, res)
	}
	f.replaying = f.cursor < f.attach || f.rows != nil
	f.ended = session.ReplayEnded{Tag: f.tag, Serial: f.attach, Stream: f.stream}
	return res
}

func (f *follower) prepare(s session.Start, b stream.Bounds, res session.Followed) session.Rewound {
	at, want := b.Head, s.RewindCount
	if res.Reason == stream.Proven {
		at = res.Replay.From()
		want -= min(want, res.Replay.Count())
	}
	limit, since := int(min(want, maxRewind)), int64(0)
	if s.RewindMS > 0 {
		limit, since = maxRewind, f.conn.world.Now-s.RewindMS
	}
	rows, more := f.log.rows(at, since, limit)
	for _, e := range rows {
		state := f.log.row(e, at)
		f.rows = append(f.rows, session.Delivery{Ref: f.log.Ref, Stream: b.Stream, Entry: e, State: &state, Rewound: true})
	}
	out := session.Rewound{Rows: uint64(len(rows)), Limited: s.RewindCount > maxRewind || more && s.RewindMS > 0}
	out.Truncated = !more && b.Truncated() && (s.RewindMS > 0 && since <= b.FloorTime || s.RewindCount > 0 && uint64(len(rows)) < want)
	return out
}

// pump sends one thing that is due; false when nothing is.
func (f *follower) pump() bool {
	switch {
	case f.held || f.live:
		return false
	case f.stream != f.log.ID():
		f.lose(stream.StreamReset)
	case f.replaying && len(f.rows) > 0:
		if payload, ok := f.enc.Entry(nil, f.rows[0]); ok {
			f.ended.Rows++
			f.conn.receive(payload)
		}
		f.rows = f.rows[1:]
	case f.replaying && f.cursor == f.attach:
		f.held, f.replaying, f.sent = true, false, true
		f.conn.Step(f.ended)
	case f.cursor == f.log.head:
		f.live = true
	case f.cursor < f.log.floor:
		reason := stream.SlowConsumer
		if f.replaying {
			reason = stream.PositionExpired
		}
		f.lose(reason)
	default:
		f.take(f.log.at(f.cursor + 1))
	}
	return true
}

func (f *follower) take(e *stream.Entry) {
	f.cursor++
	if e.NoEcho && e.Conn == f.conn.ID {
		return
	}
	d := session.Delivery{Ref: f.log.Ref, Stream: f.stream, Entry: e}
	if f.enc.State(e.Kind) {
		d.State = f.log.state(e, e.Serial)
	}
	payload, ok := f.enc.Entry(nil, d)
	if !ok {
		return
	}
	f.sent = true
	if f.replaying {
		f.ended.Sent++
		f.ended.Last = e.FrameID(f.stream)
	}
	f.conn.receive(payload)
}

func (f *follower) lose(r stream.Reason) {
	in := session.Lost{Tag: f.tag, Reason: r, Bounds: f.log.Bounds(), Replaying: f.replaying}
	*f = follower{conn: f.conn, log: f.log, tag: f.tag, enc: f.enc, held: true, stream: in.Bounds.Stream,
		cursor: in.Bounds.Head, attach: in.Bounds.Head}
	f.conn.Step(in)
}
