package sim

import "fmt"

// follow is what one client has seen of one channel, over all of its sessions.
type follow struct {
	client  string
	session string // the present session, one of …
	own     map[string]bool
	book    *book
	boots   int   // of the book, when the session began
	endings int   // the same
	known   bool  // it has a position
	at      place // everything up to here was seen, or was not meant for it
	// In the present session:
	attached  bool
	resuming  bool   // the positions that the client presented are not answered yet
	upto      uint64 // while resuming: the attach serial
	seqs      map[int]int
	fleeting  map[payload]bool
	unordered []payload // a client whose protocol has no serials: what it saw, in order
	gaps      []gap
	runs      []run
}

// gap is what a client did not see: it must be hidden from it.
type gap struct {
	session  string
	stream   string
	from, to uint64
	p        payload // if from is 0: one payload
}

// run is what a client without serials saw in one session.
type run struct {
	session string
	seen    []payload
}

// opened begins a session.
func (o *Oracle) opened(f *follow, session string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.endRun()
	f.own[session], f.boots, f.endings = true, f.book.boots, f.book.endings
	f.session, f.attached, f.resuming, f.fleeting = session, false, false, map[payload]bool{}
}

// joined says that a subscription was answered by a protocol without positions.
func (o *Oracle) joined(f *follow) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.attached = true
}

// learn takes note of a position that the client was told.
func (f *follow) learn(at place) {
	f.book.learn(at)
	late := f.endings < f.book.endings && at.stream != f.book.now // it may have been told before the stream ended
	if late || f.book.kind.volatile && f.boots < f.book.boots {
		f.book.ended[at.stream] = true
	}
}

func (f *follow) endRun() {
	if len(f.unordered) > 0 {
		f.runs = append(f.runs, run{f.session, f.unordered})
		f.unordered = nil
	}
}

// follower registers a client of a channel.
func (o *Oracle) follower(channel, client string) *follow {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.channels[channel]
	f := &follow{client: client, seqs: map[int]int{}, own: map[string]bool{}, book: b}
	b.follows = append(b.follows, f)
	return f
}

// attached says that a subscription was answered with a position. If the client presented one, the answer must be that.
func (o *Oracle) attached(channel string, f *follow, at place, presented bool, upto uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.attached, f.resuming, f.upto = true, presented, upto
	f.learn(at)
	if presented {
		if at != f.at {
			o.violated("P3 %s: %s presented %v and was answered with %v", channel, f.client, f.at, at)
		}
		return
	}
	f.restart(at)
}

// restart begins anew at a position, after an answer that says so.
func (f *follow) restart(at place) { f.known, f.at, f.seqs = true, at, map[int]int{} }

// delivered says that a client was sent an entry.
func (o *Oracle) delivered(channel string, f *follow, at place, p payload) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts.Delivered++
	switch {
	case !f.attached:
		o.violated("P2 %s: %s was sent %+v at %v before its subscription was answered", channel, f.client, p, at)
		return
	case at.stream != f.at.stream:
		o.violated("P2 %s: %s was sent %v after %v without a word", channel, f.client, at, f.at)
	case at.serial <= f.at.serial:
		o.violated("P2 %s: %s was sent %v after %v", channel, f.client, at, f.at)
	case f.resuming && at.serial > f.upto:
		o.violated("P3 %s: %s was sent %v while it resumed up to %d", channel, f.client, at, f.upto)
	}
	o.observe(channel, at, p, f.client)
	f.learn(at)
	f.skip(at.serial - 1)
	f.at = at
	f.sequence(o, channel, p)
}

// skip takes note of entries that were passed over.
func (f *follow) skip(to uint64) {
	if to > f.at.serial {
		f.gaps = append(f.gaps, gap{session: f.session, stream: f.at.stream, from: f.at.serial + 1, to: to})
	}
}

// sequence judges the number inside the payload: it grows, and what is left out must have a reason.
func (f *follow) sequence(o *Oracle, channel string, p payload) {
	last, begun := f.seqs[p.publisher]
	f.seqs[p.publisher] = p.seq
	if !begun {
		return
	}
	if p.seq <= last {
		o.violated("P2 %s: %s was sent number %d of publisher %d after number %d", channel, f.client, p.seq, p.publisher, last)
	}
	for seq := last + 1; seq < p.seq; seq++ {
		f.gaps = append(f.gaps, gap{session: f.session, p: payload{publisher: p.publisher, seq: seq}})
	}
}

// moved says that a client was told that everything up to a position was seen, or was not meant for it.
func (o *Oracle) moved(channel string, f *follow, at place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.learn(at)
	if at.stream != f.at.stream || at.serial < f.at.serial {
		o.violated("P2 %s: %s was told the position %v after %v", channel, f.client, at, f.at)
		return
	}
	f.skip(at.serial)
	f.at = at
}

// resumed says that the client's position was continued up to the attach serial.
func (o *Oracle) resumed(channel string, f *follow, at place) {
	o.mu.Lock()
	resuming, upto := f.resuming, f.upto
	f.resuming = false
	o.counts.Resumes++
	if !resuming || at.serial != upto {
		o.violated("P3 %s: %s resumed at %v, while it presented a position: %v, up to %d", channel, f.client, at, resuming, upto)
	}
	o.mu.Unlock()
	o.moved(channel, f, at)
}

// The codes by which continuity is refused.
const (
	codeReset        = "stream_reset"
	codeExpired      = "position_expired"
	codeUnverifiable = "continuity_unverifiable"
)

// lost says that continuity was refused, and where the client goes on. There must be a reason.
func (o *Oracle) lost(channel string, f *follow, code, reason string, at place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.channels[channel]
	if f.resuming {
		o.counts.Resumes++
	}
	o.counts.Refused++
	justified := code == codeReset && b.reset(f.at.stream) || code == codeExpired && b.trimmed
	if !justified {
		o.violated("P3 %s: %s was refused with %s (%s) at %v without a reason, to go on at %v", channel, f.client, code, reason, f.at, at)
	}
	if !f.attached {
		o.violated("P3 %s: %s was refused before its subscription was answered", channel, f.client)
	}
	f.resuming = false
	f.learn(at)
	f.restart(at)
}

// fleeting says that a client was sent an ephemeral message.
func (o *Oracle) fleeting(channel string, f *follow, p payload) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts.Ephemeral++
	switch t := o.channels[channel].attempts[p]; {
	case t == nil || !p.ephemeral:
		o.violated("P2 %s: %s was sent %+v without a serial", channel, f.client, p)
	case !f.attached || f.resuming:
		o.violated("P2 %s: %s was sent the ephemeral %+v before its subscription was answered", channel, f.client, p)
	case f.fleeting[p]:
		o.violated("P2 %s: %s was sent the ephemeral %+v twice", channel, f.client, p)
	case t.hides != "" && t.hides == f.session:
		o.violated("P2 %s: %s was sent its own %+v", channel, f.client, p)
	}
	f.fleeting[p] = true
}

// unnumbered says that a client whose protocol has no serials was sent an entry.
func (o *Oracle) unnumbered(channel string, f *follow, p payload) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts.Delivered++
	if t := o.channels[channel].attempts[p]; t == nil || t.failed {
		o.violated("P1 %s: %s was sent %+v, which nobody published or which was refused", channel, f.client, p)
	}
	f.unordered = append(f.unordered, p)
}

// judge explains at the end what a client did not see.
func (f *follow) judge(o *Oracle, channel string, b *book) {
	for _, g := range f.gaps {
		if g.from == 0 {
			if t := b.attempts[g.p]; t != nil && t.acked && !f.own[t.hides] && !b.elsewhere(g) {
				o.violated("P2 %s: %s never saw number %d of publisher %d", channel, f.client, g.p.seq, g.p.publisher)
			}
			continue
		}
		for serial := g.from; serial <= g.to; serial++ {
			p, seen := b.at[place{g.stream, serial}]
			if t := b.attempts[p]; seen && (t.hides == "" || t.hides != g.session) {
				o.violated("P2 %s: %s never saw %+v at %s/%d", channel, f.client, p, g.stream, serial)
			}
			if !seen && !b.kind.volatile && !b.trimmed && len(b.ended) == 0 {
				o.violated("P2 %s: %s was never sent %s/%d, and nobody else was", channel, f.client, g.stream, serial)
			}
		}
	}
	f.endRun()
	for _, r := range f.runs {
		r.judge(o, channel, f, b)
	}
}

// elsewhere reports whether a payload that a client did not see may not have been in its stream: it was published into
// a stream that died with its process.
func (b *book) elsewhere(g gap) bool {
	_, seen := b.where[g.p]
	return b.kind.volatile || !seen && b.kind.early
}

// judge looks at what a session without serials saw: the positions, as others learned them, go on by one.
func (r run) judge(o *Oracle, channel string, f *follow, b *book) {
	var at place
	for _, p := range r.seen {
		here, ok := b.where[p]
		switch {
		case !ok || b.kind.volatile:
			at = place{}
			continue
		case at.serial == 0:
		case here.stream != at.stream || here.serial <= at.serial:
			o.violated("P2 %s: %s was sent %v after %v", channel, f.client, here, at)
		default:
			for serial := at.serial + 1; serial < here.serial; serial++ {
				q, seen := b.at[place{at.stream, serial}]
				if t := b.attempts[q]; seen && t.hides != r.session && !t.change {
					o.violated("P2 %s: %s never saw %+v at %s/%d", channel, f.client, q, at.stream, serial)
				}
			}
		}
		at = here
	}
}

// arrived judges at the end whether a client has everything.
func (o *Oracle) arrived(channel string, f *follow, head place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !f.known || f.at.stream != head.stream {
		o.violated("P2 %s: %s ended at %v, the stream is at %v", channel, f.client, f.at, head)
		return
	}
	f.skip(head.serial)
}

func (p payload) String() string { return fmt.Sprintf("%d.%d", p.publisher, p.seq) }
