package hub

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/view"
)

// MaxRewind is the largest number of rows that a rewind sends.
const MaxRewind = 100

// rewindBytes bounds what a rewind holds in memory until it is sent.
const rewindBytes = 4 << 20

// rewind is history that is sent before the replay: rows, oldest first, with their visible versions.
type rewind struct {
	rows []rewound
	next int
}

type rewound struct {
	entry *stream.Entry
	state message.State
}

// prepare reads the rows that a rewind asks for before the follower's start. They are folded at the start: at the
// cursor of an accepted resume, since the replay shows what came after it as it was, else at the attach serial. The
// entries of the replay count towards the rewind's count.
func (f *Follower) prepare(ctx context.Context, s session.Start, b stream.Bounds, res session.Followed) (session.Rewound, *rewind, error) {
	at, want := b.Head, s.RewindCount
	if res.Reason == stream.Proven {
		at = res.Replay.From()
		if s.RewindCount > 0 {
			want -= min(want, res.Replay.Count())
		}
	}
	out := session.Rewound{}
	limit := MaxRewind
	switch {
	case s.RewindCount > 0 && want < MaxRewind:
		limit = int(want)
	case s.RewindCount > MaxRewind:
		out.Limited = true
	}
	q := stream.Query{Ref: f.topic.ref, To: at, Reverse: true, RowsOnly: true, Limit: limit, Bytes: rewindBytes}
	if s.RewindMS > 0 {
		q.FromTime = f.topic.hub.opts.Now() - s.RewindMS
	}
	if limit == 0 || at == 0 {
		return out, nil, nil
	}
	page, err := f.topic.hub.opts.Store.Read(ctx, q)
	if err != nil {
		return out, nil, err
	}
	if page.Bounds.Stream != b.Stream {
		return out, nil, nil // it was reset meanwhile: the follower will be told
	}
	states, err := view.Rows(ctx, f.topic.hub.opts.Store, f.topic.ref, page.Entries, at, page.Bounds)
	if err != nil {
		return out, nil, err
	}
	r := &rewind{rows: make([]rewound, len(page.Entries))}
	for i, e := range page.Entries {
		r.rows[len(r.rows)-1-i] = rewound{e, states[i]}
	}
	n := uint64(len(r.rows))
	out.Limited = out.Limited || page.More && (s.RewindMS > 0 || n < want)
	out.Truncated = !page.More && page.Bounds.Truncated() && (s.RewindMS > 0 && q.FromTime <= page.Bounds.FloorTime || s.RewindCount > 0 && n < want)
	out.Rows = n
	if n == 0 {
		return out, nil, nil
	}
	return out, r, nil
}

// sendRows queues rewound rows while there is room; false when some are left. The session's lock is held.
func (f *Follower) sendRows() bool {
	r, t := f.rewind, f.topic
	for ; r.next < len(r.rows); r.next++ {
		row := &r.rows[r.next]
		payload, ok := f.enc.Entry(nil, session.Delivery{Ref: t.ref, Stream: f.stream, Entry: row.entry, State: &row.state, Rewound: true})
		if ok && !f.out.Put(t.hub.framed(f.enc, payload)) {
			return false
		}
		if ok {
			f.rowsSent++
		}
	}
	f.rewind = nil
	return true
}

// ended describes the replay that was just completed; the session's lock is held.
func (f *Follower) ended() session.ReplayEnded {
	return session.ReplayEnded{Tag: f.tag, Serial: f.attach, Stream: f.stream, Sent: f.replayed, Rows: f.rowsSent, Last: f.last}
}
