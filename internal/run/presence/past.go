package presence

import (
	"context"
	"math"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// When is a moment of a presence log: a serial, a time, or now. Both together are whichever comes first.
type When struct {
	AtSerial, AtTime bool
	Serial           uint64
	Time             int64 // unix ms, inclusive
}

// Snapshot is a page of the members at a serial.
type Snapshot struct {
	Bounds  stream.Bounds
	Serial  uint64 // at which the members were; 0: before the first entry
	Time    int64  // of the entry at Serial, 0 when there is none
	Members []presence.State
	More    bool
}

// At finds the serial of a moment. NotProvable (Detail: the floor) when it lies before what is retained, Invalid when
// it has not come yet.
func (g *Register) At(ctx context.Context, ref stream.Ref, w When) (stream.EntryID, stream.Bounds, error) {
	page, err := g.opts.Store.Read(ctx, stream.Query{Ref: ref})
	if err != nil {
		return stream.EntryID{}, page.Bounds, err
	}
	b := page.Bounds
	at := b.HeadID()
	if w.AtTime {
		if w.Time > g.opts.Now() {
			return at, b, fault.New(fault.Invalid, "at_time_ms %d has not come yet", w.Time).In("at_time_ms")
		}
		if at, err = g.before(ctx, ref, b, w.Time); err != nil {
			return at, b, err
		}
	}
	if w.AtSerial {
		switch {
		case w.Serial > b.Head:
			return at, b, fault.New(fault.Invalid, "at_serial %d lies beyond the newest entry, %d", w.Serial, b.Head).In("at_serial")
		case w.Serial < at.Serial || !w.AtTime:
			if at, err = g.entryAt(ctx, ref, b, w.Serial); err != nil {
				return at, b, err
			}
		}
	}
	if at.Serial < b.Floor && at.Serial != 0 || at.Serial == 0 && b.Floor > 0 {
		return at, b, tooOld(b)
	}
	return at, b, nil
}

func tooOld(b stream.Bounds) error {
	return fault.New(fault.NotProvable, "retention has removed the entries up to serial %d: members before it are not known", b.Floor).With(b.Floor)
}

// before finds the newest entry that is not later than a time.
func (g *Register) before(ctx context.Context, ref stream.Ref, b stream.Bounds, ms int64) (stream.EntryID, error) {
	if ms >= b.HeadTime {
		return b.HeadID(), nil
	}
	page, err := g.opts.Store.Read(ctx, stream.Query{Ref: ref, ToTime: max(ms, 1), To: b.Head, Reverse: true, Limit: 1})
	switch {
	case err != nil:
		return stream.EntryID{}, err
	case len(page.Entries) > 0:
		return page.Entries[0].ID(), nil
	case b.Floor > 0 && ms < b.FloorTime:
		return stream.EntryID{}, tooOld(b)
	}
	return b.FloorID(), nil
}

func (g *Register) entryAt(ctx context.Context, ref stream.Ref, b stream.Bounds, serial uint64) (stream.EntryID, error) {
	switch serial {
	case 0:
		return stream.EntryID{}, nil
	case b.Head:
		return b.HeadID(), nil
	case b.Floor:
		return b.FloorID(), nil
	}
	if serial < b.Floor {
		return stream.EntryID{}, tooOld(b)
	}
	page, err := g.opts.Store.Read(ctx, stream.Query{Ref: ref, From: serial, To: serial, Limit: 1})
	if err != nil {
		return stream.EntryID{}, err
	}
	if len(page.Entries) == 0 {
		return stream.EntryID{}, tooOld(page.Bounds)
	}
	return page.Entries[0].ID(), nil
}

// Members is a page of the members at an entry that At found, in order of their ids, from the one after `after`.
func (g *Register) Members(ctx context.Context, ref stream.Ref, at stream.EntryID, after string, limit int) (Snapshot, error) {
	out := Snapshot{Serial: at.Serial, Time: at.Time}
	if at.Serial == 0 {
		page, err := g.opts.Store.Read(ctx, stream.Query{Ref: ref})
		out.Bounds = page.Bounds
		return out, err
	}
	page, err := g.opts.Store.Keys(ctx, stream.KeysQuery{Ref: ref, At: at.Serial, After: after, Limit: limit})
	if err != nil {
		return out, err
	}
	out.Bounds, out.More = page.Bounds, page.More
	out.Members = make([]presence.State, len(page.Rows))
	for i, row := range page.Rows {
		if out.Members[i], err = presence.Decode(row.State); err != nil {
			return out, err
		}
	}
	return out, nil
}

// list answers session.List beside everything else the session does.
func (g *Register) list(s Session, e session.List) {
	answer := func() {
		out := g.listed(e)
		out.Tag = e.Tag
		s.Post(out)
	}
	if !g.start(answer) {
		s.Post(session.Listed{Tag: e.Tag, Err: fault.New(fault.Unavailable, "the server is stopping")})
	}
}

func (g *Register) listed(e session.List) session.Listed {
	limit := g.policy(e.Ref).Presence.ListLimit
	if !e.AtSerial && !e.AtTime {
		in, err := g.present(g.ctx, e.Ref, limit)
		return session.Listed{Members: in.Members, Count: in.Count, Stream: in.Stream, Serial: in.Serial, Err: err}
	}
	at, b, err := g.At(g.ctx, e.Ref, When{AtSerial: e.AtSerial, Serial: e.Serial, AtTime: e.AtTime, Time: e.Time})
	if err != nil {
		return session.Listed{Err: err}
	}
	out := session.Listed{Stream: b.Stream, Serial: at.Serial}
	if at.Serial == 0 {
		return out
	}
	_, _, err = g.rows(g.ctx, e.Ref, at.Serial, math.MaxInt, func(row stream.KeyRow) error {
		if out.Count++; out.Count > limit {
			return nil
		}
		m, err := memberOf(row)
		out.Members = append(out.Members, m)
		return err
	})
	if err != nil {
		return session.Listed{Err: err}
	}
	return out
}
