package presence

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// HistoryQuery asks for transitions. Zero bounds do not bound.
type HistoryQuery struct {
	Ref              stream.Ref
	From, To         uint64 // serials, inclusive
	FromTime, ToTime int64  // unix ms, inclusive
	Reverse          bool   // newest first
	Limit            int
	// Stream, when set, is the incarnation that a cursor belongs to: another one is Invalid.
	Stream stream.ID
}

// History is a page of transitions.
type History struct {
	Bounds stream.Bounds
	Oldest stream.EntryID  // of the oldest entry that is retained, zero when there is none
	Rows   []*stream.Entry // transitions: see core/presence.ChangeOf
	More   bool
	Last   uint64 // the serial up to which (down to which) the page has looked: where the next one goes on
}

// A page of history looks at no more entries than mostLooked, however few of them are transitions.
const (
	lookPage   = 256
	mostLooked = 8192
)

// History reads a page of a presence log's transitions. Entries that only say that a further connection came or went
// are passed over.
func (g *Register) History(ctx context.Context, q HistoryQuery) (History, error) {
	var h History
	sq := stream.Query{Ref: q.Ref, From: q.From, To: q.To, FromTime: q.FromTime, ToTime: q.ToTime, Reverse: q.Reverse, Limit: lookPage}
	for looked := 0; ; {
		page, err := g.opts.Store.Read(ctx, sq)
		if err != nil {
			return h, err
		}
		if looked == 0 {
			h.Bounds = page.Bounds
			if q.Stream != "" && q.Stream != page.Bounds.Stream {
				return h, fault.New(fault.Invalid, "Expired history cursor: channel stream changed").In("cursor")
			}
		} else if page.Bounds.Stream != h.Bounds.Stream {
			return h, fault.New(fault.Unavailable, "the history was reset while it was read: repeat the request")
		}
		for _, e := range page.Entries {
			if presence.ChangeOf(e) != presence.None {
				if len(h.Rows) == q.Limit {
					h.More = true
					break
				}
				h.Rows = append(h.Rows, e)
			}
			h.Last = e.Serial
		}
		looked += len(page.Entries)
		if h.More || !page.More || looked >= mostLooked {
			h.More = h.More || page.More
			break
		}
		if sq.From = h.Last + 1; q.Reverse {
			sq.From, sq.To = q.From, h.Last-1
		}
	}
	var err error
	h.Oldest, err = g.oldest(ctx, q.Ref, h.Bounds)
	return h, err
}

// Bounds reads what of a presence log can be read, and the id of its oldest entry.
func (g *Register) Bounds(ctx context.Context, ref stream.Ref) (stream.Bounds, stream.EntryID, error) {
	page, err := g.opts.Store.Read(ctx, stream.Query{Ref: ref})
	if err != nil {
		return stream.Bounds{}, stream.EntryID{}, err
	}
	oldest, err := g.oldest(ctx, ref, page.Bounds)
	return page.Bounds, oldest, err
}

func (g *Register) oldest(ctx context.Context, ref stream.Ref, b stream.Bounds) (stream.EntryID, error) {
	if b.Retained() == 0 {
		return stream.EntryID{}, nil
	}
	page, err := g.opts.Store.Read(ctx, stream.Query{Ref: ref, From: b.Floor + 1, Limit: 1})
	if err != nil || len(page.Entries) == 0 {
		return stream.EntryID{}, err
	}
	return page.Entries[0].ID(), nil
}
