package hub

import (
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// hot is an entry of the window with the frames that were made of it, which belong to the topic's enc lock.
type hot = stream.HotEntry[frames]

// turn is one pass of what became visible over all followers.
type turn struct {
	bounds   stream.Bounds
	items    []*hot
	fleeting []*stream.Entry
	list     []*Follower
	echo     bool // some entry hides from its publisher
	sets     map[session.Encoder]*set
	rollsDue bool // what waits to be rolled up has waited long enough
	encoded  int
	dropped  int
}

// set is what one encoder makes of a turn.
type set struct {
	frames   [][]byte // one per item; nil: not meant for this encoder
	joined   []byte   // their concatenation
	fleeting [][]byte
	rolls    bool   // the encoder is a roller: then there are steps instead of frames …
	steps    []step // …
	waits    uint64 // … and appends wait from this serial on
}

// run carries out turns until nothing is left to deliver. Only one runs at a time.
func (t *topic) run() {
	for t.collect() {
		u := &t.turn
		u.hurry()
		for _, f := range u.list {
			t.deliver(f)
		}
		t.states.pass(u.bounds.Stream, u.items)
		if u.rollsDue {
			clear(t.rolls) // of those that nobody follows with any more
		}
		t.hub.turned(u)
	}
}

// hurry puts the session that published the turn's first item at the head of the list: whoever says something waits for
// its echo, and the others do not know that they wait.
func (u *turn) hurry() {
	if len(u.items) == 0 || u.items[0].Conn == "" || u.items[0].NoEcho {
		return
	}
	for i, f := range u.list {
		if f.conn == u.items[0].Conn {
			u.list[0], u.list[i] = f, u.list[0]
			return
		}
	}
}

// collect moves what is pending into the turn; false when there is nothing, and then the turn has ended.
func (t *topic) collect() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := &t.turn
	clear(u.list)
	if len(u.list) > 4096 && len(t.followers) < 1024 {
		u.list = nil
	}
	*u = turn{list: append(u.list[:0], t.followers...), bounds: t.bounds, rollsDue: t.rollsDue}
	t.rollsDue = false
	moved := t.known && t.bounds.Head != t.fanned
	if !moved && len(t.fleeting) == 0 && !t.changed && !u.rollsDue || len(u.list) == 0 {
		t.turning = false
		if len(u.list) == 0 {
			t.pending, t.fleeting = nil, nil
			clear(t.rolls)
		}
		*u = turn{}
		return false
	}
	u.items = make([]*hot, 0, len(t.pending))
	for _, e := range t.pending {
		item := t.window.At(e.Serial)
		if item == nil {
			item = &hot{Entry: e}
		}
		u.items = append(u.items, item)
		u.echo = u.echo || e.NoEcho
	}
	u.fleeting = t.fleeting
	u.sets = make(map[session.Encoder]*set, 4)
	t.pending, t.fleeting, t.changed, t.fanned = nil, nil, false, t.bounds.Head
	return true
}

// set gives what the turn is for an encoder, made once.
func (t *topic) set(enc session.Encoder) *set {
	u := &t.turn
	if s, ok := u.sets[enc]; ok {
		return s
	}
	if wait := rollup(enc); wait > 0 {
		s := t.rolled(enc, wait)
		if u.sets[enc] = s; s != nil {
			t.fleetingFrames(enc, s)
		}
		return s
	}
	s := &set{frames: make([][]byte, len(u.items))}
	u.sets[enc] = s
	if t.prepare(enc, u.bounds.Stream, u.items, &t.states) != nil {
		u.sets[enc] = nil // the store cannot be read now: these followers turn behind, and find that out for themselves
		return nil
	}
	size, kept := 0, 0
	for i, item := range u.items {
		frame, fresh := t.frame(enc, u.bounds.Stream, item)
		if fresh {
			u.encoded++
		}
		if s.frames[i] = frame; frame != nil {
			size += len(frame)
			kept = i
		}
	}
	if size > 0 && size == len(s.frames[kept]) {
		s.joined = s.frames[kept]
	} else if size > 0 {
		s.joined = make([]byte, 0, size)
		for _, frame := range s.frames {
			s.joined = append(s.joined, frame...)
		}
	}
	t.fleetingFrames(enc, s)
	return s
}

func (t *topic) fleetingFrames(enc session.Encoder, s *set) {
	for _, e := range t.turn.fleeting {
		s.fleeting = append(s.fleeting, t.plain(enc, t.turn.bounds.Stream, e))
	}
}

// deliver gives one follower what the turn holds for it, and offers it to the socket.
func (t *topic) deliver(f *Follower) {
	u := &t.turn
	f.out.Lock()
	if u.bounds.Stream != "" && f.stream != "" && f.state != gone && f.stream != u.bounds.Stream && f.older(u.bounds) {
		f.lose(stream.StreamReset, u.bounds)
		f.out.Unlock()
		f.owner.Lost(f)
		return
	}
	if f.state != live {
		t.pass(f)
		f.out.Unlock()
		return
	}
	s, made := u.sets[f.enc]
	if !made { // not with the session's lock: it may read the store
		f.out.Unlock()
		t.set(f.enc)
		t.deliver(f)
		return
	}
	if same := u.bounds.Stream == "" || f.stream == u.bounds.Stream; same && s != nil && f.take(u, s) {
		t.fleet(f, s)
		f.position(false)
		f.out.Flush()
	} else {
		u.dropped += len(u.fleeting)
		f.turnBehind()
	}
	f.out.Unlock()
}

// pass goes by a follower that is not live: it reads for itself, and misses what is not logged. The session's lock is
// held.
func (t *topic) pass(f *Follower) {
	if f.state == gone {
		return
	}
	t.turn.dropped += len(t.turn.fleeting)
	if f.parked {
		f.parked = false
		f.out.Kick()
	}
}

// take queues the turn's entries for a live follower whose session's lock is held. It returns false when the follower
// must turn behind: an entry is missing, or the outbox is full.
func (f *Follower) take(u *turn, s *set) bool {
	head := u.bounds.Head
	if s.rolls {
		return f.takeRolled(head, s)
	}
	if f.cursor >= head {
		return true
	}
	if len(u.items) == 0 || f.cursor+1 < u.items[0].Serial || u.items[len(u.items)-1].Serial != head {
		return false
	}
	skip := int(f.cursor + 1 - u.items[0].Serial)
	if skip == 0 && !(u.echo && f.echoes(u.items)) {
		n := f.out.PutTurn(s.frames, s.joined)
		f.moved(s.frames[:n])
		return n == len(u.items)
	}
	for i := skip; i < len(u.items); i++ {
		frame := s.frames[i]
		if frame == nil || f.hidden(u.items[i].Entry) {
			f.passed()
			continue
		}
		if !f.out.Put(frame) {
			return false
		}
		f.queued()
	}
	return true
}

// moved advances the cursor over entries whose frames were queued, or were nil.
func (f *Follower) moved(frames [][]byte) {
	for _, frame := range frames {
		if frame != nil {
			f.queued()
		} else {
			f.passed()
		}
	}
}

// queued advances the cursor over an entry that was sent, passed over one that was not meant for this follower.
func (f *Follower) queued() {
	f.cursor++
	f.sent, f.skipped = true, 0
}

func (f *Follower) passed() {
	f.cursor++
	f.skipped++
}

// echoes reports whether any of the items hides from this session.
func (f *Follower) echoes(items []*hot) bool {
	for _, item := range items {
		if f.hidden(item.Entry) {
			return true
		}
	}
	return false
}

func (f *Follower) hidden(e *stream.Entry) bool { return e.NoEcho && e.Conn == f.conn }

// fleet queues the turn's ephemeral frames for a live follower that has room.
func (t *topic) fleet(f *Follower, s *set) {
	for i, e := range t.turn.fleeting {
		if frame := s.fleeting[i]; frame != nil && !f.hidden(e) {
			if !f.out.Put(frame) {
				t.turn.dropped++
			}
		}
	}
}

func (h *Hub) turned(u *turn) {
	if u.dropped > 0 {
		h.dropped(u.dropped)
	}
	if h.opts.Events.Turn != nil {
		h.opts.Events.Turn(TurnInfo{Entries: len(u.items) + len(u.fleeting), Followers: len(u.list), Encoded: u.encoded})
	}
}

func (h *Hub) dropped(n int) {
	if h.opts.Events.Dropped != nil {
		h.opts.Events.Dropped(n)
	}
}
