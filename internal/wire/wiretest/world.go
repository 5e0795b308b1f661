// Package wiretest runs a face against a world in memory: scripts of frames, and whatever else a test wants to happen.
//
// The world has logs, a clock that moves when it is told to, and connections that carry out the effects of their
// machines at once and in order, as a driver does. Nothing in it runs concurrently, so every order of events is chosen
// by the test.
package wiretest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

var errUnavailable = fault.New(fault.Unavailable, "the log cannot be read now")

// World is one server's worth of logs.
type World struct {
	Now    int64 // unix ms
	Broken bool  // no log can be read or written
	NoLog  map[string]bool
	Online map[string]bool // users that watchlists find online
	logs   map[stream.Ref]*Log
	conns  []*Conn
	timers []timer
}

type timer struct {
	at int64
	do func()
}

// NewWorld makes an empty world.
func NewWorld() *World {
	return &World{Now: 1_787_000_000_000, NoLog: map[string]bool{}, Online: map[string]bool{}, logs: map[stream.Ref]*Log{}}
}

// Log is the log of ref.
func (w *World) Log(ref stream.Ref) *Log {
	l := w.logs[ref]
	if l == nil {
		l = &Log{Ref: ref}
		w.logs[ref] = l
	}
	return l
}

// Append publishes an entry and delivers it.
func (w *World) Append(ref stream.Ref, e stream.Entry) *stream.Entry {
	got := w.Log(ref).Append(e, w.Now)
	w.fan(ref)
	return got
}

// Reset begins a new incarnation of a log and tells its followers.
func (w *World) Reset(ref stream.Ref) {
	w.Log(ref).Reset()
	for _, c := range slices.Clone(w.conns) {
		for _, f := range slices.Clone(c.followers) {
			if f.log.Ref == ref && f.stream != f.log.ID() {
				f.lose(stream.StreamReset)
			}
		}
		c.Pump()
	}
}

// fan lets live followers take what is new.
func (w *World) fan(ref stream.Ref) {
	for _, c := range slices.Clone(w.conns) {
		for _, f := range c.followers {
			if f.log.Ref == ref {
				f.live = false
			}
		}
		c.Pump()
	}
}

// Advance moves the clock and lets timers go off.
func (w *World) Advance(ms int64) {
	for end := w.Now + ms; ; {
		next, do := end+1, func() {}
		for i, t := range w.timers {
			if t.at <= end && t.at < next {
				next, do = t.at, func() {
					w.timers = slices.Delete(w.timers, i, i+1)
					t.do()
				}
			}
		}
		for _, c := range w.conns {
			if c.wake > 0 && c.wake <= end && c.wake < next {
				next, do = c.wake, func() {
					c.wake = 0
					c.Step(session.Woken{})
				}
			}
		}
		if next > end {
			w.Now = end
			return
		}
		w.Now = max(w.Now, next)
		do()
	}
}

// after does something when the clock has moved.
func (w *World) after(ms int64, do func()) {
	if ms <= 0 {
		do()
		return
	}
	w.timers = append(w.timers, timer{w.Now + ms, do})
}

// members are the users of a presence log, in order of their first entry.
func (w *World) members(ref stream.Ref) (list []session.Member, conns map[string]bool) {
	conns = map[string]bool{}
	for _, e := range w.Log(ref).entries {
		i := slices.IndexFunc(list, func(m session.Member) bool { return m.User == e.Member.User })
		switch {
		case e.Kind == stream.Delete:
			delete(conns, e.Key)
			if i >= 0 && !present(conns, e.Member.User) {
				list = slices.Delete(list, i, i+1)
			}
			continue
		case i < 0:
			list = append(list, session.Member{User: e.Member.User, Info: e.Data.Bytes})
		default:
			list[i].Info = e.Data.Bytes
		}
		conns[e.Key] = true
	}
	return list, conns
}

func present(conns map[string]bool, user string) bool {
	for key := range conns {
		if strings.HasPrefix(key, user+"\x00") {
			return true
		}
	}
	return false
}

// enter joins or changes a member of a presence log, and says what that means for the user.
func (w *World) enter(c *Conn, e session.Enter) session.Entered {
	if w.Broken {
		return session.Entered{Tag: e.Tag, Err: errUnavailable}
	}
	list, conns := w.members(e.Ref)
	entry := stream.Entry{Kind: stream.Put, Key: e.Member.User + "\x00" + c.ID, Conn: c.ID, NoEcho: !e.Update,
		Member: &stream.Member{User: e.Member.User, Conn: c.ID, Cause: "join", Update: e.Update}}
	if len(e.Member.Info) > 0 {
		entry.Data = stream.Data{Type: stream.JSON, Bytes: bytes.Clone(e.Member.Info)}
	}
	known := slices.ContainsFunc(list, func(m session.Member) bool { return m.User == e.Member.User })
	switch {
	case e.Update:
		entry.Event = session.MemberUpdated
	case !present(conns, e.Member.User) && len(list) >= c.MaxMembers && !known:
		return session.Entered{Tag: e.Tag, Err: fault.New(fault.LimitExceeded, "the channel has the %d members that it may have", c.MaxMembers)}
	case !known:
		entry.Event = session.MemberAdded
	}
	w.Append(e.Ref, entry)
	list, _ = w.members(e.Ref)
	l := w.Log(e.Ref)
	return session.Entered{Tag: e.Tag, Members: list, Count: len(list), Stream: l.ID(), Serial: l.head}
}

// exit takes a connection of a member out.
func (w *World) exit(c *Conn, user string, e session.Exit) {
	key := user + "\x00" + c.ID
	_, conns := w.members(e.Ref)
	if !conns[key] {
		return
	}
	delete(conns, key)
	entry := stream.Entry{Kind: stream.Delete, Key: key, Conn: c.ID, NoEcho: true,
		Member: &stream.Member{User: user, Conn: c.ID, Cause: e.Cause}}
	if !present(conns, user) {
		entry.Event = session.MemberRemoved
	}
	w.Append(e.Ref, entry)
}
