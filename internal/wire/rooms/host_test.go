package rooms

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/wiretest"
)

// host carries out what only this face asks of a server, in the world of a test.
type host struct {
	*Machine
	server *server
}

// server is what the connections of one world share.
type server struct {
	receipts map[string]stream.Kept
	holders  map[string]*wiretest.Conn
	unknown  bool // the outcome of writes is unknown
}

func newServer() *server {
	return &server{receipts: map[string]stream.Kept{}, holders: map[string]*wiretest.Conn{}}
}

var down = fault.New(fault.Unavailable, "the log cannot be read now")

// Carry implements wiretest.Host.
func (h *host) Carry(w *wiretest.World, c *wiretest.Conn, e session.Effect) ([]session.Input, bool) {
	switch e := e.(type) {
	case session.Publish:
		in := session.Published{Tag: e.Tag}
		if w.Broken {
			in.Err = down
			return []session.Input{in}, true
		}
		for _, op := range e.Ops {
			in.Results = append(in.Results, h.server.commit(w, op))
		}
		return []session.Input{in}, true
	case session.Adopt:
		if old := h.server.holders[e.ID]; old != nil && old != c {
			old.Step(session.Terminate{Cause: session.Replaced})
		}
		h.server.holders[e.ID] = c
		return nil, true
	case session.Authenticate:
		g, err := grantOf(e.Token, w.Now)
		return []session.Input{session.Authenticated{Grant: g, Err: err}}, true
	case session.List:
		return []session.Input{list(w, e)}, true
	case session.Scroll:
		return []session.Input{scroll(w, e)}, true
	case session.Identify:
		h.server.holders[c.ID] = c
	}
	return nil, false
}

// rows answers a committer's questions from the entries of a log.
type rows struct {
	server  *server
	log     *wiretest.Log
	headers map[stream.Subject]stream.Header
}

func (r *rows) Header(s stream.Subject) (stream.Header, bool, error) {
	h, ok := r.headers[s]
	return h, ok, nil
}

func (r *rows) Entry(serial uint64) (*stream.Entry, error) {
	for _, e := range r.log.Entries() {
		if e.Serial == serial {
			return e, nil
		}
	}
	return nil, nil
}

func (r *rows) Receipt(key string) (stream.Kept, bool, error) {
	k, ok := r.server.receipts[r.log.Ref.Channel+"\x00"+key]
	return k, ok, nil
}

// commit decides an op as a store does, by deciding again all that the log holds before it.
func (s *server) commit(w *wiretest.World, op stream.Op) stream.Result {
	if s.unknown {
		return stream.Result{Outcome: stream.Unknown, Err: fault.New(fault.Unknown, "the outcome is not known: retry with the same key")}
	}
	l := w.Log(op.Ref)
	b := l.Bounds()
	m := stream.Meta{Extent: stream.Extent{Base: b.Base, Floor: b.Floor, Head: b.Floor, FloorTime: b.FloorTime, HeadTime: b.FloorTime}}
	r := &rows{server: s, log: l, headers: map[stream.Subject]stream.Header{}}
	for _, e := range l.Entries() {
		d, err := m.Decide(&stream.Op{Ref: op.Ref, Entry: *e}, stream.Rules{}, r, e.Time)
		if err != nil {
			panic(err)
		}
		r.keep(d)
	}
	d, err := m.Decide(&op, stream.Rules{}, r, w.Now)
	if err != nil {
		panic(err)
	}
	d.Result.Stream = b.Stream
	if d.Entry == nil {
		return d.Result
	}
	if d.Receipt != nil {
		s.receipts[op.Ref.Channel+"\x00"+op.Receipt.Key] = *d.Receipt
	}
	w.Append(op.Ref, op.Entry)
	return d.Result
}

func (r *rows) keep(d stream.Decision) {
	if d.Subject != "" {
		r.headers[d.Subject] = d.Header
		if d.Alias {
			r.headers[stream.MessageSubject(d.Entry.Serial)] = stream.Header{Alias: d.Entry.Key}
		}
	}
}

// list answers from the presence log, folded at the moment that is asked for.
func list(w *wiretest.World, e session.List) session.Listed {
	in := session.Listed{Tag: e.Tag}
	l := w.Log(e.Ref)
	b := l.Bounds()
	switch {
	case w.Broken:
		in.Err = down
		return in
	case e.AtSerial && e.Serial > b.Head:
		in.Err = fault.New(fault.Invalid, "presence_id %d is in the future: the head is %d", e.Serial, b.Head)
		return in
	case e.AtSerial && e.Serial < b.Floor:
		in.Err = fault.New(fault.NotProvable, "the members at %d are not known any more", e.Serial).With(b.Floor)
		return in
	}
	in.Stream, in.Serial = b.Stream, b.Floor
	var states []corepresence.State
	for _, entry := range l.Entries() {
		if e.AtSerial && entry.Serial > e.Serial || e.AtTime && entry.Time > e.Time {
			break
		}
		in.Serial = entry.Serial
		i := slices.IndexFunc(states, func(s corepresence.State) bool { return s.User == entry.Key })
		if i < 0 {
			i, states = len(states), append(states, corepresence.State{})
		}
		states[i].Apply(entry)
	}
	for _, s := range states {
		if s.Here {
			m, _ := s.Member()
			in.Members, in.Count = append(in.Members, session.Member{User: s.User, Info: m.Info}), in.Count+1
		}
	}
	return in
}

func scroll(w *wiretest.World, e session.Scroll) session.Scrolled {
	in := session.Scrolled{Tag: e.Tag}
	if w.Broken {
		in.Err = down
		return in
	}
	l, q := w.Log(e.Ref), e.Query
	states, err := message.Rows(l.Entries())
	if err != nil {
		panic(err)
	}
	if !q.OldestFirst {
		slices.Reverse(states)
	}
	if q.Cursor != "" {
		n, err := strconv.ParseUint(strings.TrimPrefix(q.Cursor, "before-"), 10, 64)
		if err != nil {
			in.Err = fault.New(fault.Invalid, "the cursor is damaged").In("cursor")
			return in
		}
		q.Serials.End, q.Serials.HasEnd = n-1, true
	}
	for _, s := range states {
		at := s.Row.Serial
		if q.Serials.HasStart && at < q.Serials.Start || q.Serials.HasEnd && at > q.Serials.End {
			continue
		}
		if in.More = len(in.Rows) == q.Limit; in.More {
			in.Next = fmt.Sprintf("before-%d", in.Rows[len(in.Rows)-1].Row.Serial)
			break
		}
		in.Rows = append(in.Rows, s)
	}
	b := l.Bounds()
	in.Truncated = !in.More && b.Truncated() && !(q.Serials.HasStart && q.Serials.Start > b.Floor)
	return in
}

// claims is a verifier whose tokens are the claims themselves: user=ann&can=join,send&rooms=*&ttl=60.
type claims struct{ now int64 }

const began = 1_787_000_000_000 // the world's first moment

func (v claims) Verify(raw string, _ time.Time) (auth.Claims, error) {
	if raw == "down" {
		return auth.Claims{}, fault.New(fault.Unavailable, "the keys for tokens cannot be read now")
	}
	q, err := url.ParseQuery(raw)
	if err != nil || !q.Has("user") {
		return auth.Claims{}, fault.New(fault.AuthFailed, "the token is malformed").In("token")
	}
	c := auth.Claims{App: "app-id", Subject: q.Get("user"), Info: q.Get("info"), Expires: time.UnixMilli(began).Add(24 * time.Hour)}
	if q.Has("app") {
		c.App = q.Get("app")
	}
	if q.Has("ttl") {
		s, _ := strconv.Atoi(q.Get("ttl"))
		c.Expires = time.UnixMilli(began).Add(time.Duration(s) * time.Second)
	}
	if c.Expires.UnixMilli() <= v.now {
		return c, fault.New(fault.AuthFailed, "the token was refused: %w", auth.ErrExpired)
	}
	can := app.RoomRights()
	if q.Has("can") {
		can = strings.FieldsFunc(q.Get("can"), func(r rune) bool { return r == ',' })
	}
	pattern := "*"
	if q.Has("rooms") {
		pattern = q.Get("rooms")
	}
	c.Rooms = []auth.RoomClaim{{Pattern: pattern, Can: can}}
	return c, nil
}

func grantOf(token string, now int64) (auth.Grant, error) {
	return auth.VerifyToken(token, claims{now}, time.UnixMilli(now))
}
