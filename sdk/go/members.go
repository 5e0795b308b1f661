package continuo

import (
	"cmp"
	"slices"

	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// Member is who is in a room, and what is shown of them.
type Member = wire.Member

// MemberList folds the events of a room that was joined with presence into the list of its members. The zero value is an
// empty list. It is not safe for use by many goroutines at once.
type MemberList struct {
	list  []Member // in order of their ids
	count int64
}

// All returns the members in order of their ids. The list is the caller's.
func (l *MemberList) All() []Member { return slices.Clone(l.list) }

// Count returns how many members there are: in large rooms more than All lists.
func (l *MemberList) Count() int64 { return l.count }

// Apply changes the list by an event. What is about something else changes nothing.
func (l *MemberList) Apply(e *Event) {
	switch e.Kind {
	case wire.Joined, wire.Presence:
		if e.Members == nil {
			return
		}
		l.list = nil
		for _, m := range e.Members {
			l.set(m)
		}
		l.count = e.MemberCount
	case wire.PresenceJoined:
		if l.set(Member{UserID: e.UserID, Info: e.Info}) {
			l.count++
		}
	case wire.PresenceUpdated:
		l.set(Member{UserID: e.UserID, Info: e.Info})
	case wire.PresenceLeft:
		at, ok := l.find(e.UserID)
		if ok || l.count > int64(len(l.list)) {
			l.count--
		}
		if ok {
			l.list = slices.Delete(l.list, at, at+1)
		}
	case wire.PresenceChanged:
		l.count = e.Count
	}
}

func (l *MemberList) find(id string) (int, bool) {
	return slices.BinarySearchFunc(l.list, id, func(m Member, id string) int { return cmp.Compare(m.UserID, id) })
}

// set enters or replaces a member and reports whether it is new.
func (l *MemberList) set(m Member) bool {
	at, ok := l.find(m.UserID)
	if ok {
		l.list[at] = m
		return false
	}
	l.list = slices.Insert(l.list, at, m)
	return true
}
