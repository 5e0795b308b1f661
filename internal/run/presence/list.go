package presence

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// rowsPage is how many members are read at once.
const rowsPage = 1000

// rows gives the members that a log knows at a serial (0: the head) to f, in order of their ids, at most so many. It
// returns the bounds, and the serial that all of them are of.
func (g *Register) rows(ctx context.Context, ref stream.Ref, at uint64, most int, f func(stream.KeyRow) error) (b stream.Bounds, _ uint64, err error) {
	q := stream.KeysQuery{Ref: ref, At: at, Limit: min(most, rowsPage)}
	for {
		page, err := g.opts.Store.Keys(ctx, q)
		if err != nil {
			return b, 0, err
		}
		if q.After == "" {
			b, q.At = page.Bounds, page.At
		}
		for _, row := range page.Rows {
			if err := f(row); err != nil {
				return b, 0, err
			}
		}
		if most -= len(page.Rows); most <= 0 || !page.More || len(page.Rows) == 0 {
			return b, q.At, nil
		}
		q.After, q.Limit = page.Rows[len(page.Rows)-1].Key, min(most, rowsPage)
	}
}

// memberOf is what a list shows of a row.
func memberOf(row stream.KeyRow) (session.Member, error) {
	s, err := presence.Decode(row.State)
	if err != nil {
		return session.Member{}, err
	}
	info, err := s.Info()
	return session.Member{User: s.User, Info: info}, err
}

// present is who is there: the first of them, up to a limit, and how many they are, at one serial. What could not be
// written is laid over what the log says. Then all of the log is read: a part of it does not tell how many there are.
func (g *Register) present(ctx context.Context, ref stream.Ref, limit int) (out session.Entered, err error) {
	amiss := g.amiss(ref)
	most := limit
	if len(amiss) > 0 {
		most = math.MaxInt
	}
	if most <= 0 {
		page, err := g.opts.Store.Read(ctx, stream.Query{Ref: ref})
		out.Stream, out.Serial, out.Count = page.Bounds.Stream, page.Bounds.Head, int(page.Bounds.Keys)
		return out, err
	}
	b, at, err := g.rows(ctx, ref, 0, most, func(row stream.KeyRow) error {
		m, err := memberOf(row)
		out.Members = append(out.Members, m)
		return err
	})
	if err != nil {
		return session.Entered{}, err
	}
	out.Stream, out.Serial, out.Count = b.Stream, at, int(b.Keys)
	if len(amiss) > 0 {
		for _, u := range amiss {
			out.Members = u.layOver(out.Members)
		}
		out.Count = len(out.Members)
		out.Members = out.Members[:min(out.Count, max(limit, 0))]
	}
	return out, nil
}

// unwritten is a user of whom the log does not say, or may not say, what is so.
type unwritten struct {
	session.Member
	there bool
}

// amiss is what a log misses. It is asked before the log is read: what is written meanwhile is the same in both.
func (g *Register) amiss(ref stream.Ref) (list []unwritten) {
	g.mu.Lock()
	r := g.rolls[ref]
	g.mu.Unlock()
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.degraded {
		return nil
	}
	for _, u := range r.users {
		if u.dirty {
			list = append(list, unwritten{session.Member{User: u.name, Info: u.member.Info}, u.there()})
		}
	}
	return list
}

// layOver makes an ordered list of all members say what is so.
func (u *unwritten) layOver(list []session.Member) []session.Member {
	i, listed := slices.BinarySearchFunc(list, u.User, func(m session.Member, name string) int { return strings.Compare(m.User, name) })
	switch {
	case u.there && listed:
		list[i] = u.Member
	case u.there:
		return slices.Insert(list, i, u.Member)
	case listed:
		return slices.Delete(list, i, i+1)
	}
	return list
}

// Users lists the ids of a channel's members, in order.
func (g *Register) Users(ctx context.Context, app, channel string) ([]string, error) {
	in, err := g.present(ctx, stream.Ref{App: app, Channel: channel, Log: stream.Presence}, math.MaxInt)
	if err != nil {
		return nil, err
	}
	users := make([]string, len(in.Members))
	for i := range users {
		users[i] = in.Members[i].User
	}
	return users, nil
}

// Count is how many members a channel has.
func (g *Register) Count(ctx context.Context, app, channel string) (int, error) {
	in, err := g.present(ctx, stream.Ref{App: app, Channel: channel, Log: stream.Presence}, 0)
	return in.Count, err
}
