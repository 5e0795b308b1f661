package httpapi

import (
	"context"
	"net/http"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/stream"
	register "github.com/continuo-rt/continuo/internal/run/presence"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

var presenceRoutes = []route{
	{[]string{"channels", ":channel", "presence", "history"}, []endpoint{
		{method: http.MethodGet, params: serverapi.PresenceHistoryParams, read: true, do: (*call).presenceHistory}}},
	{[]string{"channels", ":channel", "presence", "history", "state"}, []endpoint{{method: http.MethodGet, read: true, do: (*call).presenceState}}},
	{[]string{"channels", ":channel", "presence", "history", "reset"}, []endpoint{{method: http.MethodPost, do: (*call).presenceReset}}},
	{[]string{"channels", ":channel", "presence", "history", "snapshot"}, []endpoint{
		{method: http.MethodGet, params: serverapi.PresenceSnapshotParams, read: true, do: (*call).presenceSnapshot}}},
}

// PresenceLog is what Options.Presence may offer beside the members of now: what was before. Errors are faults.
type PresenceLog interface {
	// Bounds is what of the log can be read, and the id of its oldest entry.
	Bounds(ctx context.Context, ref stream.Ref) (stream.Bounds, stream.EntryID, error)
	// History reads transitions.
	History(ctx context.Context, q register.HistoryQuery) (register.History, error)
	// At finds the entry at a moment, and Members reads the members as of it, in order of their ids.
	At(ctx context.Context, ref stream.Ref, w register.When) (stream.EntryID, stream.Bounds, error)
	Members(ctx context.Context, ref stream.Ref, at stream.EntryID, after string, limit int) (register.Snapshot, error)
	// Degraded reports whether the log misses transitions.
	Degraded(ref stream.Ref) bool
	// Reset begins the log anew with the members that are there.
	Reset(ctx context.Context, ref stream.Ref) (stream.CutResult, error)
}

var _ PresenceLog = (*register.Register)(nil)

// presenceLog gives the presence log of the call's channel.
func (c *call) presenceLog() (PresenceLog, stream.Ref, error) {
	ref := c.ref()
	ref.Log = stream.Presence
	if err := serverapi.CheckPresence(ref.Channel); err != nil {
		return nil, ref, err
	}
	log, ok := c.api.opts.Presence.(PresenceLog)
	if !ok {
		return nil, ref, fault.New(fault.Disabled, "this server keeps no presence history")
	}
	return log, ref, nil
}

func (c *call) presenceHistory() error {
	log, ref, err := c.presenceLog()
	if err != nil {
		return err
	}
	seal := c.seal().Presence()
	asked, err := serverapi.ParseHistory(&c.params, seal, c.match.channel, c.app.Limits.HistoryPage)
	if err != nil {
		return err
	}
	h, err := c.readPresence(log, ref, &asked)
	if err != nil {
		return err
	}
	page := serverapi.PresencePage{Asked: &asked, Bounds: h.Bounds, Oldest: h.Oldest, Rows: h.Rows, More: h.More,
		Degraded: log.Degraded(ref), Source: c.source()}
	if h.More {
		asOf := asked.AsOf
		if asOf == 0 {
			asOf = h.Bounds.Head
		}
		page.Next = asked.Next(seal, h.Last, h.Bounds.Stream, asOf)
	}
	c.out = serverapi.AppendPresenceHistory(c.out, &page)
	return c.answer(http.StatusOK)
}

// readPresence reads the page that was asked for: from the entry after the cursor's, if there is one, and no further
// than the log reached when the first page was read.
func (c *call) readPresence(log PresenceLog, ref stream.Ref, asked *serverapi.History) (register.History, error) {
	q := register.HistoryQuery{Ref: ref, Reverse: !asked.OldestFirst, Limit: asked.Limit, Stream: asked.Stream, From: asked.Serials.Start,
		To: asked.Serials.End, FromTime: int64(asked.Times.Start), ToTime: int64(asked.Times.End)}
	if asked.AsOf > 0 && (q.To == 0 || q.To > asked.AsOf) {
		q.To = asked.AsOf
	}
	switch {
	case asked.Empty(), asked.Serial == 1 && !asked.OldestFirst:
		var h register.History
		var err error
		h.Bounds, h.Oldest, err = log.Bounds(c.r.Context(), ref)
		return h, err
	case asked.Serial > 0 && asked.OldestFirst:
		q.From = asked.Serial + 1
	case asked.Serial > 0:
		q.To = asked.Serial - 1
	}
	h, err := log.History(c.r.Context(), q)
	if err == nil && asked.Serial > 0 && asked.OldestFirst && q.From <= h.Bounds.Floor {
		err = fault.New(fault.Invalid, "Expired history cursor: retention has passed it").In("cursor")
	}
	return h, err
}

func (c *call) presenceStream(log PresenceLog, ref stream.Ref) (serverapi.PresenceStream, error) {
	s := serverapi.PresenceStream{Channel: ref.Channel, Degraded: log.Degraded(ref), Source: c.source()}
	var err error
	s.Bounds, s.Oldest, err = log.Bounds(c.r.Context(), ref)
	return s, err
}

func (c *call) presenceState() error {
	log, ref, err := c.presenceLog()
	if err != nil {
		return err
	}
	s, err := c.presenceStream(log, ref)
	if err != nil {
		return err
	}
	c.out = serverapi.AppendPresenceState(c.out, &s)
	return c.answer(http.StatusOK)
}

func (c *call) presenceReset() error {
	log, ref, err := c.presenceLog()
	if err != nil {
		return err
	}
	o, err := serverapi.DecodeOrder(c.body, "reset", c.match.channel)
	if err != nil {
		return err
	}
	result, err := log.Reset(c.r.Context(), ref)
	if err != nil {
		return err
	}
	s, err := c.presenceStream(log, ref)
	if err != nil {
		return err
	}
	c.api.opts.Log.Warn("a presence history was reset", "app", ref.App, "channel", ref.Channel, "reason", o.Reason,
		"requested_by", o.RequestedBy, "entries", result.Entries)
	c.out = serverapi.AppendPresenceReset(c.out, &o, &result, &s)
	return c.answer(http.StatusOK)
}

// mostMembers is how many members one snapshot shows.
const mostMembers = 100_000

func (c *call) presenceSnapshot() error {
	log, ref, err := c.presenceLog()
	if err != nil {
		return err
	}
	m, err := serverapi.ParseMoment(&c.params, c.api.opts.Now())
	if err != nil {
		return err
	}
	at, b, err := log.At(c.r.Context(), ref, register.When{AtSerial: m.AtSerial, AtTime: m.AtTime, Serial: m.Serial, Time: m.Time})
	if err != nil {
		return err
	}
	members, err := c.membersAt(log, ref, at, b.Stream)
	if err != nil {
		return err
	}
	page := serverapi.MembersPage{At: at, Members: members}
	if page.PresenceStream, err = c.presenceStream(log, ref); err != nil {
		return err
	}
	if c.out, err = serverapi.AppendMembers(c.out, &page); err != nil {
		return err
	}
	return c.answer(http.StatusOK)
}

func (c *call) membersAt(log PresenceLog, ref stream.Ref, at stream.EntryID, id stream.ID) (all []presence.State, err error) {
	after := ""
	for {
		page, err := log.Members(c.r.Context(), ref, at, after, 1000)
		if err == nil && page.Bounds.Stream != id {
			err = fault.New(fault.Unavailable, "the history was reset while it was read: repeat the request")
		}
		if err != nil {
			return nil, err
		}
		all = append(all, page.Members...)
		if !page.More || len(page.Members) == 0 {
			return all, nil
		}
		if after = all[len(all)-1].User; len(all) >= mostMembers {
			return nil, fault.New(fault.LimitExceeded, "the channel had more than %d members then", mostMembers)
		}
	}
}
