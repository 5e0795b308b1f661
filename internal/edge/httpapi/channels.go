package httpapi

import (
	"net/http"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

var channelRoutes = append([]route{
	{[]string{"channels"}, []endpoint{
		{method: http.MethodGet, params: []string{"filter_by_prefix", "info"}, read: true, do: (*call).channels}}},
	{[]string{"channels", ":channel"}, []endpoint{{method: http.MethodGet, params: []string{"info"}, read: true, do: (*call).channel}}},
	{[]string{"channels", ":channel", "users"}, []endpoint{{method: http.MethodGet, read: true, do: (*call).users}}},
	{[]string{"users", ":subject", "terminate_connections"}, []endpoint{{method: http.MethodPost, do: (*call).terminate}}},
	{[]string{"users", ":subject", "force_reconnect"}, []endpoint{{method: http.MethodPost, do: (*call).reconnect}}},
}, presenceRoutes...)

// channels lists the occupied channels. Nothing is cached: a test that asks right after it subscribed sees itself.
func (c *call) channels() error {
	info, err := serverapi.ParseInfo(c.params.Text("info"), serverapi.UserCount|serverapi.SubscriptionCount)
	if err != nil {
		return err
	}
	prefix := c.params.Text("filter_by_prefix")
	var list []serverapi.Occupancy
	c.api.opts.Node.Hub().Occupied(c.app.ID, func(name string, subscribers int) bool {
		if len(name) >= len(prefix) && name[:len(prefix)] == prefix && !channel.Hidden(name) {
			list = append(list, serverapi.Occupancy{Channel: name, Users: -1, Subscribers: subscribers})
		}
		return true
	})
	for i := range list {
		if err := c.occupancy(&list[i], info); err != nil {
			return err
		}
	}
	c.out = serverapi.AppendChannels(c.out, list)
	return c.answer(http.StatusOK)
}

// occupancy finds out what info asks about a channel and forgets what it does not ask.
func (c *call) occupancy(o *serverapi.Occupancy, info serverapi.Info) error {
	if info&serverapi.UserCount != 0 {
		if kind, _ := channel.Classify(o.Channel); kind != channel.Presence {
			return fault.New(fault.Invalid, "user_count is known of presence channels alone, not of %s: ask with filter_by_prefix=presence-",
				channel.Quote(o.Channel)).In("info")
		}
		n, err := c.api.opts.Presence.Count(c.r.Context(), c.app.ID, o.Channel)
		if err != nil {
			return err
		}
		o.Users = n
	}
	if info&serverapi.SubscriptionCount == 0 {
		o.Subscribers = -1
	}
	return nil
}

func (c *call) channel() error {
	name := c.match.channel
	info, err := serverapi.ParseInfo(c.params.Text("info"), serverapi.UserCount|serverapi.SubscriptionCount|serverapi.WithCache)
	if err != nil {
		return err
	}
	n := c.api.opts.Node.Hub().Subscribers(c.ref())
	o := serverapi.Occupancy{Channel: name, Users: -1, Subscribers: n}
	if err := c.occupancy(&o, info); err != nil {
		return err
	}
	var cached *serverapi.Cached
	if info&serverapi.WithCache != 0 {
		if cached, err = c.cached(); err != nil {
			return err
		}
	}
	c.out = serverapi.AppendChannel(c.out, n > 0, &o, cached)
	return c.answer(http.StatusOK)
}

// cached is the last event of a cache channel while it is remembered, nil afterwards.
func (c *call) cached() (*serverapi.Cached, error) {
	if _, cache := channel.Classify(c.match.channel); !cache {
		return nil, fault.New(fault.Invalid, "cache is known of cache channels alone: their names begin with cache-, private-cache- or the like").In("info")
	}
	policy := c.app.Policy(c.match.channel)
	if policy.NoLog {
		return nil, nil
	}
	h, err := c.api.opts.Node.History(c.r.Context(), node.HistoryQuery{Ref: c.ref(), Reverse: true, Limit: 1})
	if err != nil || len(h.Rows) == 0 {
		return nil, err
	}
	row := &h.Rows[0]
	left := row.Entry.Time + policy.Cache.Milliseconds() - c.api.opts.Now()
	if left <= 0 || !row.State.Live() {
		return nil, nil
	}
	return &serverapi.Cached{Data: row.State.Data, Seconds: int((left + 999) / 1000)}, nil
}

func (c *call) users() error {
	if kind, _ := channel.Classify(c.match.channel); kind != channel.Presence {
		return fault.New(fault.Invalid, "users are known of presence channels alone, not of %s", channel.Quote(c.match.channel)).In("channel")
	}
	users, err := c.api.opts.Presence.Users(c.r.Context(), c.app.ID, c.match.channel)
	if err != nil {
		return err
	}
	c.out = serverapi.AppendUsers(c.out, users)
	return c.answer(http.StatusOK)
}

func (c *call) terminate() error { return c.end(session.ByApp) }
func (c *call) reconnect() error { return c.end(session.Reconnect) }

// end orders the connections of a signed-in user to end.
func (c *call) end(cause session.Cause) error {
	if err := serverapi.CheckUser(c.match.subject); err != nil {
		return err
	}
	for _, one := range c.api.opts.Node.Sessions().OfUser(c.app.ID, c.match.subject) {
		one.Post(session.Terminate{Cause: cause})
	}
	c.out = append(c.out, `{"ok":true}`...)
	return c.answer(http.StatusOK)
}
