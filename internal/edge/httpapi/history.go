package httpapi

import (
	"net/http"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

var historyRoutes = []route{
	{[]string{"channels", ":channel", "history"}, []endpoint{
		{method: http.MethodGet, params: serverapi.HistoryParams, read: true, do: (*call).history}}},
	{[]string{"channels", ":channel", "history", "state"}, []endpoint{{method: http.MethodGet, read: true, do: (*call).historyState}}},
}

// pageBytes bounds what one page shows, so that a page of large messages cannot take all memory.
const pageBytes = 8 << 20

func (c *call) ref() stream.Ref { return stream.Ref{App: c.app.ID, Channel: c.match.channel} }

func (c *call) history() error {
	asked, err := serverapi.ParseHistory(&c.params, c.seal(), c.match.channel, c.app.Limits.HistoryPage)
	if err != nil {
		return err
	}
	h, err := c.readHistory(&asked)
	if err != nil {
		return err
	}
	page := serverapi.HistoryPage{Asked: &asked, Bounds: h.Bounds, Oldest: h.Oldest, More: h.More, Rows: make([]serverapi.Row, len(h.Rows)),
		Mutable: c.app.Policy(c.match.channel).Mutable, Source: c.source()}
	for i := range h.Rows {
		page.Rows[i] = serverapi.Row{Entry: h.Rows[i].Entry, State: &h.Rows[i].State}
	}
	if page.More {
		if len(page.Rows) == 0 {
			return fault.New(fault.Unavailable, "retention passed the page while it was read: repeat the request")
		}
		page.Next = asked.Next(c.seal(), page.Rows[len(page.Rows)-1].Entry.Serial, h.Bounds.Stream, h.AsOf)
	}
	c.out = serverapi.AppendHistory(c.out, nil, &page)
	return c.answer(http.StatusOK)
}

// readHistory reads the page that was asked for: from the row after the cursor's, if there is one.
func (c *call) readHistory(asked *serverapi.History) (node.History, error) {
	q := node.HistoryQuery{Ref: c.ref(), Reverse: !asked.OldestFirst, Limit: asked.Limit, Bytes: pageBytes, AsOf: asked.AsOf, Stream: asked.Stream,
		From: asked.Serials.Start, To: asked.Serials.End, FromTime: int64(asked.Times.Start), ToTime: int64(asked.Times.End)}
	switch {
	case asked.Empty(), asked.Serial == 1 && !asked.OldestFirst:
		var h node.History
		var err error
		h.Bounds, h.Oldest, err = c.api.opts.Node.Bounds(c.r.Context(), q.Ref)
		return h, err
	case asked.Serial > 0 && asked.OldestFirst:
		q.From = asked.Serial + 1
	case asked.Serial > 0:
		q.To = asked.Serial - 1
	}
	h, err := c.api.opts.Node.History(c.r.Context(), q)
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

// source names the store that answers reads.
func (c *call) source() string {
	if name := c.api.opts.Node.Store().Info().Name; name != "memory" {
		return name
	}
	return "in_memory"
}

func (c *call) historyState() error {
	b, oldest, err := c.api.opts.Node.Bounds(c.r.Context(), c.ref())
	if err != nil {
		return err
	}
	c.out = serverapi.AppendHistoryState(c.out, c.match.channel, b, oldest, c.source())
	return c.answer(http.StatusOK)
}
