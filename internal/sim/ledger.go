package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// stateChannel is the channel whose messages change: keyed and not, under a retention that keeps little but the latest
// of each key.
const stateChannel = "state"

var stateRef = stream.Ref{App: appID, Channel: stateChannel}

func statePolicy(p app.Policy) app.Policy {
	p.Pattern, p.Mutable = stateChannel, true
	p.Retention = stream.Retention{Entries: 40, KeepLatest: true}
	return p
}

// shape is a message as somebody shows it: the plainest fold, written apart from the one that servers use.
type shape struct {
	key, data string
	deleted   bool
	edit      uint64 // serial of the entry that made the version
	likes     string // who likes it; protocols without reactions do not say
}

func (s shape) plain() shape { s.likes = ""; return s }

// shapes are messages by the serial that began them.
type shapes map[uint64]shape

func (all shapes) apply(e *stream.Entry) {
	s := all[e.Message]
	switch e.Kind {
	case stream.Create, stream.Put:
		s = shape{key: e.Key, data: string(e.Data.Bytes), likes: s.likes}
	case stream.Append:
		s.data += string(e.Data.Bytes)
	case stream.Update, stream.Delete:
		if e.Set&stream.FieldData != 0 {
			s.data = string(e.Data.Bytes)
		}
		if e.Clear&stream.FieldData != 0 {
			s.data = ""
		}
		s.deleted = e.Kind == stream.Delete
	case stream.Annotate, stream.Unannotate:
		s.likes = toggled(s.likes, e.User, e.Kind == stream.Annotate)
		all[e.Message] = s
		return
	}
	s.edit = e.Serial
	all[e.Message] = s
}

func toggled(list, user string, on bool) string {
	users := slices.DeleteFunc(strings.Fields(list), func(u string) bool { return u == user })
	if on {
		users = append(users, user)
	}
	slices.Sort(users)
	return strings.Join(users, " ")
}

// shapeOf is what a snapshot's item shows.
func shapeOf(s *message.State) shape {
	likes := ""
	for _, r := range s.Annotations.Of(reactions) {
		likes = strings.Join(r.Users, " ")
	}
	return shape{key: s.Key, data: string(s.Data.Bytes), deleted: s.Deleted(), edit: s.Edit.Serial, likes: likes}
}

const reactions = "reactions:distinct.v1"

// ledger is what truly happened to the channel whose messages change: every entry that became visible, as the durable
// store told it, and what editors were told. It judges what clients show.
type ledger struct {
	oracle     *Oracle
	complaints atomic.Int32

	mu      sync.Mutex
	durable stream.Store // of the process that runs
	streams map[string]*history
	acks    []ack
	counted map[string]string // stream, message, value → the editor who was told that it made it
}

// history is one incarnation of the channel.
type history struct {
	base, floor uint64
	entries     []*stream.Entry // base+1, base+2, …
}

// ack is an answer to an editor.
type ack struct {
	at   place
	kind stream.Kind
	text string // unique
}

// complain leaves room for what others have to say.
func (l *ledger) complain(format string, args ...any) {
	if l.complaints.Add(1) <= 5 {
		l.oracle.complain(format, args...)
	}
}

func newLedger(o *Oracle) *ledger {
	return &ledger{oracle: o, streams: map[string]*history{}, counted: map[string]string{}}
}

// boot takes what a process finds: of what the one before it was about to make visible a part may have survived.
func (l *ledger) boot(durable stream.Store) {
	l.mu.Lock()
	l.durable = durable
	l.mu.Unlock()
	l.look()
	durable.Watch(func(a stream.Advance) {
		if a.Ref == stateRef {
			l.take(a.Bounds, a.Entries)
		}
	})
}

// look takes what is visible now.
func (l *ledger) look() {
	l.mu.Lock()
	durable := l.durable
	l.mu.Unlock()
	for range 100 { // the disk may not answer
		page, err := durable.Read(context.Background(), stream.Query{Ref: stateRef, Limit: 10_000})
		if err == nil {
			l.take(page.Bounds, page.Entries)
			return
		}
	}
}

// reach looks unless a position is known: who reads the log may see an entry before those who watch it are told.
func (l *ledger) reach(p place) {
	l.mu.Lock()
	h := l.streams[p.stream]
	known := h != nil && p.serial <= h.base+uint64(len(h.entries))
	l.mu.Unlock()
	if !known {
		l.look()
	}
}

// take takes entries that are visible, some of them again.
func (l *ledger) take(b stream.Bounds, entries []*stream.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := string(b.Stream)
	h := l.streams[id]
	if h == nil {
		h = &history{base: b.Base}
		l.streams[id] = h
	}
	h.floor = max(h.floor, b.Floor)
	for _, e := range entries {
		switch n := e.Serial - h.base - 1; {
		case n > uint64(len(h.entries)):
			l.complain("P1 %s: serial %d of %s became visible after %d", stateChannel, e.Serial, id, h.base+uint64(len(h.entries)))
			return
		case n == uint64(len(h.entries)):
			h.entries = append(h.entries, e)
		case h.entries[n].Time != e.Time || h.entries[n].Kind != e.Kind || string(h.entries[n].Data.Bytes) != string(e.Data.Bytes):
			l.complain("P1 %s: serial %d of %s was %v %q, and is %v %q", stateChannel, e.Serial, id, h.entries[n].Kind,
				h.entries[n].Data.Bytes, e.Kind, e.Data.Bytes)
			return
		}
	}
}

var errUnseen = errors.New("a position that was never visible")

// at is the state after a position, and the floor now.
func (l *ledger) at(p place) (shapes, uint64, error) {
	l.reach(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.streams[p.stream]
	if h == nil && p.serial == 0 { // a channel without a row has an id too
		return shapes{}, 0, nil
	}
	if h == nil || p.serial > h.base+uint64(len(h.entries)) {
		return nil, 0, errUnseen
	}
	all := shapes{}
	if p.serial > h.base {
		for _, e := range h.entries[:p.serial-h.base] {
			all.apply(e)
		}
	}
	return all, h.floor, nil
}

// compare judges what somebody shows at a position. Messages without a key that retention has ended are nobody's
// business: a client is not told.
func (l *ledger) compare(who string, at place, shown shapes, form func(shape) shape) {
	want, floor, err := l.at(at)
	if err != nil {
		l.complain("P1 %s: %s is at %v: %v", stateChannel, who, at, err)
		return
	}
	for _, serial := range slices.Sorted(maps.Keys(want)) {
		w, s := form(want[serial]), form(shown[serial])
		_, known := shown[serial]
		switch {
		case w.key == "" && serial <= floor:
		case w.deleted && !known:
		case s != w:
			l.complain("P4 %s: %s shows message %d at %v as %+v, known %v; it is %+v", stateChannel, who, serial, at, s, known, w)
			return
		}
	}
	for serial, s := range shown {
		if _, ok := want[serial]; !ok {
			l.complain("P4 %s: %s shows message %d at %v, which never was: %+v", stateChannel, who, serial, at, s)
			return
		}
	}
}

// acknowledged takes note of an answer.
func (l *ledger) acknowledged(at place, kind stream.Kind, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks = append(l.acks, ack{at, kind, text})
}

// counts takes note that an editor was told that it changed a counter to a value.
func (l *ledger) counts(at place, message uint64, value int, who string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := fmt.Sprint(at.stream, "/", message, "=", value)
	if other, ok := l.counted[id]; ok && other != who {
		l.complain("%s: %s and %s both counted to %d: an update was lost", stateChannel, other, who, value)
	}
	l.counted[id] = who
}

// audit judges the answers to editors: what was acknowledged is where they were told, and no text is there twice.
func (l *ledger) audit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	texts := map[string]place{}
	for id, h := range l.streams {
		for _, e := range h.entries {
			if text := string(e.Data.Bytes); unique(text) {
				if other, ok := texts[text]; ok {
					l.complain("P5 %s: %q is at %v and at %s/%d", stateChannel, text, other, id, e.Serial)
				}
				texts[text] = place{id, e.Serial}
			}
		}
	}
	for _, a := range l.acks {
		if at, ok := texts[a.text]; !ok || at != a.at {
			l.complain("P1 %s: %v %q was acknowledged at %v; it is at %v", stateChannel, a.kind, a.text, a.at, at)
		}
	}
}

func unique(text string) bool { return strings.HasPrefix(text, "<") }
