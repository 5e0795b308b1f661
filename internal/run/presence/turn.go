package presence

import (
	"bytes"
	"slices"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// mostWrites bounds the users that one turn writes, and with them the size of one append.
const mostWrites = 2048

// turn is what one append is made of.
type turn struct {
	*roll
	now    int64
	policy *app.Policy
	sum    int // members as they will be
	quiet  int // the job of the last transition that is not told in detail, counted from 1; 0: none …
	after  int // … and members as they will be after it
	jobs   []job
	busy   map[string]bool  // users that later requests have to wait for
	unread map[string]error // users about whom nothing can be decided now
	redo   []*request
	later  []*request
	ready  []*request // to be answered with the members
	failed []failure
	writes []written
}

// failure is a request that is to be answered with an error.
type failure struct {
	q   *request
	err error
}

// job is the write of one user's membership.
type job struct {
	q      *request
	u      *user
	target presence.Member
	change presence.Change // of what the log says
	news   presence.Change // of what was there, in the log or not
	note   presence.Note
	entry  stream.Entry
}

// turn does what it can of a batch in one append and returns what has to wait for the next.
func (r *roll) turn(batch []*request) (later []*request) {
	if batch[0].kind >= adopt {
		r.special(batch[0])
		return batch[1:]
	}
	for i, q := range batch {
		if q.kind >= adopt {
			batch, later = batch[:i], batch[i:]
			break
		}
	}
	t := r.begin()
	t.prepare(batch)
	r.mu.Lock()
	t.sum = r.count
	for _, q := range batch {
		t.take(q)
	}
	r.mu.Unlock()
	t.write()
	t.answer()
	return slices.Concat(t.redo, t.later, later)
}

func (r *roll) begin() *turn {
	return &turn{roll: r, now: r.reg.opts.Now(), policy: r.reg.policy(r.ref), busy: map[string]bool{}, unread: map[string]error{}}
}

// prepare reads what the turn rests on: how many members there are, and users whose entries are not known. It notes
// for the node's next run that members are about to come.
func (t *turn) prepare(batch []*request) {
	r := t.roll
	if !r.counted {
		if page, err := r.reg.opts.Store.Read(r.reg.ctx, stream.Query{Ref: r.ref}); err == nil {
			r.mu.Lock()
			r.count, r.counted = int(page.Bounds.Keys), true
			r.mu.Unlock()
		}
	}
	if !r.recorded && slices.ContainsFunc(batch, func(q *request) bool { return q.kind == enter }) {
		r.remember(t.policy)
	}
	for _, q := range batch {
		u := r.users[q.user]
		if _, tried := t.unread[q.user]; tried || u == nil || u.known {
			continue
		}
		if _, err := r.load(u); err != nil && !u.dirty {
			t.unread[q.user] = err
		}
	}
}

// take decides what a request means; mu is held.
func (t *turn) take(q *request) {
	if err := t.unread[q.user]; err != nil {
		t.fail(q, err)
		return
	}
	if t.busy[q.user] || len(t.jobs) >= mostWrites {
		t.busy[q.user] = true
		t.later = append(t.later, q)
		return
	}
	u := t.users[q.user]
	switch q.kind {
	case enter:
		if u == nil {
			u = &user{name: q.user, known: true, leaving: map[string]*leave{}}
			u.member.User = q.user
			t.users[q.user] = u
		}
		t.enter(q, u)
	case update:
		t.update(q, u)
	case exit:
		t.exit(q, u)
	case due:
		t.due(q, u)
	}
}

func (t *turn) enter(q *request, u *user) {
	c := presence.Conn{ID: q.conn, Node: t.reg.opts.Node, Boot: t.reg.opts.Boot}
	target, err := u.member.With(c, q.info)
	if err != nil {
		t.fail(q, err)
		t.drop(u)
		return
	}
	for _, old := range u.member.Conns { // the user is back: nobody waits any longer for what was lost
		if old.ID != q.conn && (u.leaving[old.ID] != nil || t.reg.orphaned(old)) {
			target = target.Without(old.ID)
		}
	}
	changed := !bytes.Equal(target.Info, u.member.Info)
	if u.there() && !changed && len(target.Conns) == len(u.member.Conns) && u.member.Has(q.conn) {
		u.stay(q.conn)
		t.ready = append(t.ready, q)
		return
	}
	change := presence.None
	switch {
	case !u.there():
		change = presence.Added
	case changed:
		change = presence.Updated
	}
	t.add(q, u, target, change, stream.Member{Conn: q.conn, Cause: presence.Join}, presence.Note{})
}

func (t *turn) update(q *request, u *user) {
	if u == nil || !u.member.Has(q.conn) {
		t.fail(q, fault.New(fault.Conflict, "the connection is no member of %q as user %q", t.ref.Channel, q.user))
		return
	}
	target := u.member
	target.Info = q.info
	t.add(q, u, target, presence.Updated, stream.Member{Conn: q.conn, Cause: presence.Join}, presence.Note{})
}

func (t *turn) exit(q *request, u *user) {
	if u == nil || !u.member.Has(q.conn) || t.conns[q.conn].turn > q.seat { // it has entered again, when the exit had to be tried again
		return
	}
	if q.grace > 0 {
		t.reg.linger(t.roll, u, q.conn, q.cause, q.at, q.at+q.grace.Milliseconds())
		return
	}
	t.remove(q, u, []string{q.conn}, stream.Member{Conn: q.conn, Cause: q.cause}, q.at)
}

// due takes out the connections whose grace time is over.
func (t *turn) due(q *request, u *user) {
	if u == nil {
		return
	}
	var gone []string
	var last *leave
	m := stream.Member{}
	for _, c := range u.member.Conns {
		if l := u.leaving[c.ID]; l != nil && l.until <= t.now {
			gone = append(gone, c.ID)
			if last == nil || l.asked >= last.asked {
				last, m = l, stream.Member{Conn: c.ID, Cause: l.cause, Node: c.Node, Boot: c.Boot}
			}
		}
	}
	if last != nil {
		t.remove(q, u, gone, m, last.asked)
	}
}

func (t *turn) remove(q *request, u *user, conns []string, m stream.Member, seen int64) {
	target := u.member
	for _, id := range conns {
		target = target.Without(id)
	}
	change := presence.None
	if len(target.Conns) == 0 {
		change = presence.Removed
	}
	note := presence.Note{}
	if seen < t.now {
		note.ObservedAt = seen
	}
	t.add(q, u, target, change, m, note)
}

// add plans the write of a user's membership.
func (t *turn) add(q *request, u *user, target presence.Member, change presence.Change, m stream.Member, note presence.Note) {
	j := job{q: q, u: u, target: target, change: change, news: change, note: note}
	j.target.User = u.name
	switch {
	case q.kind == resume: // it was told and counted when it happened
		j.news = presence.None
	case u.dirty:
		j.change = u.against(target, change)
	}
	t.sum += j.news.Members()
	m.User, m.Update = u.name, j.change == presence.Updated
	if m.Node == "" {
		m.Node, m.Boot = t.reg.opts.Node, t.reg.opts.Boot
	}
	j.entry = stream.Entry{Kind: stream.Put, Key: u.name, User: u.name, Conn: m.Conn, Member: &m, Data: target.Data()}
	if len(target.Conns) == 0 {
		j.entry.Kind, j.entry.Set = stream.Delete, stream.FieldData
		if !u.here { // the log never knew of it
			t.forgo(&j)
			return
		}
	}
	j.entry.NoEcho = q.kind == enter
	if j.change != presence.None && t.sum > t.policy.Presence.BroadcastLimit {
		j.entry.Event, t.quiet, t.after = presence.Quiet, len(t.jobs)+1, t.sum
	}
	j.entry.Extras = note.Extras()
	t.busy[u.name] = true
	t.jobs = append(t.jobs, j)
}

// against is what a membership means to those who know the log, which lacks what happened last.
func (u *user) against(target presence.Member, change presence.Change) presence.Change {
	switch {
	case len(target.Conns) == 0:
		return presence.Removed
	case !u.here:
		return presence.Added
	case !bytes.Equal(target.Info, u.info):
		return presence.Updated
	case change == presence.Added: // the log says that the user never went
		return presence.None
	}
	return change
}

// count has the last quiet transition of the turn say how many members there are then: watchers hear one number for a
// burst, and count on from it.
func (t *turn) count() {
	if t.quiet > 0 {
		j := &t.jobs[t.quiet-1]
		j.note.Count = t.after
		j.entry.Extras = j.note.Extras()
	}
}

// fail has a request answered with an error; mu is held.
func (t *turn) fail(q *request, err error) {
	t.failed = append(t.failed, failure{q, err})
	if q.kind == enter && t.conns[q.conn].turn == q.seat {
		delete(t.conns, q.conn)
	}
}

// op is the append of a job, guarded by what is known.
func (j *job) op(ref stream.Ref) stream.Op {
	op := stream.Op{Ref: ref, Entry: j.entry}
	if j.u.here {
		op.Guard.IfSerial = j.u.serial
	} else {
		op.Guard.IfAbsent = true
	}
	return op
}

// write appends the jobs and settles what became of each.
func (t *turn) write() {
	if len(t.jobs) == 0 {
		return
	}
	t.count()
	ops := make([]stream.Op, len(t.jobs))
	for i := range t.jobs {
		ops[i] = t.jobs[i].op(t.ref)
	}
	began := time.Now()
	results, err := t.reg.opts.Store.Append(t.reg.ctx, ops)
	if f := t.reg.opts.Events.Turn; f != nil {
		f(len(ops), time.Since(began))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.jobs {
		var res stream.Result
		if err != nil {
			res = stream.Result{Outcome: stream.Refused, Err: err}
		} else {
			res = results[i]
		}
		t.settle(&t.jobs[i], res)
	}
	t.mirror.move(t.writes)
	if len(t.writes) > 0 {
		t.begunAnew()
	}
}

// answer tells those who entered who is there, and the others why they are not.
func (t *turn) answer() {
	for _, f := range t.failed {
		t.refuse(f.q, f.err)
	}
	if len(t.ready) == 0 {
		return
	}
	list, err := t.members()
	if err == nil {
		t.mu.Lock()
		t.roll.count, t.counted = list.Count, true
		t.mu.Unlock()
	}
	for _, q := range t.ready {
		if err != nil {
			q.sess.Post(session.Entered{Tag: q.tag, Err: err})
			continue
		}
		list.Tag = q.tag
		q.sess.Post(list)
	}
}

// members is who is there, at a serial that is not below any write of this turn.
func (t *turn) members() (session.Entered, error) {
	if !t.degraded {
		if t.reflect(t.now); t.mirror.good {
			return t.mirror.list(t.policy.Presence.ListLimit), nil
		}
	}
	return t.reg.present(t.reg.ctx, t.ref, t.policy.Presence.ListLimit)
}

// refuse answers a request that failed. A departure that cannot be decided now is tried again.
func (t *turn) refuse(q *request, err error) {
	switch q.kind {
	case enter, update:
		q.sess.Post(session.Entered{Tag: q.tag, Err: err})
	default:
		t.again(q)
	}
}
