package gateway

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/run/node"
)

// recall answers what a cache channel remembers: the newest row of its log, while it is younger than the policy's time.
// The log is the cache, so it survives restarts like everything else.
func (g *Gateway) recall(ctx context.Context, a *app.App, e session.Recall) session.Input {
	out := session.Recalled{Tag: e.Tag}
	if e.At == 0 {
		return out
	}
	policy := a.Policy(e.Ref.Channel)
	q := node.HistoryQuery{Ref: e.Ref, To: e.At, Reverse: true, Limit: 1}
	if policy.Cache > 0 {
		q.FromTime = g.opts.Now() - policy.Cache.Milliseconds()
	}
	h, err := g.opts.Node.History(ctx, q)
	switch {
	case fault.KindOf(err) == fault.Disabled && err != nil:
		return out // a channel without a log remembers nothing
	case err != nil:
		out.Err = err
	case len(h.Rows) > 0:
		out.Entry, out.State, out.Stream = h.Rows[0].Entry, h.Rows[0].State, h.Bounds.Stream
	}
	return out
}
