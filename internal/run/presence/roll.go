package presence

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// roll is the members of one channel, as far as this node has part in them. One worker at a time turns what has gathered
// into one append; it alone changes users, with mu held.
type roll struct {
	reg  *Register
	ref  stream.Ref
	held int // under reg.mu: callers that are about to ask something of it

	mu      sync.Mutex
	queue   []*request
	running bool
	conns   map[string]seat // this node's connections, from the moment that they asked to enter
	users   map[string]*user
	seats   uint64

	count    int       // members, as far as is known
	counted  bool      // count is known
	stream   stream.ID // of the newest write; another one means that the log was begun anew
	recorded bool      // the next run of the node would look at this channel
	degraded bool      // something in memory is not in the log
	retry    *time.Timer
	mirror   mirror
}

// seat says as whom a connection entered. A session that took over another's id takes its seat too: then the departure of
// the first means nothing.
type seat struct {
	user string
	sess Session
	turn uint64 // tells an enter from a later one
}

// user is one member in whom this node has part.
type user struct {
	name   string
	member presence.Member // what is there, other nodes' connections included
	known  bool            // what follows was read from the log, or written to it
	here   bool            // the log says that the user is there …
	info   json.RawMessage // … and shows this
	serial uint64          // of the user's newest entry
	dirty  bool            // member is not what the log says
	// leaving are connections in their grace time.
	leaving map[string]*leave
}

// leave is a connection that goes unless its user comes back.
type leave struct {
	timer *time.Timer
	until int64 // unix ms
	asked int64 // when the connection ended, or was last seen
	cause string
}

type kind uint8

const (
	enter  kind = iota + 1
	update      // new info
	exit        // a connection ended
	due         // a grace time is over
	adopt       // look for connections that an earlier run of the node left in the log
	resume      // write what could not be written
	forget      // nobody of this node is here: the next run need not look
	wipe        // begin the log anew, with the members that are there
)

// request is one thing that a roll is asked to do.
type request struct {
	kind  kind
	user  string
	conn  string
	seat  uint64
	sess  Session
	tag   session.Tag
	info  json.RawMessage
	grace time.Duration
	cause string
	at    int64
	tries int
	done  func(error) // adopt, wipe
	cut   stream.CutResult
}

func newRoll(g *Register, ref stream.Ref) *roll {
	return &roll{reg: g, ref: ref, conns: map[string]seat{}, users: map[string]*user{}}
}

// enter takes up a join or an update.
func (r *roll) enter(s Session, e session.Enter) {
	q := &request{kind: enter, user: e.Member.User, conn: s.ID(), sess: s, tag: e.Tag, cause: presence.Join, at: r.reg.opts.Now()}
	var err error
	if q.info, err = presence.InfoOf(e.Member.Info); err != nil {
		s.Post(session.Entered{Tag: e.Tag, Err: err})
		return
	}
	r.mu.Lock()
	if e.Update {
		q.kind = update
	} else {
		r.seats++
		q.seat = r.seats
		r.conns[q.conn] = seat{q.user, s, q.seat}
	}
	r.push(q)
	r.mu.Unlock()
}

// exit takes up a departure.
func (r *roll) exit(s Session, e session.Exit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	conn := s.ID()
	at, ok := r.conns[conn]
	if !ok || at.sess != s {
		return
	}
	delete(r.conns, conn)
	r.push(&request{kind: exit, user: at.user, conn: conn, seat: at.turn, grace: e.Grace, cause: e.Cause, at: r.reg.opts.Now()})
}

// ask has something done that is not about one connection's coming or going.
func (r *roll) ask(q *request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.push(q)
}

// push adds to what waits and sees that somebody is at it; mu is held.
func (r *roll) push(q *request) {
	r.queue = append(r.queue, q)
	if r.running {
		return
	}
	if r.running = r.reg.start(r.run); !r.running {
		r.queue = nil
	}
}

// run does what waits until nothing does.
func (r *roll) run() {
	for {
		r.mu.Lock()
		batch := r.queue
		r.queue = nil
		if len(batch) == 0 || r.reg.ctx.Err() != nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		later := r.turn(batch)
		if len(later) > 0 {
			r.mu.Lock()
			r.queue = append(later, r.queue...)
			r.mu.Unlock()
		}
	}
}

// stopTimers ends all grace times without consequence.
func (r *roll) stopTimers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.users {
		for _, l := range u.leaving {
			l.timer.Stop()
		}
	}
	if r.retry != nil {
		r.retry.Stop()
	}
}

// finished reports whether there is nothing to remember.
func (r *roll) finished() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.users) == 0 && len(r.queue) == 0 && !r.running && len(r.conns) == 0 && !r.recorded && !r.degraded
}

// sweep lets the node's next run forget about the channel when nobody is there.
func (r *roll) sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.recorded && len(r.users) == 0 && len(r.queue) == 0 && !r.running && len(r.conns) == 0 {
		r.push(&request{kind: forget})
	}
}

// ours reports whether a connection is of this run of this node.
func (g *Register) ours(c presence.Conn) bool {
	return c.Node == g.opts.Node && c.Boot == g.opts.Boot
}

// orphaned reports whether a connection is of an earlier run of this node.
func (g *Register) orphaned(c presence.Conn) bool {
	return c.Node == g.opts.Node && c.Boot != g.opts.Boot
}
