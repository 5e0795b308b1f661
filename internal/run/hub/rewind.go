package hub

import (
	"context"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/view"
)

// MaxRewind is the largest number of rows that a rewind sends.
const MaxRewind = 100

// rewindBytes bounds what is read to find where a rewind begins; what it holds until it is sent is a page.
const rewindBytes = 4 << 20

// rewind is history that is sent before the replay: rows, oldest first, as they were visible at a serial. It holds a page
// of them: the others are read when the socket has taken those.
type rewind struct {
	at       uint64
	rows     []rewound
	next     int
	from, to uint64 // where the rows that were not read yet are; from 0: all were
	tries    int    // reads of a page that a cut overtook
}

type rewound struct {
	entry *stream.Entry
	state message.State
}

// hold takes in entries, oldest first, as many as make a page.
func (r *rewind) hold(ctx context.Context, s stream.Store, ref stream.Ref, rows []*stream.Entry, b stream.Bounds) error {
	size, n := 0, 0
	for n < len(rows) && (n == 0 || size+rows[n].Size() <= pageBytes) {
		size += rows[n].Size()
		n++
	}
	states, err := view.Rows(ctx, s, ref, rows[:n], r.at, b)
	if err != nil {
		return err
	}
	r.rows, r.next, r.from, r.tries = make([]rewound, n), 0, 0, 0
	for i := range states {
		r.rows[i] = rewound{rows[i], states[i]}
	}
	if n < len(rows) {
		r.from = rows[n].Serial
	}
	return nil
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
	n := uint64(len(page.Entries))
	out.Limited = out.Limited || page.More && (s.RewindMS > 0 || n < want)
	out.Truncated = !page.More && page.Bounds.Truncated() && (s.RewindMS > 0 && q.FromTime <= page.Bounds.FloorTime || s.RewindCount > 0 && n < want)
	out.Rows = n
	if n == 0 {
		return out, nil, nil
	}
	r := &rewind{at: at, to: page.Entries[0].Serial}
	slices.Reverse(page.Entries)
	return out, r, r.hold(ctx, f.topic.hub.opts.Store, f.topic.ref, page.Entries, page.Bounds)
}

// readRows reads the next page of a rewind, from a follower that stands at a position. Rows that retention has removed
// since the rewind began are left out: what is sent is counted.
func (f *Follower) readRows(ctx context.Context, r *rewind, id stream.ID, at uint64) (more bool) {
	t := f.topic
	page, err := t.hub.opts.Store.Read(ctx, stream.Query{Ref: t.ref, From: r.from, To: r.to, RowsOnly: true, Limit: MaxRewind, Bytes: pageBytes})
	if err == nil && page.Bounds.Stream != id {
		return f.lost(id, at, stream.StreamReset, page.Bounds)
	}
	read := *r
	if err == nil {
		err = read.hold(ctx, t.hub.opts.Store, t.ref, page.Entries, page.Bounds)
	}
	switch n := len(page.Entries); {
	case fault.KindOf(err) == fault.NotProvable && read.tries < maxTries:
		read.tries++
	case err != nil:
		return f.lost(id, at, stream.StoreUnavailable, stream.Bounds{})
	case page.More && read.from == 0 && n > 0:
		read.from = page.Entries[n-1].Serial + 1
	}
	f.out.Lock()
	defer f.out.Unlock()
	if f.rewind == r { // else it was moved meanwhile
		f.rewind = &read
	}
	return f.state == behind
}

// sendRows queues the rewound rows that were read while there is room; false when some of them are left. The session's
// lock is held.
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
	if r.from == 0 {
		f.rewind = nil
	}
	return true
}

// ended describes the replay that was just completed; the session's lock is held.
func (f *Follower) ended() session.ReplayEnded {
	return session.ReplayEnded{Tag: f.tag, Serial: f.attach, Stream: f.stream, Sent: f.replayed, Rows: f.rowsSent, Last: f.last}
}
