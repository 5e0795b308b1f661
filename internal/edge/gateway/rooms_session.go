package gateway

import (
	"context"
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/run/conn"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

// roomsSession is what one session of the rooms face asks of the server. It is used by one step at a time.
type roomsSession struct {
	gateway *Gateway
	app     *app.App
	id      string // of the earlier session that it goes by; empty: its own
}

// alias is the id that the session goes by, empty when it is the connection's own.
func (s *roomsSession) alias() string { return s.id }

// other carries out the effects that only this face has.
func (s *roomsSession) other(ctx context.Context, c *conn.Conn, e session.Effect) []session.Input {
	switch e := e.(type) {
	case session.Adopt:
		s.adopt(c, e.ID)
	case session.Authenticate:
		s.authenticate(c, e.Token)
	case session.Scroll:
		in := s.scroll(ctx, e)
		in.Tag = e.Tag
		return []session.Input{in}
	}
	return nil
}

func (s *roomsSession) adopt(c *conn.Conn, id string) {
	s.id = id
	if holder := s.gateway.opts.Node.Sessions().Adopt(s.app.ID, c, id); holder != nil {
		holder.Post(session.Terminate{Cause: session.Replaced})
	}
}

// authenticate proves a token beside everything else that the session does: its keys may have to be fetched.
func (s *roomsSession) authenticate(c *conn.Conn, raw string) {
	s.gateway.open.enter()
	go func() {
		defer s.gateway.open.leave()
		grant, _, err := s.gateway.bearer(raw)
		if err != nil {
			grant = auth.Grant{}
		}
		c.Post(session.Authenticated{Grant: grant, Err: err})
	}()
}

// pageBytes bounds what one page over HTTP shows, so that a page of large messages cannot take all memory. Pages over a
// socket are bounded by a part of its outbox: a client that asks for one must not be cut off by it.
const pageBytes = 1 << 20

func (g *Gateway) scrollBytes() int { return min(pageBytes, g.opts.OutboxBytes/4) }

// scroll reads a page of history.
func (s *roomsSession) scroll(ctx context.Context, e session.Scroll) session.Scrolled {
	seal := s.gateway.seal(s.app)
	asked, err := askedOf(e, seal, s.app.Limits.HistoryPage)
	if err != nil {
		return session.Scrolled{Err: err}
	}
	q := node.HistoryQuery{Ref: e.Ref, Reverse: !asked.OldestFirst, Limit: asked.Limit, Bytes: s.gateway.scrollBytes(), AsOf: asked.AsOf, Stream: asked.Stream,
		From: asked.Serials.Start, To: asked.Serials.End}
	switch {
	case asked.Serial == 1 && !asked.OldestFirst:
		return session.Scrolled{}
	case asked.Serial > 0 && asked.OldestFirst:
		q.From = asked.Serial + 1
	case asked.Serial > 0:
		q.To = asked.Serial - 1
	}
	h, err := s.gateway.opts.Node.History(ctx, q)
	switch {
	case err != nil:
		return session.Scrolled{Err: err}
	case asked.Serial > 0 && asked.OldestFirst && q.From <= h.Bounds.Floor:
		return session.Scrolled{Err: fault.New(fault.Invalid, "Expired history cursor: retention has passed it").In("cursor")}
	case h.More && len(h.Rows) == 0:
		return session.Scrolled{Err: fault.New(fault.Unavailable, "retention passed the page while it was read: repeat the request")}
	}
	out := session.Scrolled{}
	for i, size := 0, 0; i < len(h.Rows); i++ {
		if size += len(h.Rows[i].State.Data.Bytes); i > 0 && size > s.gateway.scrollBytes() { // appends have made it grow
			h.Rows, h.More = h.Rows[:i], true
			break
		}
		out.Rows = append(out.Rows, h.Rows[i].State)
	}
	out.More, out.Truncated = h.More, truncated(&asked, &h)
	if h.More {
		out.Next = asked.Next(seal, h.Rows[len(h.Rows)-1].Entry.Serial, h.Bounds.Stream, h.AsOf)
	}
	return out
}

// askedOf reads what a page asks for, in the form of the server API: cursors are its own.
func askedOf(e session.Scroll, seal serverapi.Seal, most int) (serverapi.History, error) {
	query := auth.Query{{Name: "limit", Value: strconv.Itoa(max(1, e.Query.Limit))}}
	add := func(name, value string) { query = append(query, auth.Param{Name: name, Value: value}) }
	if e.Query.Cursor != "" {
		add("cursor", e.Query.Cursor)
	} else if e.Query.OldestFirst {
		add("direction", "oldest_first")
	}
	if e.Query.Serials.HasStart {
		add("start_serial", strconv.FormatUint(e.Query.Serials.Start, 10))
	}
	if e.Query.Serials.HasEnd {
		add("end_serial", strconv.FormatUint(e.Query.Serials.End, 10))
	}
	p, err := serverapi.ParseParams(query, serverapi.HistoryParams...)
	if err != nil {
		return serverapi.History{}, err
	}
	return serverapi.ParseHistory(&p, seal, e.Ref.Channel, most)
}

// truncated reports whether retention has removed a part of what was asked for. Newest first, that is known only at the
// end.
func truncated(asked *serverapi.History, h *node.History) bool {
	return h.Bounds.Truncated() && (asked.OldestFirst || !h.More) && !(asked.Serials.HasStart && asked.Serials.Start > h.Bounds.Floor)
}

// seal is what the cursors of an app are sealed with.
func (g *Gateway) seal(a *app.App) serverapi.Seal { return serverapi.NewSeal(a.ID, a.Keys[0].Secret) }
