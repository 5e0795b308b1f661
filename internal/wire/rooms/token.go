package rooms

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
)

// warning is how long before its end a token is warned of, in ms.
func (m *Machine) warning() int64 { return orDefault(m.opts.Warning, 30*time.Second) }

// expires is when the session's token ends, unix ms; 0: never.
func (w *identity) expires() int64 {
	if e := w.grant.Expires(); !e.IsZero() {
		return e.UnixMilli()
	}
	return 0
}

// Can reports what a grant allows in a room. A room that reaches one user is that user's alone, and the ciphertext of an
// encrypted one comes from backends.
func Can(g auth.Grant, n channel.Name, want auth.Right) error {
	if id, ok := n.ServerToUser(); ok && (want&^(auth.Join|auth.History) != 0 || id != g.Subject()) {
		return fault.New(fault.Forbidden, "the room %s belongs to another user, or is for reading alone", channel.Quote(n.String()))
	}
	if n.Encrypted() && want&^(auth.Join|auth.History|auth.Presence) != 0 {
		return fault.New(fault.Disabled, "the room %s is end-to-end encrypted: only its backend publishes", channel.Quote(n.String()))
	}
	if !g.Can(n.String(), want) {
		return fault.New(fault.Forbidden, "you have no right to %s in the room %s", want, channel.Quote(n.String()))
	}
	return nil
}

func (m *Machine) can(n channel.Name, want auth.Right) error { return Can(m.who.grant, n, want) }

// renew proves a new token for the same user.
func (m *Machine) renew(r *Request) error {
	raw, err := r.text("token", maxToken)
	switch {
	case err != nil:
		return err
	case raw == "":
		return fault.New(fault.Invalid, "the member token is missing").In("token")
	case m.who.renewing:
		return fault.New(fault.RateLimited, "another token is being checked")
	}
	m.who.renewing, m.who.request = true, r.Correlation
	m.do(session.Authenticate{Token: raw})
	return nil
}

// authenticated puts a renewed token in force: rooms that it does not open any more are left.
func (m *Machine) authenticated(in session.Authenticated) {
	r := &Request{Correlation: m.who.request}
	m.who.renewing, m.who.request = false, ""
	old := &m.who.grant
	switch {
	case in.Err != nil:
		m.fail(r, in.Err)
		return
	case in.Grant.App() != m.opts.App.ID || in.Grant.Subject() != old.Subject():
		m.fail(r, fault.New(fault.Forbidden, "the token speaks for someone else: connect anew with it"))
		return
	}
	m.who.grant = in.Grant
	m.beat.warned = 0
	f := begin(nil, "server.auth_ok")
	f.int("expires_at", m.who.expires())
	m.send(f.answer(r.Correlation))
	for _, s := range m.rooms.all() {
		err := m.can(s.name, auth.Join)
		if err == nil && s.member != nil {
			err = m.can(s.name, auth.Presence)
		}
		if err != nil {
			m.send(errorFrame(err, "", s.name.String(), ""))
			m.drop(s, s.policy.Presence.CleanGrace)
			m.send(leftFrame(s.name.String(), ""))
		}
	}
}

// heartbeat keeps the connection's times. The driver has one timer for it, set to whichever comes first.
type heartbeat struct {
	pinged int64 // when a sign of life was asked for; 0: none is owed
	warned int64 // the expiry that the client was warned of
	drain  int64 // when the connection ends because the server stops; 0: never
	armed  int64 // what the driver's timer is set to
}

// pongWait is how long a client may take to answer a ping.
const pongWait = 20 * time.Second

// due is when the machine has to be woken; 0: never.
func (m *Machine) due() int64 {
	at := m.beat.drain
	if end := m.who.expires(); end > 0 {
		if m.beat.warned != end {
			end = max(m.now+1, end-m.warning())
		}
		if at == 0 || end < at {
			at = end
		}
	}
	return at
}

func (m *Machine) arm() {
	at := int64(0)
	if !m.shut {
		at = m.due()
	}
	if at != m.beat.armed {
		m.beat.armed = at
		m.do(session.Wake{At: at})
	}
}

func (m *Machine) woken() {
	m.beat.armed = 0
	end := m.who.expires()
	switch {
	case end > 0 && m.now >= end:
		m.close(closeToken)
	case m.beat.drain > 0 && m.now >= m.beat.drain:
		m.close(closeRestart)
	case end > 0 && m.beat.warned != end && m.now >= end-m.warning():
		m.beat.warned = end
		f := begin(nil, "server.token_expiring")
		f.int("expires_at", end)
		m.send(f.end())
	}
}

// draining tells the client when its connection will be closed because the server stops.
func (m *Machine) draining(in session.Draining) {
	after := max(in.AfterMS, 0)
	f := begin(nil, "server.reconnect")
	f.int("after_ms", after)
	m.send(f.end())
	m.beat.drain = max(1, m.now+after)
}

// idle asks a silent client for a sign of life; the pongs of the transport count as one.
func (m *Machine) idle(in session.Idle) {
	if p := m.beat.pinged; p != 0 && in.For > m.now-p { // nothing came since the ping
		if m.now-p >= pongWait.Milliseconds() {
			m.terminate(session.Silent)
		}
		return
	}
	m.beat.pinged = m.now
	m.do(session.Ping{})
}
