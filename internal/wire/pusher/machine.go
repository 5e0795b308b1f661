package pusher

import (
	"strconv"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/limit"
	"github.com/continuo-rt/continuo/internal/core/session"
)

// Options of a Machine.
type Options struct {
	App  *app.App
	Keys auth.Lookup // the keys that auth strings are checked with
	Query
	Activity time.Duration // what clients are told; 0 = DefaultActivity
}

// Machine is one connection.
type Machine struct {
	opts  *Options
	now   int64
	out   []session.Effect
	conn  ident
	beat  heartbeat
	subs  table
	res   resumes
	user  user
	past  past
	rate  limit.Window  // client events
	shut  bool          // a close frame was asked for: nothing more is said
	ended session.Cause // why the server ended it, 0 when it did not
}

// ident is what the connection is called, and what numbers its direct frames.
type ident struct {
	id  string
	seq uint64
}

// New makes the machine of a connection. Machines may share o, which must not change.
func New(o *Options) *Machine { return &Machine{opts: o} }

// Step implements session.Machine.
func (m *Machine) Step(now int64, in session.Input, out []session.Effect) []session.Effect {
	m.now, m.out = now, out
	if closed, ok := in.(session.Closed); ok {
		m.leave(closed.Clean)
		m.shut = true
	} else if !m.shut {
		m.input(in)
		m.beat.arm(m)
	}
	out, m.out = m.out, nil
	return out
}

func (m *Machine) input(in session.Input) {
	switch in := in.(type) {
	case session.Opened:
		m.open(in)
	case session.Frame:
		m.beat.heard()
		m.frame(in.Data)
	case session.Woken:
		m.woken()
	case session.Idle:
		m.idle(in)
	case session.Draining:
		m.beat.drain = m.now + max(in.AfterMS, 0)
	case session.Terminate:
		m.terminate(in.Cause)
	case session.Followed:
		m.followed(in)
	case session.ReplayEnded:
		m.replayEnded(in)
	case session.Lost:
		m.lost(in)
	default:
		m.answer(in)
	}
}

// answer takes what answers the effects beside following.
func (m *Machine) answer(in session.Input) {
	switch in := in.(type) {
	case session.Published:
		m.published(in)
	case session.Entered:
		m.entered(in)
	case session.Listed:
		m.listed(in)
	case session.Counted:
		m.counted(in)
	case session.Watched:
		m.watched(in)
	case session.Recalled:
		m.recalled(in)
	case session.Paged:
		m.paged(in)
	}
}

func (m *Machine) protocol() Protocol { return m.opts.Protocol }

func (m *Machine) do(e session.Effect) { m.out = append(m.out, e) }

func (m *Machine) send(payload []byte) { m.do(session.Send{Payload: payload}) }

// nextID is the message_id of a direct frame: V2 clients drop a frame whose id they saw.
func (m *Machine) nextID() string {
	if m.protocol() != V2 {
		return ""
	}
	m.conn.seq++
	return m.conn.id + ":" + strconv.FormatUint(m.conn.seq, 10)
}

// open greets the client.
func (m *Machine) open(in session.Opened) {
	m.conn.id = in.ID
	activity := m.opts.Activity
	if activity == 0 {
		activity = DefaultActivity
	}
	f := m.protocol().event("connection_established", 96)
	f.text([]byte(`{"socket_id":"` + in.ID + `","activity_timeout":` + strconv.FormatInt(int64(activity/time.Second), 10) + `}`))
	m.send(f.end(m.nextID()))
}

// terminate ends the connection in the protocol's words.
func (m *Machine) terminate(c session.Cause) {
	m.ended = c
	end, ok := closes[c]
	if !ok {
		end = closes[session.ServerError]
	}
	m.close(end)
}

func (m *Machine) close(end session.Close) {
	m.shut = true
	m.do(end)
}

// unavailable ends a connection whose channel cannot be read now. No frame takes the client's position away: it comes
// back with it.
func (m *Machine) unavailable() {
	m.close(session.Close{Code: codeCapacity, Reason: "The channel's log cannot be read now; please reconnect."})
}

// fail sends an error frame; the connection goes on.
func (m *Machine) fail(code int, message string) {
	f := m.protocol().event("error", len(message)+64)
	f.data()
	f.b = appendError(f.b, code, leads[code]+message)
	m.send(f.end(m.nextID()))
}

func quote(s string) string { return channel.Quote(s) }
