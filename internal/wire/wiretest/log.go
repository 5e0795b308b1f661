package wiretest

import (
	"fmt"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Log is one stream in memory, small enough to be read in a debugger.
type Log struct {
	Ref     stream.Ref
	resets  int
	base    uint64
	floor   uint64
	head    uint64
	entries []*stream.Entry // (floor, head]
	times   map[uint64]int64
	mutated bool
}

// ID is the stream's id: readable, unlike those of a real store.
func (l *Log) ID() stream.ID {
	return stream.ID(fmt.Sprintf("%s-%s-%d", l.Ref.Channel, l.Ref.Log, l.resets+1))
}

// Bounds are the log's bounds.
func (l *Log) Bounds() stream.Bounds {
	return stream.Bounds{Stream: l.ID(), Base: l.base, Floor: l.floor, Head: l.head, FloorTime: l.times[l.floor],
		HeadTime: l.times[l.head], Logged: true, Mutated: l.mutated}
}

func (l *Log) witness(serial uint64) (w stream.Witness) {
	if t, ok := l.times[serial]; ok {
		w.At = stream.EntryID{Time: t, Serial: serial}
	}
	if e := l.at(serial + 1); e != nil {
		w.Next = e.ID()
	}
	return w
}

func (l *Log) at(serial uint64) *stream.Entry {
	if serial <= l.floor || serial > l.head {
		return nil
	}
	return l.entries[serial-l.floor-1]
}

// Append adds an entry, as a committer would after all its checks.
func (l *Log) Append(e stream.Entry, now int64) *stream.Entry {
	l.head++
	e.Serial, e.Time = l.head, max(now, l.times[l.head-1])
	if e.Kind == stream.Create {
		e.Message, e.Version = e.Serial, 1
	} else {
		l.mutated = true
		if e.Kind == stream.Put {
			e.Message, e.Version = e.Serial, 1
		}
		for _, old := range slices.Backward(l.entries) {
			if e.Key != "" && old.Key == e.Key || e.Key == "" && old.Message == e.Message {
				if e.Kind == stream.Put && old.Kind == stream.Delete {
					break
				}
				e.Key, e.Message, e.Version = old.Key, old.Message, old.Version+1
				if !e.Kind.Row() && !e.Kind.Mutation() { // annotations make no version
					e.Version--
				}
				break
			}
		}
	}
	if l.times == nil {
		l.times = map[uint64]int64{}
	}
	l.times[e.Serial] = e.Time
	l.entries = append(l.entries, &e)
	return &e
}

// Entries are those that the log holds, in order.
func (l *Log) Entries() []*stream.Entry { return l.entries }

// Trim moves the floor.
func (l *Log) Trim(floor uint64) {
	if floor = min(floor, l.head); floor > l.floor {
		l.entries = l.entries[floor-l.floor:]
		l.floor = floor
	}
}

// Reset begins a new incarnation.
func (l *Log) Reset() {
	l.resets++
	l.head++
	l.base, l.floor, l.entries = l.head, l.head, nil
	if l.times == nil {
		l.times = map[uint64]int64{}
	}
	l.times[l.head] = l.times[l.head-1]
}

// state folds the message that e is about as of serial at; nil when its beginning is gone.
func (l *Log) state(e *stream.Entry, at uint64) *message.State {
	var s message.State
	for _, o := range l.entries {
		if o.Serial <= at && o.Message == e.Message {
			if s.Apply(o) != nil {
				return nil
			}
		}
	}
	if !s.Exists() {
		return nil
	}
	return &s
}

// row is what a history row shows at a serial.
func (l *Log) row(e *stream.Entry, at uint64) message.State {
	s, _ := message.AsOf(e, l.entries[e.Serial-l.floor:], at)
	return s
}

// rows are the newest rows at or below a serial, oldest first, and whether there are more.
func (l *Log) rows(at uint64, since int64, limit int) (rows []*stream.Entry, more bool) {
	for _, e := range slices.Backward(l.entries) {
		if e.Serial > at || !e.Kind.Row() {
			continue
		}
		if e.Time < since {
			break
		}
		if len(rows) == limit {
			more = true
			break
		}
		rows = append(rows, e)
	}
	slices.Reverse(rows)
	return rows, more
}
