package httpapi

import (
	"net/http"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/page"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

var historyRoutes = []route{
	{[]string{"channels", ":channel", "history"}, []endpoint{
		{method: http.MethodGet, params: serverapi.HistoryParams, read: true, do: (*call).history}}},
	{[]string{"channels", ":channel", "history", "state"}, []endpoint{{method: http.MethodGet, read: true, do: (*call).historyState}}},
}

const pageBytes = page.MaxBytes

func (c *call) ref() stream.Ref { return stream.Ref{App: c.app.ID, Channel: c.match.channel} }

func (c *call) history() error {
	asked, err := serverapi.ParseHistory(&c.params, c.seal(), c.match.channel, c.app.Limits.HistoryPage)
	if err != nil {
		return err
	}
	p, err := page.Read(c.r.Context(), c.api.opts.Node, c.ref(), c.seal(), &asked)
	if err != nil {
		return err
	}
	c.out = p.Append(c.out, c.api.opts.Node, c.app, &asked)
	return c.answer(http.StatusOK)
}

// source names the store that answers reads.
func (c *call) source() string { return page.Source(c.api.opts.Node) }

func (c *call) historyState() error {
	b, oldest, err := c.api.opts.Node.Bounds(c.r.Context(), c.ref())
	if err != nil {
		return err
	}
	c.out = serverapi.AppendHistoryState(c.out, c.match.channel, b, oldest, c.source())
	return c.answer(http.StatusOK)
}
