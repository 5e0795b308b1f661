package node

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/view"
)

// HistoryQuery asks for rows of a stream's history. Zero bounds do not bound.
type HistoryQuery struct {
	Ref              stream.Ref
	From, To         uint64 // serials, inclusive
	FromTime, ToTime int64  // unix ms, inclusive
	Reverse          bool   // newest first
	Limit            int
	Bytes            int
	// AsOf is the serial whose versions the rows show: the head at the first page's read, carried from page to page by
	// cursors. 0: the head now.
	AsOf uint64
	// Stream, when set, is the incarnation that a cursor belongs to: another one is Invalid, "the stream changed".
	Stream stream.ID
}

// Row is one history row: a create or a put, and what it shows.
type Row struct {
	Entry *stream.Entry
	State message.State
}

// History is a page of rows.
type History struct {
	Bounds stream.Bounds
	Oldest stream.EntryID // of the oldest entry that is retained, zero when there is none
	Rows   []Row
	More   bool
	AsOf   uint64
}

// History reads a page of history. Rows show their visible version at AsOf: updates, deletions and appends fold into
// the row that they change, a put is a row of its own.
func (n *Node) History(ctx context.Context, q HistoryQuery) (History, error) {
	if err := n.logged(q.Ref); err != nil {
		return History{}, err
	}
	sq := stream.Query{Ref: q.Ref, From: q.From, To: q.To, FromTime: q.FromTime, ToTime: q.ToTime, Reverse: q.Reverse,
		RowsOnly: true, Limit: q.Limit, Bytes: q.Bytes}
	if q.AsOf > 0 && (sq.To == 0 || sq.To > q.AsOf) {
		sq.To = q.AsOf
	}
	page, err := n.store.Read(ctx, sq)
	if err != nil {
		return History{}, err
	}
	h := History{Bounds: page.Bounds, More: page.More, AsOf: q.AsOf, Rows: make([]Row, 0, len(page.Entries))}
	if q.Stream != "" && q.Stream != page.Bounds.Stream {
		return h, fault.New(fault.Invalid, "Expired history cursor: channel stream changed").In("cursor")
	}
	if h.AsOf == 0 {
		h.AsOf = page.Bounds.Head
	}
	states, err := view.Rows(ctx, n.store, q.Ref, page.Entries, h.AsOf, page.Bounds)
	if err != nil {
		return History{}, err
	}
	size := 0
	for i, e := range page.Entries {
		s := states[i]
		if !s.Exists() {
			continue // it was trimmed while the page was read
		}
		if size += len(s.Data.Bytes); q.Bytes > 0 && size > q.Bytes && len(h.Rows) > 0 {
			h.More = true // messages that grew count as large as they are shown
			break
		}
		h.Rows = append(h.Rows, Row{e, s})
	}
	h.Oldest, err = n.oldest(ctx, q.Ref, page)
	return h, err
}

// oldest is the id of the oldest retained entry.
func (n *Node) oldest(ctx context.Context, ref stream.Ref, page stream.Page) (stream.EntryID, error) {
	b := page.Bounds
	if b.Retained() == 0 {
		return stream.EntryID{}, nil
	}
	for _, e := range page.Entries {
		if e.Serial == b.Floor+1 {
			return e.ID(), nil
		}
	}
	p, err := n.store.Read(ctx, stream.Query{Ref: ref, From: b.Floor + 1, Limit: 1})
	if err != nil || len(p.Entries) == 0 {
		return stream.EntryID{}, err
	}
	return p.Entries[0].ID(), nil
}

// logged refuses reads of channels that keep no log.
func (n *Node) logged(ref stream.Ref) error {
	p, err := n.policy(ref)
	if err != nil {
		return err
	}
	if p.NoLog {
		return fault.New(fault.Disabled, "channel %q keeps no log, so it has no history", ref.Channel)
	}
	return nil
}

// Bounds reads what of a stream can be read, and the id of its oldest entry.
func (n *Node) Bounds(ctx context.Context, ref stream.Ref) (stream.Bounds, stream.EntryID, error) {
	if err := n.logged(ref); err != nil {
		return stream.Bounds{}, stream.EntryID{}, err
	}
	page, err := n.store.Read(ctx, stream.Query{Ref: ref})
	if err != nil {
		return stream.Bounds{}, stream.EntryID{}, err
	}
	oldest, err := n.oldest(ctx, ref, page)
	return page.Bounds, oldest, err
}

// Message reads one message as of a serial (0: now), by its serial or by key. NotFound when there is none.
func (n *Node) Message(ctx context.Context, ref stream.Ref, serial uint64, key string, at uint64) (message.State, stream.Bounds, error) {
	if err := n.logged(ref); err != nil {
		return message.State{}, stream.Bounds{}, err
	}
	s, b, err := view.Message(ctx, n.store, ref, serial, key, at)
	if err == nil && !s.Exists() {
		err = fault.New(fault.NotFound, "there is no such message: it never existed, or retention has removed it")
	}
	return s, b, err
}
