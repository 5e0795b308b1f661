package httpapi

import (
	"net/http"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

var cutRoutes = []route{
	{[]string{"channels", ":channel", "history", "reset"}, []endpoint{{method: http.MethodPost, do: (*call).reset}}},
	{[]string{"channels", ":channel", "history", "purge"}, []endpoint{{method: http.MethodPost, do: (*call).purge}}},
}

func (c *call) reset() error {
	o, err := serverapi.DecodeOrder(c.body, "reset", c.match.channel)
	if err != nil {
		return err
	}
	return c.cut(&o, stream.Cut{Ref: c.ref(), Kind: stream.Reset})
}

func (c *call) purge() error {
	o, err := serverapi.DecodeOrder(c.body, "purge", c.match.channel)
	if err != nil {
		return err
	}
	cut := stream.Cut{Ref: c.ref(), Kind: stream.Purge}
	if cut.Through, err = c.through(&o, cut.Ref); err != nil {
		return err
	}
	return c.cut(&o, cut)
}

// through is the last serial that a purge removes: what is at or beyond its bound stays.
func (c *call) through(o *serverapi.Order, ref stream.Ref) (uint64, error) {
	q := stream.Query{Ref: ref}
	switch {
	case o.Mode == "before_serial":
		return max(o.Before, 1) - 1, nil
	case o.Mode == "before_time_ms" && o.Before == 0:
		return 0, nil
	case o.Mode == "before_time_ms":
		q.ToTime, q.Reverse, q.Limit = int64(o.Before)-1, true, 1
		if q.ToTime == 0 { // 0 would not bound
			return 0, nil
		}
	}
	page, err := c.api.opts.Node.Store().Read(c.r.Context(), q)
	switch {
	case err != nil:
		return 0, err
	case o.Mode == "all":
		return page.Bounds.Head, nil
	case len(page.Entries) == 0:
		return 0, nil
	}
	return page.Entries[0].Serial, nil
}

func (c *call) cut(o *serverapi.Order, cut stream.Cut) error {
	if _, _, err := c.api.opts.Node.Bounds(c.r.Context(), cut.Ref); err != nil {
		return err // a channel without a log has nothing to cut
	}
	result, err := c.api.opts.Node.Cut(c.r.Context(), cut)
	if err != nil {
		return err
	}
	b, oldest, err := c.api.opts.Node.Bounds(c.r.Context(), cut.Ref)
	if err != nil {
		return err
	}
	if b.Stream == result.After.Stream && b.Floor == result.After.Floor {
		result.After = b
	}
	c.api.opts.Log.Warn("a history was cut", "operation", o.Operation, "app", cut.Ref.App, "channel", cut.Ref.Channel, "mode", o.Mode,
		"before", o.Before, "reason", o.Reason, "requested_by", o.RequestedBy, "entries", result.Entries)
	c.out = serverapi.AppendCut(c.out, cut.Ref.Channel, o, &result, oldest, c.source())
	return c.answer(http.StatusOK)
}
