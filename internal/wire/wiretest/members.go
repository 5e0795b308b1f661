package wiretest

import (
	"slices"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// members are the users of a presence log, in the order in which they came.
func (w *World) members(ref stream.Ref) (list []presence.Member) {
	for _, e := range w.Log(ref).entries {
		i := slices.IndexFunc(list, func(m presence.Member) bool { return m.User == e.Key })
		if e.Kind == stream.Delete {
			list = slices.Delete(list, i, i+1)
			continue
		}
		m, err := presence.Of(e.Key, e.Data)
		if err != nil {
			panic(err)
		}
		if i < 0 {
			list = append(list, m)
		} else {
			list[i] = m
		}
	}
	return list
}

func (w *World) memberOf(ref stream.Ref, user string) (m presence.Member, here bool) {
	for _, m := range w.members(ref) {
		if m.User == user {
			return m, true
		}
	}
	return presence.Member{User: user}, false
}

// enter joins or changes a member of a presence log.
func (w *World) enter(c *Conn, e session.Enter) session.Entered {
	if w.Broken {
		return session.Entered{Tag: e.Tag, Err: errUnavailable}
	}
	m, here := w.memberOf(e.Ref, e.Member.User)
	if !here && len(w.members(e.Ref)) >= c.MaxMembers {
		return session.Entered{Tag: e.Tag, Err: fault.New(fault.LimitExceeded, "the channel has the %d members that it may have", c.MaxMembers)}
	}
	m, err := m.With(presence.Conn{ID: c.ID}, e.Member.Info)
	if err != nil {
		return session.Entered{Tag: e.Tag, Err: err}
	}
	entry := stream.Entry{Kind: stream.Put, Key: m.User, Data: m.Data(),
		Member: &stream.Member{User: m.User, Conn: c.ID, Cause: presence.Join, Update: e.Update}}
	count := len(w.members(e.Ref))
	if !here {
		count++
	}
	c.hush(&entry, count)
	w.Append(e.Ref, entry)
	in := session.Entered{Tag: e.Tag, Stream: w.Log(e.Ref).ID(), Serial: w.Log(e.Ref).head}
	for _, m := range w.members(e.Ref) {
		in.Members = append(in.Members, session.Member{User: m.User, Info: m.Info})
	}
	in.Count = len(in.Members)
	if c.ListLimit > 0 {
		in.Members = in.Members[:min(c.ListLimit, in.Count)]
	}
	return in
}

// hush makes the transition of a large channel a quiet one, which tells the number of members.
func (c *Conn) hush(e *stream.Entry, count int) {
	if c.BroadcastLimit > 0 && count > c.BroadcastLimit {
		e.Event, e.Extras = presence.Quiet, presence.Note{Count: count}.Extras()
	}
}

// list answers who is there now.
func (w *World) list(e session.List) session.Listed {
	if w.Broken {
		return session.Listed{Tag: e.Tag, Err: errUnavailable}
	}
	in := session.Listed{Tag: e.Tag, Stream: w.Log(e.Ref).ID(), Serial: w.Log(e.Ref).head}
	for _, m := range w.members(e.Ref) {
		in.Members = append(in.Members, session.Member{User: m.User, Info: m.Info})
	}
	in.Count = len(in.Members)
	return in
}

// exit takes a connection of a member out.
func (w *World) exit(c *Conn, user string, e session.Exit) {
	m, here := w.memberOf(e.Ref, user)
	if !here || !m.Has(c.ID) {
		return
	}
	m = m.Without(c.ID)
	entry := stream.Entry{Kind: stream.Put, Key: user, Data: m.Data(), Member: &stream.Member{User: user, Conn: c.ID, Cause: e.Cause}}
	if len(m.Conns) == 0 {
		entry.Kind, entry.Data = stream.Delete, stream.Data{}
		c.hush(&entry, len(w.members(e.Ref))-1)
	}
	w.Append(e.Ref, entry)
}
