package gateway

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/run/presence"
	"github.com/continuo-rt/continuo/internal/wire/rooms"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

// RoomsSnapshot serves GET /rooms/{room_id}/snapshot: the state of a room at a position that a join can continue from.
func (g *Gateway) RoomsSnapshot(w http.ResponseWriter, r *http.Request) {
	if preflight(w, r) {
		return
	}
	if err := g.roomsSnapshot(w, r); err != nil {
		for _, name := range []string{"Etag", "X-Stream-Id", "X-Event-Id", "Cache-Control"} {
			w.Header().Del(name)
		}
		refuseRooms(w, err)
	}
}

// preflight answers what a browser asks before it lets a page read a snapshot, or why it is not let in. It carries no
// credential, so nothing of the app can be asked yet: the answer to the request itself is what the app's origins rule.
func preflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, If-None-Match")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// share lets the pages of the app's origins read the answer. Without an app (the credential proves none) it tells
// nothing of any app, so the pages of every app's origins may know.
func (g *Gateway) share(w http.ResponseWriter, r *http.Request, a *app.App) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	allowed := a != nil && a.AllowsOrigin(origin)
	if a == nil {
		for one := range g.opts.Node.Apps().All() {
			allowed = allowed || one.AllowsOrigin(origin)
		}
	}
	if allowed {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "ETag, Retry-After, X-Event-Id, X-Stream-Id")
	}
}

// roomOf takes the room out of a path.
func roomOf(path string) (string, error) {
	part, ok := strings.CutPrefix(path, "/rooms/")
	part, last := strings.CutSuffix(part, "/snapshot")
	name, err := url.PathUnescape(part)
	if !ok || !last || part == "" || err != nil || strings.Contains(part, "/") {
		return "", fault.New(fault.NotFound, "there is nothing at this path: a snapshot is at /rooms/{room_id}/snapshot")
	}
	return name, nil
}

func (g *Gateway) roomsSnapshot(w http.ResponseWriter, r *http.Request) error {
	room, err := roomOf(r.URL.EscapedPath())
	if err != nil {
		return err
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusMethodNotAllowed)
		_, _ = w.Write(serverapi.AppendMethodError(nil, r.Method, "GET, HEAD, OPTIONS"))
		return nil
	}
	raw, _ := credential(r)
	grant, a, err := g.guest(raw, r.URL.Query().Get("app"))
	g.share(w, r, a)
	if err != nil {
		return err
	}
	name, err := channel.Parse(room, a.Limits.ChannelNameLength)
	if err != nil {
		return err
	}
	if err := rooms.Can(grant, name, auth.History); err != nil {
		return err
	}
	query, err := auth.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	query = slices.DeleteFunc(query, func(p auth.Param) bool { return p.Name == "token" || p.Name == "app" })
	params, err := serverapi.ParseParams(query, "limit", "cursor")
	if err != nil {
		return err
	}
	asked, err := serverapi.ParseSnapshot(&params, g.seal(a), name.String(), a.Limits.SnapshotPage, g.opts.Now())
	if err != nil {
		return err
	}
	s := snapshot{gateway: g, app: a, asked: &asked, ref: stream.Ref{App: a.ID, Channel: name.String()}}
	if asked.Cursor == nil && rooms.Can(grant, name, auth.Presence) == nil {
		s.members = g.membersOf(r.Context(), s.ref)
	}
	return s.serve(w, r)
}

// snapshot is one page of a room's state on its way to a client.
type snapshot struct {
	gateway *Gateway
	app     *app.App
	asked   *serverapi.Snapshot
	ref     stream.Ref
	members *session.Listed // nil: they are not shown
}

func (s *snapshot) serve(w http.ResponseWriter, r *http.Request) error {
	at, floor, err := s.pin(r.Context())
	if err != nil {
		return err
	}
	tag := s.asked.Tag(at.Stream, at.At, floor)
	if s.members != nil {
		tag = tag[:len(tag)-1] + "-" + strconv.FormatUint(s.members.Serial, 10) + `"`
	}
	h := w.Header()
	h["Etag"] = []string{tag}
	h.Set("X-Stream-Id", string(at.Stream))
	h.Set("X-Event-Id", strconv.FormatUint(at.At.Serial, 10))
	h.Set("Cache-Control", "private, no-cache")
	if given := r.Header.Get("If-None-Match"); given != "" && serverapi.Matches(given, tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	items, next, err := s.page(r.Context(), at)
	if err != nil {
		return err
	}
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(rooms.AppendSnapshot(nil, &rooms.Snapshot{Room: s.ref.Channel, Stream: at.Stream, At: at.At.Serial, Items: items,
		Members: s.members, Next: next}))
	return nil
}

// pin finds the moment that the snapshot shows: now, or that of the cursor as long as the stream still has it.
func (s *snapshot) pin(ctx context.Context) (serverapi.SnapshotCursor, uint64, error) {
	n := s.gateway.opts.Node
	if s.asked.Cursor == nil {
		p, err := n.Pin(ctx, node.Pin{Ref: s.ref})
		return serverapi.SnapshotCursor{Stream: p.Bounds.Stream, At: p.At, Complete: p.Complete}, p.Bounds.Floor, err
	}
	b, _, err := n.Bounds(ctx, s.ref)
	if err == nil && (b.Stream != s.asked.Cursor.Stream || b.Floor > s.asked.Cursor.At.Serial) {
		err = expiredSnapshot()
	}
	return *s.asked.Cursor, b.Floor, err
}

func expiredSnapshot() error {
	return fault.New(fault.SnapshotExpired, "the room no longer has the moment that the cursor shows: begin again with the first page").In("cursor")
}

// page reads the messages of the page, oldest first, and seals the cursor of the next one.
func (s *snapshot) page(ctx context.Context, at serverapi.SnapshotCursor) ([]message.State, string, error) {
	part, err := s.gateway.opts.Node.Snapshot(ctx, node.SnapshotQuery{Ref: s.ref, At: at.At.Serial, After: at.After, Rows: at.Rows, Beyond: at.Beyond,
		Limit: s.asked.Limit, Bytes: pageBytes})
	switch {
	case err != nil && fault.KindOf(err) == fault.NotProvable && s.asked.Cursor != nil:
		return nil, "", expiredSnapshot()
	case err != nil:
		return nil, "", err
	case part.Bounds.Stream != at.Stream:
		return nil, "", fault.New(fault.Unavailable, "the room was reset while its snapshot was read: repeat the request")
	}
	keyed := len(part.Items)
	for i := range part.Items {
		if part.Items[i].Key == "" {
			keyed = i
			break
		}
	}
	slices.SortStableFunc(part.Items[:keyed], func(a, b message.State) int { return int(int64(a.Row.Serial) - int64(b.Row.Serial)) })
	if !part.More {
		return part.Items, "", nil
	}
	next := at
	next.Rows, next.After, next.Beyond = part.Rows, part.After, part.Beyond
	return part.Items, s.asked.Next(s.gateway.seal(s.app), &next, s.gateway.opts.Now()), nil
}

// membersOf lists the members of a room; nil when they cannot be told now.
func (g *Gateway) membersOf(ctx context.Context, ref stream.Ref) *session.Listed {
	if g.opts.Presence == nil {
		return nil
	}
	ref.Log = stream.Presence
	at, b, err := g.opts.Presence.At(ctx, ref, presence.When{})
	if err != nil {
		return nil
	}
	limit := 0
	if p, ok := g.opts.Node.Apps().Policy(ref.App, ref.Channel); ok {
		limit = p.Presence.ListLimit
	}
	page, err := g.opts.Presence.Members(ctx, ref, at, "", max(1, limit))
	if err != nil {
		return nil
	}
	in := &session.Listed{Count: int(b.Keys), Stream: b.Stream, Serial: at.Serial}
	for i := range page.Members[:min(limit, len(page.Members))] {
		info, err := page.Members[i].Info()
		if err != nil {
			return nil
		}
		in.Members = append(in.Members, session.Member{User: page.Members[i].User, Info: info})
	}
	return in
}
