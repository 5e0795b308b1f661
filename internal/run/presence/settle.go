package presence

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// mostTries is how often a write is repeated because somebody else wrote the same user.
const mostTries = 8

// there reports whether the user is a member.
func (u *user) there() bool { return len(u.member.Conns) > 0 }

// stay ends the grace time of a connection.
func (u *user) stay(conn string) {
	if l := u.leaving[conn]; l != nil {
		l.timer.Stop()
		delete(u.leaving, conn)
	}
}

// settle takes note of what became of a job; mu is held.
func (t *turn) settle(j *job, res stream.Result) {
	switch {
	case res.Outcome == stream.Applied || res.Outcome == stream.Duplicate:
		j.u.here, j.u.serial, j.u.known, j.u.dirty = j.entry.Kind == stream.Put, res.Entry.Serial, true, false
		j.u.info = j.target.Info
		t.done(j)
		t.wrote(j, res)
	case res.Outcome == stream.Refused && repeats(res.Err) && j.q.tries < mostTries:
		j.u.known = false
		j.q.tries++
		t.redo = append(t.redo, j.q) // before what the user asked for after it
	case res.Outcome == stream.Refused && !outage(res.Err):
		t.fail(j.q, t.inWords(res.Err))
		t.drop(j.u)
	case j.q.kind == resume: // it stays dirty
	default:
		j.u.known, j.u.dirty = false, true
		t.done(j)
		t.degrade(j, res.Err)
	}
}

// repeats reports whether somebody else wrote the user first.
func repeats(err error) bool {
	k := fault.KindOf(err)
	return k == fault.Conflict || k == fault.NotFound
}

// outage reports whether the log cannot be written now, whatever is asked of it.
func outage(err error) bool {
	switch fault.KindOf(err) {
	case fault.LimitExceeded, fault.Invalid, fault.TooLarge, fault.Conflict, fault.NotFound, fault.Mismatch:
		return false
	}
	return true
}

// inWords says in the words of presence why a member cannot be written.
func (t *turn) inWords(err error) error {
	switch {
	case repeats(err):
		return fault.New(fault.Backpressure, "other connections of the user come and go too fast")
	case fault.KindOf(err) == fault.LimitExceeded:
		return fault.New(fault.LimitExceeded, "the channel %q has the %d members that it may have", t.ref.Channel, t.roll.count)
	}
	return err
}

// done makes a job's target the membership; mu is held.
func (t *turn) done(j *job) {
	j.u.member = j.target
	for id, l := range j.u.leaving {
		if !j.target.Has(id) {
			l.timer.Stop()
			delete(j.u.leaving, id)
		}
	}
	if j.q.kind == enter {
		j.u.stay(j.q.conn)
		t.ready = append(t.ready, j.q)
	}
	t.roll.count += j.news.Members()
	t.drop(j.u)
}

func (t *turn) wrote(j *job, res stream.Result) {
	t.writes = append(t.writes, written{res, j.u.name, j.target.Info, j.change})
	if f := t.reg.opts.Events.Change; f != nil && j.change != presence.None {
		f(j.change.String(), j.entry.Member.Cause)
	}
}

// drop forgets a user in whom this node has no part any more; mu is held.
func (r *roll) drop(u *user) {
	if u.dirty || len(u.leaving) > 0 {
		return
	}
	for _, c := range u.member.Conns {
		if r.reg.ours(c) {
			return
		}
	}
	delete(r.users, u.name)
}

// again has a request tried again after a while.
func (r *roll) again(q *request) {
	if r.reg.stopping.Load() {
		return
	}
	time.AfterFunc(retryAfter, func() { r.ask(q) })
}

// linger gives a connection that ended its grace time; mu is held.
func (g *Register) linger(r *roll, u *user, conn, cause string, asked, until int64) {
	u.stay(conn)
	if u.leaving == nil {
		u.leaving = map[string]*leave{}
	}
	wait := time.Duration(max(0, until-g.opts.Now())) * time.Millisecond
	l := &leave{until: until, asked: asked, cause: cause}
	l.timer = time.AfterFunc(wait, func() {
		if !g.stopping.Load() {
			r.ask(&request{kind: due, user: u.name})
		}
	})
	u.leaving[conn] = l
}

// load reads what the log says about a user. What this node could not write stays wanted.
func (r *roll) load(u *user) (presence.State, error) {
	page, err := r.reg.opts.Store.Read(r.reg.ctx, stream.Query{Ref: r.ref, Key: u.name, State: true})
	if err != nil {
		return presence.State{}, err
	}
	s, err := presence.Continue(page.State, page.Entries)
	if err != nil {
		return s, err
	}
	m := presence.Member{User: u.name}
	if s.Here {
		if m, err = s.Member(); err != nil {
			return s, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u.known, u.here, u.info, u.serial = true, s.Here, m.Info, s.Last.Serial
	if !u.dirty {
		u.member = m
		return s, nil
	}
	for _, c := range m.Conns {
		if c.Node != r.reg.opts.Node && !u.member.Has(c.ID) {
			u.member.Conns = append(u.member.Conns[:len(u.member.Conns):len(u.member.Conns)], c)
		}
	}
	return s, nil
}
