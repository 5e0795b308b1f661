package rooms

import (
	"maps"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// ask is a request whose answer is still to come.
type ask struct{ kind, room, correlation string }

// ledger is the requests that wait for an answer. Its tags are none of a room.
type ledger struct {
	next    session.Tag
	waiting map[session.Tag]ask
}

const ledgerTags session.Tag = 1 << 31

func (l *ledger) add(r *Request) session.Tag {
	if l.waiting == nil {
		l.waiting = map[session.Tag]ask{}
	}
	l.next = (l.next + 1) &^ ledgerTags
	tag := l.next | ledgerTags
	l.waiting[tag] = ask{r.Kind, r.room, r.Correlation}
	return tag
}

// maxReads is how many reads of a connection may be under way.
const maxReads = 4

// reads is how many requests of a kind wait for their answer.
func (l *ledger) reads(kind string) (n int) {
	for _, a := range l.waiting {
		if a.kind == kind {
			n++
		}
	}
	return n
}

// mayRead refuses a read when too many are under way: each costs the server more than it costs the client.
func (m *Machine) mayRead(r *Request) error {
	if m.asked.reads(r.Kind) >= maxReads {
		return fault.New(fault.RateLimited, "%d requests of this kind are under way: wait for their answers", maxReads)
	}
	return nil
}

func (l *ledger) take(tag session.Tag) (ask, bool) {
	a, ok := l.waiting[tag]
	delete(l.waiting, tag)
	return a, ok
}

// history asks for a page of a room's messages: the newest first, or with after the oldest first.
func (m *Machine) history(r *Request) error {
	name, err := r.name(m.opts.App.Limits.ChannelNameLength)
	if err != nil {
		return err
	}
	if err := m.can(name, auth.History); err != nil {
		return err
	}
	if err := m.mayRead(r); err != nil {
		return err
	}
	q := session.HistoryQuery{}
	if q.Limit, err = r.limit(m.opts.App.Limits.HistoryPage); err != nil {
		return err
	}
	before, bounded, err := r.number("before")
	if err != nil {
		return err
	}
	after, begins, err := r.number("after")
	if err != nil {
		return err
	}
	if q.Cursor, err = r.text("cursor", maxCursor); err != nil {
		return err
	}
	if q.Cursor != "" && (bounded || begins) {
		return fault.New(fault.Invalid, "a cursor brings its bounds with it: give no before or after").In("cursor")
	}
	if bounded && before <= 1 || begins && after >= stream.MaxSerial || bounded && begins && after >= before-1 {
		m.send(historyFrame(name.String(), &session.Scrolled{}, r.Correlation)) // nothing can be there
		return nil
	}
	if bounded {
		q.Serials.End, q.Serials.HasEnd = min(before, stream.MaxSerial)-1, true
	}
	if begins {
		q.Serials.Start, q.Serials.HasStart, q.OldestFirst = after+1, true, true
	}
	m.do(session.Scroll{Tag: m.asked.add(r), Ref: stream.Ref{App: m.opts.App.ID, Channel: name.String()}, Query: q})
	return nil
}

func (r *Request) limit(most int) (int, error) {
	n, given, err := r.number("limit")
	switch {
	case err != nil:
		return 0, err
	case !given:
		return most, nil
	case n == 0:
		return 0, fault.New(fault.Invalid, "limit must be 1 or more").In("limit")
	}
	return int(min(n, uint64(most))), nil
}

func (m *Machine) scrolled(in session.Scrolled) {
	a, ok := m.asked.take(in.Tag)
	if !ok {
		return
	}
	if in.Err != nil {
		m.send(errorFrame(in.Err, "", a.room, a.correlation))
		return
	}
	m.send(historyFrame(a.room, &in, a.correlation))
}

func historyFrame(room string, h *session.Scrolled, correlation string) []byte {
	f := roomFrame(make([]byte, 0, 256+256*len(h.Rows)), "room.history", room)
	f.name("items")
	f.b = append(f.b, '[')
	for i := range h.Rows {
		f.comma()
		f.b = AppendMessage(f.b, room, &h.Rows[i])
	}
	f.b = append(f.b, ']')
	f.bool("has_more", h.More)
	if h.Next != "" {
		f.text("next_cursor", h.Next)
	} else {
		f.raw("next_cursor", []byte("null"))
	}
	if h.Truncated {
		f.bool("truncated", true)
	}
	return f.answer(correlation)
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
