package presence

import (
	"math"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// space is where the records are of channels that this node has members in; their keys are node/app/channel.
const space = "presence"

// special does what concerns the whole roll.
func (r *roll) special(q *request) {
	switch q.kind {
	case adopt:
		r.adopt(q)
	case resume:
		r.resume()
	case forget:
		r.forget()
	case wipe:
		r.wipe(q)
	}
}

func (r *roll) key() string {
	return r.reg.opts.Node + "/" + r.ref.App + "/" + r.ref.Channel
}

// refOf reads the key of a record of this node.
func (g *Register) refOf(key string) (ref stream.Ref, ok bool) {
	rest, ok := strings.CutPrefix(key, g.opts.Node+"/")
	if !ok {
		return ref, false
	}
	ref.Log = stream.Presence
	ref.App, ref.Channel, ok = strings.Cut(rest, "/")
	return ref, ok
}

// remember notes for the node's next run that the channel may have members of this one. It comes before the first of
// them, so that a crash in between leaves nobody behind.
func (r *roll) remember(p *app.Policy) {
	records := r.reg.opts.Records
	if records == nil || p.PresenceRules().Durability == stream.Volatile {
		return
	}
	if _, err := records.Put(r.reg.ctx, space, r.key(), []byte(r.reg.opts.Boot), record.Any); err != nil {
		r.reg.failed("remember a channel with members", err)
		return // the next join tries again
	}
	r.setRecorded(true)
}

func (r *roll) setRecorded(yes bool) {
	r.mu.Lock()
	r.recorded = yes
	r.mu.Unlock()
}

// forget removes the note when nobody of this node is there.
func (r *roll) forget() {
	r.mu.Lock()
	keep := len(r.users) > 0 || len(r.conns) > 0 || !r.recorded
	r.mu.Unlock()
	if keep {
		return
	}
	if err := r.reg.opts.Records.Delete(r.reg.ctx, space, r.key(), record.Any); err != nil {
		r.reg.failed("forget a channel without members", err)
		return
	}
	r.setRecorded(false)
}

// adopt gives the connections that an earlier run of this node left in the log their grace time.
func (r *roll) adopt(q *request) {
	r.setRecorded(true)
	p := r.reg.policy(r.ref).Presence
	until := r.reg.opts.Now() + max(p.DropGrace, p.DropGraceV1).Milliseconds()
	_, _, err := r.reg.rows(r.reg.ctx, r.ref, 0, math.MaxInt, func(row stream.KeyRow) error {
		if err := r.adoptUser(row, q.at, until); err != nil {
			r.reg.failed("read a member of an earlier run", err)
		}
		return nil
	})
	if err != nil {
		r.reg.failed("look for members of an earlier run", err)
		r.again(q)
		return
	}
	if q.done != nil {
		q.done(nil)
	}
}

// adoptUser looks for such connections in one membership. seen is the last sign of life of the earlier run.
func (r *roll) adoptUser(row stream.KeyRow, seen, until int64) error {
	s, err := presence.Decode(row.State)
	if err != nil {
		return err
	}
	m, err := s.Member()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.users[m.User]
	for _, c := range m.Conns {
		if !r.reg.orphaned(c) {
			continue
		}
		if u == nil {
			u = &user{name: m.User, member: m, known: true, here: true, info: m.Info, serial: s.Last.Serial}
			r.users[m.User] = u
		}
		if u.member.Has(c.ID) && u.leaving[c.ID] == nil { // else the user is back already
			r.reg.linger(r, u, c.ID, presence.Orphan, max(seen, s.Last.Time), until)
		}
	}
	return nil
}

// wipe begins the log anew and writes those who are there into it. Of this node's members none is lost when that fails
// halfway: they are written as soon as that is possible.
func (r *roll) wipe(q *request) {
	err := r.rewrite(q)
	r.mu.Lock()
	for _, u := range r.users {
		u.known = false
		if err != nil {
			u.dirty, u.here = true, false
		}
	}
	if err != nil && len(r.users) > 0 {
		r.outrun(err)
	}
	r.counted, r.mirror, r.stream = false, mirror{}, ""
	r.mu.Unlock()
	q.done(err)
}

func (r *roll) rewrite(q *request) error {
	var ops []stream.Op
	_, _, err := r.reg.rows(r.reg.ctx, r.ref, 0, math.MaxInt, func(row stream.KeyRow) error {
		op, err := r.rejoin(row)
		if op.Entry.Key != "" {
			ops = append(ops, op)
		}
		return err
	})
	if err != nil {
		return err
	}
	res, err := r.reg.opts.Store.Cut(r.reg.ctx, stream.Cut{Ref: r.ref, Kind: stream.Reset})
	if err != nil {
		return err
	}
	q.cut = res
	r.reg.last.Lock()
	delete(r.reg.degraded, r.ref)
	r.reg.last.Unlock()
	if n := len(ops); n > r.reg.policy(r.ref).Presence.BroadcastLimit {
		for i := range ops {
			ops[i].Entry.Event = presence.Quiet
		}
		ops[n-1].Entry.Extras = presence.Note{Count: n}.Extras()
	}
	for len(ops) > 0 {
		n := min(len(ops), mostWrites)
		results, err := r.reg.opts.Store.Append(r.reg.ctx, ops[:n])
		if err != nil {
			return err
		}
		for _, res := range results {
			if res.Outcome != stream.Applied && !repeats(res.Err) {
				return res.Err
			}
		}
		ops = ops[n:]
	}
	return nil
}

// rejoin is the append that makes a member one of a log that was begun anew. It is told like any other: who follows may
// have read the members before it.
func (r *roll) rejoin(row stream.KeyRow) (stream.Op, error) {
	s, err := presence.Decode(row.State)
	if err != nil {
		return stream.Op{}, err
	}
	m, err := s.Member()
	if err != nil || len(m.Conns) == 0 {
		return stream.Op{}, err
	}
	c := m.Conns[len(m.Conns)-1]
	e := stream.Entry{Kind: stream.Put, Key: m.User, User: m.User, Conn: c.ID, Data: s.Data,
		Member: &stream.Member{User: m.User, Conn: c.ID, Node: c.Node, Boot: c.Boot, Cause: presence.Join}}
	return stream.Op{Ref: r.ref, Entry: e, Guard: stream.Guard{IfAbsent: true}}, nil
}
