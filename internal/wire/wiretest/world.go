// Package wiretest runs a face against a world in memory: scripts of frames, and whatever else a test wants to happen.
//
// The world has logs, a clock that moves when it is told to, and connections that carry out the effects of their
// machines at once and in order, as a driver does. Nothing in it runs concurrently, so every order of events is chosen
// by the test.
package wiretest

import (
	"slices"

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
