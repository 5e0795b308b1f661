package sim

import (
	"fmt"
	"maps"
	"sync"
)

// Oracle judges a world by what publishers were told and what clients saw. It knows payloads, positions and the
// promises, and nothing of how they are kept. All methods may be called concurrently.
type Oracle struct {
	mu       sync.Mutex
	channels map[string]*book
	wrong    []string
	counts   Counts
}

// Counts are what a world has done.
type Counts struct {
	Publishes, Acknowledged, Repeated int
	Sessions, Resumes, Refused        int
	Delivered, Ephemeral              int
	Restarts, FailedSyncs, Cuts       int
	Snapshots                         int
	Transitions, Lists                int // of members
}

// place is a position in a channel.
type place struct {
	stream string
	serial uint64
}

func (p place) String() string { return fmt.Sprintf("%s/%d", p.stream, p.serial) }

// book is what is known of one channel.
type book struct {
	kind     kind
	at       map[place]payload  // what anybody saw at a position
	where    map[payload]place  // where anybody saw a payload
	attempts map[payload]*trial // every payload that was ever tried
	learned  map[string]uint64  // highest serial that anybody has learned, by stream id
	ended    map[string]bool    // streams that were reset, or died with their process
	ending   int                // operations under way that may end a stream
	endings  int                // operations that have ended one …
	now      string             // … and the stream that there was after the last, as far as is known
	trimmed  bool               // retention or an operator may have removed entries
	follows  []*follow
	boots    int // processes that ended
}

// kind is what a channel promises.
type kind struct {
	name     string
	volatile bool // dies with the process
	early    bool // an answer without a position may come before the entry is stable
	bounded  bool // retention is tiny
}

// payload identifies what was published: its text up to the padding.
type payload struct {
	publisher int
	seq       int
	ephemeral bool
}

// trial is what is known of the attempts to publish a payload.
type trial struct {
	after  map[string]uint64 // what was learned before the first attempt: it must lie beyond
	acked  bool
	failed bool // every attempt was refused
	hides  string
	change bool // it changes another payload: protocols without mutations do not show it
}

// NewOracle makes an oracle for the channels of a world.
func NewOracle(kinds []kind) *Oracle {
	o := &Oracle{channels: map[string]*book{}}
	for _, k := range kinds {
		o.channels[k.name] = &book{kind: k, at: map[place]payload{}, where: map[payload]place{}, attempts: map[payload]*trial{},
			learned: map[string]uint64{}, ended: map[string]bool{}, trimmed: k.bounded}
	}
	return o
}

func (o *Oracle) violated(format string, args ...any) {
	if len(o.wrong) < 20 {
		o.wrong = append(o.wrong, fmt.Sprintf(format, args...))
	}
}

// complain is for what is wrong whatever the channel promises.
func (o *Oracle) complain(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.violated(format, args...)
}

// count changes the counts.
func (o *Oracle) count(f func(*Counts)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(&o.counts)
}

// attempt says that a payload is about to be published, hidden from a session if hides is not empty.
func (o *Oracle) attempt(channel string, p payload, hides string, change bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.channels[channel]
	o.counts.Publishes++
	if b.attempts[p] == nil {
		b.attempts[p] = &trial{after: maps.Clone(b.learned), hides: hides, change: change}
	}
}

// acknowledged says that a publisher was told of success, with the position if at has one; repeated says that it is
// the answer to an earlier attempt.
func (o *Oracle) acknowledged(channel string, p payload, at place, repeated bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.channels[channel]
	t := b.attempts[p]
	o.counts.Acknowledged++
	if repeated {
		o.counts.Repeated++
	}
	t.acked = true
	if at.serial > 0 {
		o.observe(channel, at, p, "its publisher")
	}
}

// refusedPublish says that no attempt to publish the payload was accepted, or can be any more.
func (o *Oracle) refusedPublish(channel string, p payload) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.channels[channel]
	b.attempts[p].failed = true
	if at, ok := b.where[p]; ok {
		o.violated("P1 %s: %+v was refused, and seen at %v", channel, p, at)
	}
}

// observe takes note that somebody saw a payload at a position.
func (o *Oracle) observe(channel string, at place, p payload, who string) {
	b := o.channels[channel]
	t := b.attempts[p]
	switch {
	case t == nil:
		o.violated("%s: %s saw %+v at %v, which nobody published", channel, who, p, at)
		return
	case p.ephemeral:
		o.violated("P2 %s: %s saw the ephemeral %+v with serial %d", channel, who, p, at.serial)
		return
	case t.failed:
		o.violated("P1 %s: %s saw %+v at %v, which was refused", channel, who, p, at)
	}
	if other, ok := b.at[at]; ok && other != p {
		o.violated("P1 %s: %s saw %+v at %v, where %+v had been seen", channel, who, p, at, other)
	}
	if other, ok := b.where[p]; ok && other != at && !(b.kind.volatile && other.stream != at.stream) {
		o.violated("P1 %s: %s saw %+v at %v, which had been seen at %v", channel, who, p, at, other)
	}
	if known := t.after[at.stream]; known >= at.serial {
		o.violated("P1 %s: %+v is at %v, but serial %d was known before it was published", channel, p, at, known)
	}
	b.at[at], b.where[p] = p, at
	b.learn(at)
}

// learn takes note that somebody was told of a position.
func (b *book) learn(at place) { b.learned[at.stream] = max(b.learned[at.stream], at.serial) }

// ending says that an operation begins that may end the channel's streams; the returned function says that it is over,
// and which stream there is now (empty: not known).
func (o *Oracle) ending(channel string) (over func(now string)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.channels[channel]
	b.ending++
	return func(now string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		b.ending--
		b.endings++
		b.now = now
		for id := range b.learned {
			if id != now {
				b.ended[id] = true
			}
		}
	}
}

// restarting is ending for a channel that dies with its process. What a session of that process still shows later is of
// a stream that has ended.
func (o *Oracle) restarting(channel string) (over func(now string)) {
	o.mu.Lock()
	o.channels[channel].boots++
	o.mu.Unlock()
	return o.ending(channel)
}

// trimming says that entries of the channel may go from now on.
func (o *Oracle) trimming(channel string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.channels[channel].trimmed = true
}

// reset reports whether a client's stream may have ended.
func (b *book) reset(stream string) bool { return b.ended[stream] || b.ending > 0 }

// entry is one line of an audit.
type entry struct {
	serial uint64
	p      payload
}

// audit judges the log of a channel at the end, when everything is whole again.
func (o *Oracle) audit(channel, stream string, floor, head uint64, log []entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.channels[channel]
	for i, e := range log {
		if e.serial != floor+1+uint64(i) {
			o.violated("P1 %s: the log has serial %d after %d", channel, e.serial, floor+uint64(i))
			return
		}
		o.observe(channel, place{stream, e.serial}, e.p, "the audit")
	}
	if floor+uint64(len(log)) != head {
		o.violated("P1 %s: the log ends at %d, its head is %d", channel, floor+uint64(len(log)), head)
	}
	for id, serial := range b.learned {
		if id != stream && !b.ended[id] {
			o.violated("P1 %s: the stream is %s, but %s was never reset", channel, stream, id)
		}
		if id == stream && serial > head {
			o.violated("P1 %s: serial %d of %s was known, its head is %d", channel, serial, id, head)
		}
	}
	if !b.kind.volatile {
		o.auditAnswers(channel, b, place{stream, floor})
	}
	for _, f := range b.follows {
		f.judge(o, channel, b)
	}
}

// auditAnswers looks for every payload that was acknowledged.
func (o *Oracle) auditAnswers(channel string, b *book, floor place) {
	for p, t := range b.attempts {
		at, seen := b.where[p]
		switch {
		case !t.acked || p.ephemeral:
		case !seen && (b.kind.early || b.trimmed || len(b.ended) > 0):
		case !seen:
			o.violated("P1 %s: %+v was acknowledged and is nowhere", channel, p)
		case at.stream == floor.stream && at.serial > floor.serial && b.at[at] != p:
			o.violated("P1 %s: %+v was acknowledged at %v, where %+v is", channel, p, at, b.at[at])
		}
	}
}
