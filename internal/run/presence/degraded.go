package presence

import (
	"bytes"
	"strconv"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// retryAfter is how long a roll waits before it tries again what failed.
const retryAfter = time.Second

// degrade lets a membership that could not be written go on in memory: watchers on this node are told beside the log,
// and the log is brought up to date as soon as it can be written; mu is held.
func (t *turn) degrade(j *job, err error) {
	t.outrun(err)
	t.beside(j)
}

// outrun notes that memory is ahead of the log, and that this node may have written what it does not know of; mu is held.
func (r *roll) outrun(err error) {
	if !r.degraded && r.reg.opts.Events.Degraded != nil {
		r.reg.opts.Events.Degraded(r.ref, err)
	}
	r.degraded = true
	r.mirror = mirror{}
	r.reg.last.Lock()
	r.reg.degraded[r.ref] = true
	r.reg.last.Unlock()
	r.retryLater()
}

// beside tells watchers on this node what the log does not say.
func (t *turn) beside(j *job) {
	if j.news == presence.None {
		return
	}
	e := j.entry
	if j.news == presence.Added {
		e.Version = 1
	}
	m := *e.Member
	m.Update = j.news == presence.Updated
	e.Member = &m
	g := t.reg
	e.Frame = "presence:" + g.opts.Boot + ":" + strconv.FormatUint(g.beside.Add(1), 10)
	g.opts.Hub.Ephemeral(t.ref, e)
}

// forgo takes out a user of whom the log never knew; mu is held.
func (t *turn) forgo(j *job) {
	j.u.dirty = false
	t.done(j)
	t.beside(j)
}

var errAnew = fault.New(fault.Conflict, "somebody began the log anew")

// begunAnew notices that the log lost its members to somebody else's reset: those of this node are written again; mu is
// held.
func (t *turn) begunAnew() {
	r := t.roll
	id := t.writes[len(t.writes)-1].res.Stream
	if r.stream != "" && r.stream != id {
		fresh := map[string]bool{}
		for _, w := range t.writes {
			fresh[w.user] = w.res.Stream == id
		}
		for _, u := range r.users {
			if !fresh[u.name] {
				u.dirty, u.known, u.here = true, false, false
				r.outrun(errAnew)
			}
		}
		if r.degraded {
			r.push(&request{kind: resume})
		}
	}
	r.stream = id
}

// retryLater has the roll try again after a while; mu is held.
func (r *roll) retryLater() {
	if r.retry != nil {
		r.retry.Stop()
	}
	r.retry = time.AfterFunc(retryAfter, func() {
		if !r.reg.stopping.Load() {
			r.ask(&request{kind: resume})
		}
	})
}

// resume writes what could not be written: not what happened meanwhile, but what came of it.
func (r *roll) resume() {
	t := r.begin()
	for _, u := range r.users {
		if !u.dirty || len(t.jobs) == mostWrites {
			continue
		}
		if s, err := r.load(u); err == nil {
			r.mu.Lock()
			t.catchUp(u, &s)
			r.mu.Unlock()
		}
	}
	t.write()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.degraded = false
	for _, u := range r.users {
		r.degraded = r.degraded || u.dirty
	}
	if r.degraded {
		r.retryLater()
	}
}

// catchUp plans the write that makes the log say what is in memory; mu is held.
func (t *turn) catchUp(u *user, s *presence.State) {
	q := &request{kind: resume, user: u.name}
	data := u.member.Data()
	switch {
	case !u.there() && !u.here, u.there() && u.here && bytes.Equal(data.Bytes, s.Data.Bytes):
		u.dirty = false
		t.drop(u)
	case !u.there():
		t.add(q, u, u.member, presence.Removed, stream.Member{Cause: presence.Disconnect}, presence.Note{})
	case !u.here:
		t.add(q, u, u.member, presence.Added, stream.Member{Conn: u.member.Conns[0].ID, Cause: presence.Join}, presence.Note{})
	default:
		change := presence.None
		if m, err := s.Member(); err != nil || !bytes.Equal(m.Info, u.member.Info) {
			change = presence.Updated
		}
		t.add(q, u, u.member, change, stream.Member{Conn: u.member.Conns[0].ID, Cause: presence.Join}, presence.Note{})
	}
}

// Degraded reports whether the history of a presence log misses transitions: those that happened while the log could
// not be written, since this process began.
func (g *Register) Degraded(ref stream.Ref) bool {
	g.last.Lock()
	defer g.last.Unlock()
	return g.degraded[ref]
}
