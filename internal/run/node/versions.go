package node

import (
	"context"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/view"
)

// VersionsQuery asks for the versions of a message. Zero bounds do not bound.
type VersionsQuery struct {
	Ref      stream.Ref
	Message  uint64
	From, To uint64 // serials of versions, inclusive
	Reverse  bool   // newest first
	Limit    int
	Bytes    int
}

// Versions is a page of the versions of a message, in the order that was asked for.
type Versions struct {
	Bounds stream.Bounds
	List   []message.Version
	More   bool
	Last   uint64 // serial of the last entry that the page looked at; the next page begins beyond it
}

// Versions reads a page of a message's versions: those that retention has left. NotFound when there is no such message.
func (n *Node) Versions(ctx context.Context, q VersionsQuery) (Versions, error) {
	if err := n.logged(q.Ref); err != nil {
		return Versions{}, err
	}
	page, err := n.store.Read(ctx, stream.Query{Ref: q.Ref, Message: q.Message, From: q.From, To: q.To, Reverse: q.Reverse,
		Limit: q.Limit, Bytes: q.Bytes})
	if err != nil {
		return Versions{}, err
	}
	v := Versions{Bounds: page.Bounds, More: page.More}
	entries := page.Entries
	if len(entries) == 0 {
		_, _, err := n.Message(ctx, q.Ref, q.Message, "", 0)
		return v, err
	}
	v.Last = entries[len(entries)-1].Serial
	if q.Reverse {
		entries = slices.Clone(entries)
		slices.Reverse(entries)
	}
	base, live, err := n.before(ctx, q.Ref, entries[0])
	switch {
	case err != nil:
		return v, err
	case !live:
		return v, fault.New(fault.NotFound, "there is no such message: it never existed, or retention has removed it")
	}
	if v.List, err = message.Versions(base, entries); err != nil {
		return v, err
	}
	if q.Reverse {
		slices.Reverse(v.List)
	}
	return v, nil
}

// before is the state that an entry continues: nothing when the entry is a row. live is false when the entry changes a
// message that has ended.
func (n *Node) before(ctx context.Context, ref stream.Ref, e *stream.Entry) (s message.State, live bool, err error) {
	if e.Kind.Row() {
		return s, true, nil
	}
	s, _, err = view.Message(ctx, n.store, ref, e.Message, "", e.Serial-1)
	return s, s.Exists(), err
}
