package httpapi

import (
	"net/http"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

var publishRoutes = []route{
	{[]string{"events"}, []endpoint{{method: http.MethodPost, do: (*call).publish}}},
	{[]string{"batch_events"}, []endpoint{{method: http.MethodPost, do: (*call).publishBatch}}},
}

func (c *call) publish() error {
	e, err := serverapi.DecodePublish(c.body, &c.app.Limits)
	if err != nil {
		return err
	}
	once, err := c.once()
	if err != nil {
		return err
	}
	e.WithOnce(once, -1)
	if err := c.api.limits.publish(c, len(e.Channels)); err != nil {
		return err
	}
	ps := c.publishes(c.one[:0], &e)
	results, err := c.append(ps)
	if err != nil {
		return err
	}
	var told []serverapi.Told
	if e.Asks() {
		told = make([]serverapi.Told, len(results))
		for i := range results {
			if told[i], err = c.told(&e, e.Channels[i], results[i]); err != nil {
				return err
			}
		}
	}
	c.out = serverapi.AppendPublished(c.out, &e, told)
	return c.answer(http.StatusOK)
}

func (c *call) publishBatch() error {
	events, err := serverapi.DecodeBatch(c.body, &c.app.Limits)
	if err != nil {
		return err
	}
	once, err := c.once()
	if err != nil {
		return err
	}
	if err := c.api.limits.publish(c, len(events)); err != nil {
		return err
	}
	ps := make([]node.Publish, 0, len(events))
	for i := range events {
		events[i].WithOnce(once, i)
		ps = c.publishes(ps, &events[i])
	}
	results, err := c.append(ps)
	if err != nil {
		return err
	}
	told := make([]serverapi.Told, len(results))
	for i := range results {
		if told[i], err = c.told(&events[i], events[i].Channels[0], results[i]); err != nil {
			return err
		}
	}
	c.out = serverapi.AppendBatch(c.out, events, told)
	return c.answer(http.StatusOK)
}

// once is the idempotency key of the header, empty when there is none.
func (c *call) once() (string, error) {
	h := c.r.Header["X-Idempotency-Key"]
	if len(h) == 0 {
		return "", nil
	}
	return h[0], serverapi.CheckOnce(h[0])
}

// publishes appends one publish for each channel of an event.
func (c *call) publishes(ps []node.Publish, e *serverapi.Event) []node.Publish {
	key, print := e.Receipt()
	for _, name := range e.Channels {
		entry := e.Entry()
		if e.Socket != "" { // who publishes through a connection began the message, for message_update_own and the like
			entry.User = c.api.opts.Node.Sessions().User(c.app.ID, e.Socket)
		}
		ps = append(ps, node.Publish{Ref: stream.Ref{App: c.app.ID, Channel: name}, Entry: entry, Key: key, Fingerprint: print,
			Ephemeral: e.Ephemeral, Position: e.Positioned()})
	}
	return ps
}

// append publishes. Nothing is appended anywhere if a policy forbids one of the channels.
func (c *call) append(ps []node.Publish) ([]stream.Result, error) {
	if len(ps) > 1 {
		for i := range ps {
			if name := ps[i].Ref.Channel; !c.app.Policy(name).ServerPublishes() {
				return nil, fault.New(fault.Forbidden, "the policy of channel %q does not let backends publish", name)
			}
		}
	}
	results, err := c.api.opts.Node.Publish(c.r.Context(), ps...)
	if err != nil {
		return nil, err
	}
	return results, firstFault(ps, results)
}

// firstFault is what a request answers that failed for some of its channels: an unknown outcome before all else, since
// then the request has to be repeated whatever the others say.
func firstFault(ps []node.Publish, results []stream.Result) error {
	worst := -1
	for i, r := range results {
		if r.Outcome == stream.Unknown {
			worst = i
			break
		}
		if r.Outcome == stream.Refused && worst < 0 {
			worst = i
		}
	}
	switch {
	case worst < 0:
		return nil
	case len(ps) == 1:
		return resultFault(results[worst])
	}
	f := *fault.Of(resultFault(results[worst]))
	f.Msg = "channel " + channel.Quote(ps[worst].Ref.Channel) + ": " + f.Msg
	return &f
}

// resultFault is the fault of a result that is not one of success.
func resultFault(r stream.Result) error {
	switch {
	case r.Outcome == stream.Applied, r.Outcome == stream.Duplicate:
		return nil
	case r.Outcome == stream.Unknown && fault.KindOf(r.Err) != fault.Unknown:
		return fault.New(fault.Unknown, "whether this was written is not known: repeat the request with the same idempotency key")
	}
	return r.Err
}

// told is what the answer says about one channel.
func (c *call) told(e *serverapi.Event, name string, r stream.Result) (serverapi.Told, error) {
	t := serverapi.Told{Channel: name, Result: r, Users: -1, Subscribers: -1}
	if e.Info&serverapi.SubscriptionCount != 0 {
		t.Subscribers = c.api.opts.Node.Hub().Subscribers(stream.Ref{App: c.app.ID, Channel: name})
	}
	if kind, _ := channel.Classify(name); kind == channel.Presence && e.Info&serverapi.UserCount != 0 {
		n, err := c.api.opts.Presence.Count(c.r.Context(), c.app.ID, name)
		if err != nil {
			return t, err
		}
		t.Users = n
	}
	return t, nil
}
