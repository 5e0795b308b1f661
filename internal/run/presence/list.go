package presence

import (
	"context"
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// list is the answer to all who entered in one turn: the members at a serial that is not below any of their joins.
func (r *roll) list(limit int) (session.Entered, error) {
	out := session.Entered{}
	if limit <= 0 {
		page, err := r.reg.opts.Store.Read(r.reg.ctx, stream.Query{Ref: r.ref})
		if err != nil {
			return out, err
		}
		out.Stream, out.Serial, out.Count = page.Bounds.Stream, page.Bounds.Head, int(page.Bounds.Keys)
	} else {
		page, err := r.reg.opts.Store.Keys(r.reg.ctx, stream.KeysQuery{Ref: r.ref, Limit: limit})
		if err != nil {
			return out, err
		}
		out.Stream, out.Serial, out.Count = page.Bounds.Stream, page.At, int(page.Bounds.Keys)
		if out.Members, err = membersOf(page.Rows); err != nil {
			return out, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.degraded {
		out.Members, out.Count = r.overlay(out.Members, out.Count, limit)
	}
	return out, nil
}

func membersOf(rows []stream.KeyRow) ([]session.Member, error) {
	list := make([]session.Member, len(rows))
	for i, row := range rows {
		s, err := presence.Decode(row.State)
		if err != nil {
			return nil, err
		}
		info, err := s.Info()
		if err != nil {
			return nil, err
		}
		list[i] = session.Member{User: s.User, Info: info}
	}
	return list, nil
}

// overlay adds what could not be written to what was read; mu is held. Of a list that was cut it counts what should not be
// there by what was known of the log last.
func (r *roll) overlay(list []session.Member, count, limit int) ([]session.Member, int) {
	whole := len(list) == count
	for _, u := range r.users {
		if !u.dirty {
			continue
		}
		i, listed := slices.BinarySearchFunc(list, u.name, func(m session.Member, name string) int { return strings.Compare(m.User, name) })
		switch {
		case u.there() && !u.here:
			count++
		case !u.there() && u.here:
			count--
		}
		switch {
		case u.there() && listed:
			list[i].Info = u.member.Info
		case u.there():
			list = slices.Insert(list, i, session.Member{User: u.name, Info: u.member.Info})
		case listed:
			list = slices.Delete(list, i, i+1)
		}
	}
	if whole {
		count = len(list)
	}
	if len(list) > max(limit, 0) {
		list = list[:max(limit, 0)]
	}
	return list, max(count, len(list))
}

// usersPage is how many members are read at once.
const usersPage = 1000

// Users lists the ids of a channel's members, in order.
func (g *Register) Users(ctx context.Context, app, channel string) ([]string, error) {
	ref := stream.Ref{App: app, Channel: channel, Log: stream.Presence}
	var users []string
	q := stream.KeysQuery{Ref: ref, Limit: usersPage}
	for {
		page, err := g.opts.Store.Keys(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, row := range page.Rows {
			users = append(users, row.Key)
		}
		if !page.More || len(page.Rows) == 0 {
			break
		}
		q.After, q.At = users[len(users)-1], page.At
	}
	g.overlay(ref, func(r *roll) {
		for _, u := range r.users {
			if i, listed := slices.BinarySearch(users, u.name); u.dirty && u.there() && !listed {
				users = slices.Insert(users, i, u.name)
			} else if u.dirty && !u.there() && listed {
				users = slices.Delete(users, i, i+1)
			}
		}
	})
	return users, nil
}

// Count is how many members a channel has.
func (g *Register) Count(ctx context.Context, app, channel string) (int, error) {
	ref := stream.Ref{App: app, Channel: channel, Log: stream.Presence}
	page, err := g.opts.Store.Read(ctx, stream.Query{Ref: ref})
	if err != nil {
		return 0, err
	}
	n := int(page.Bounds.Keys)
	g.overlay(ref, func(r *roll) { _, n = r.overlay(nil, n, 0) })
	return n, nil
}

// overlay calls f with the roll of a log that misses something, its lock held.
func (g *Register) overlay(ref stream.Ref, f func(*roll)) {
	g.mu.Lock()
	r := g.rolls[ref]
	g.mu.Unlock()
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.degraded {
		f(r)
	}
}
