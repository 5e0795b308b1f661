// Package page reads a channel's history page by page, whoever asks: the HTTP API or a session.
package page

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

// MaxBytes bounds what one page shows, so that a page of large messages cannot take all memory.
const MaxBytes = 8 << 20

// Page is a page of a history and the cursor of the next one, empty when there is none.
type Page struct {
	node.History
	Next string
}

// Read reads the page that was asked for: from the row after the cursor's, if there is one. seal makes the cursor of the
// next page.
func Read(ctx context.Context, n *node.Node, ref stream.Ref, seal serverapi.Seal, asked *serverapi.History) (Page, error) {
	h, err := read(ctx, n, ref, asked)
	p := Page{History: h}
	switch {
	case err != nil:
		return p, err
	case !h.More:
		return p, nil
	case len(h.Rows) == 0:
		return p, fault.New(fault.Unavailable, "retention passed the page while it was read: repeat the request")
	}
	p.Next = asked.Next(seal, h.Rows[len(h.Rows)-1].Entry.Serial, h.Bounds.Stream, h.AsOf)
	return p, nil
}

func read(ctx context.Context, n *node.Node, ref stream.Ref, asked *serverapi.History) (node.History, error) {
	q := node.HistoryQuery{Ref: ref, Reverse: !asked.OldestFirst, Limit: asked.Limit, Bytes: MaxBytes, AsOf: asked.AsOf, Stream: asked.Stream,
		From: asked.Serials.Start, To: asked.Serials.End, FromTime: int64(asked.Times.Start), ToTime: int64(asked.Times.End)}
	switch {
	case asked.Empty(), asked.Serial == 1 && !asked.OldestFirst:
		var h node.History
		var err error
		h.Bounds, h.Oldest, err = n.Bounds(ctx, ref)
		return h, err
	case asked.Serial > 0 && asked.OldestFirst:
		q.From = asked.Serial + 1
	case asked.Serial > 0:
		q.To = asked.Serial - 1
	}
	h, err := n.History(ctx, q)
	switch {
	case asked.Serial == 0:
		return h, err
	case err != nil && fault.KindOf(err) != fault.NotProvable:
		return h, err
	case err != nil, asked.OldestFirst && q.From <= h.Bounds.Floor:
		return h, fault.New(fault.Invalid, "Expired history cursor: retention has passed it").In("cursor")
	}
	return h, err
}

// Append appends the JSON object that answers a request for the page.
func (p *Page) Append(dst []byte, n *node.Node, a *app.App, asked *serverapi.History) []byte {
	shown := serverapi.HistoryPage{Asked: asked, Bounds: p.Bounds, Oldest: p.Oldest, More: p.More, Next: p.Next, Rows: make([]serverapi.Row, len(p.Rows)),
		Mutable: a.Policy(asked.Channel).Mutable, Source: Source(n)}
	for i := range p.Rows {
		shown.Rows[i] = serverapi.Row{Entry: p.Rows[i].Entry, State: &p.Rows[i].State}
	}
	return serverapi.AppendHistory(dst, nil, &shown)
}

// Source names the store that answers reads.
func Source(n *node.Node) string {
	if name := n.Store().Info().Name; name != "memory" {
		return name
	}
	return "in_memory"
}

// Answer carries out a session's request. Cursors are those of the HTTP API: a client may go on where the other left off.
func Answer(ctx context.Context, n *node.Node, a *app.App, e session.Page) session.Paged {
	out := session.Paged{Tag: e.Tag}
	seal := serverapi.AppSeal(a)
	asked, err := serverapi.AskHistory(e.Query, seal, e.Ref.Channel, a.Limits.HistoryPage)
	if err != nil {
		out.Err = err
		return out
	}
	p, err := Read(ctx, n, e.Ref, seal, &asked)
	if err != nil {
		out.Err = err
		return out
	}
	out.Body = p.Append(nil, n, a, &asked)
	return out
}
