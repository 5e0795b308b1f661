package session

import (
	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// phase is where the connection is.
type phase int

const (
	idle phase = iota
	asking
	dialing
	greeted // the first server.hello was answered
	connected
	waiting
	offline
	stopped
	closed
)

const (
	helloWithin = 10_000 // ms from dial
	pongWithin  = 10_000
	stableAfter = 10_000 // ms from hello
)

// conn is the connection, and what is known of the ones before.
type conn struct {
	phase    phase
	state    State
	attempt  int    // attempts begun since the last stable connection
	failed   int    // the exponent of the next delay
	code     int    // of the last loss
	session  string // id and secret to come back with
	secret   string
	token    *string // of the last dial
	advice   wire.Retry
	renewing bool // a token for the open connection was asked for
	unwanted int  // the code that refused token, while another is asked for
	replaced bool // the last dial had a token in the place of a refused one
	prompt   bool // a reconnect without back-off was used
	offline  bool // says the platform
	after    int64
	line     line
}

// line is what a single connection has.
type line struct {
	helloAt int64 // when it was; never: not yet
	dialBy  int64 // deadlines
	beatAt  int64
	pongAt  int64
	retryAt int64
	lastAt  int64 // when something was read
	ponged  bool  // something was read since the ping
	beat    int64
}

func newConn() conn {
	return conn{phase: idle, state: State{State: StateIdle}, advice: wire.Retry{BaseMS: 500, MaxMS: 30_000}, after: -1, line: newLine()}
}

func newLine() line {
	return line{helloAt: never, dialBy: never, beatAt: never, pongAt: never, retryAt: never}
}

func (c *conn) open() bool { return c.phase == dialing || c.phase == greeted || c.phase == connected }

// joinable reports whether client.join may be sent.
func (c *conn) joinable() bool { return c.phase == greeted || c.phase == connected }

func (c *conn) read(now int64) { c.line.lastAt, c.line.ponged = now, true }

func (m *Machine) setState(s State) {
	if s != m.conn.state {
		m.conn.state = s
		m.do(Effect{Do: StateChanged, State: s})
	}
}

func (m *Machine) connect() {
	c := &m.conn
	switch c.phase {
	case idle, stopped:
		c.attempt, c.failed, c.replaced, c.prompt = 0, 0, false, false
	case waiting, offline:
	default:
		return
	}
	m.attempt()
}

func (m *Machine) attempt() {
	c := &m.conn
	c.attempt++
	c.phase, c.line = asking, newLine()
	m.setState(State{State: StateConnecting, Attempt: c.attempt})
	m.do(Effect{Do: WantToken})
}

func (m *Machine) token(token *string) {
	c := &m.conn
	switch {
	case c.phase == asking:
		if c.unwanted != 0 && (token == nil || c.token != nil && *token == *c.token) {
			m.stop(ReasonUnauthorized, c.unwanted)
			return
		}
		c.token, c.unwanted, c.phase = token, 0, dialing
		c.line.dialBy = m.now + helloWithin
		m.do(Effect{Do: Dial, Token: token})
	case c.renewing:
		c.renewing = false
		if token != nil {
			c.token = token
			m.send(&wire.Command{Kind: wire.ClientAuth, Token: *token, CorrelationID: m.id()})
		}
	}
}

func (m *Machine) tokenFailed(message string) {
	c := &m.conn
	switch {
	case c.phase == asking:
		m.warn(message)
		m.lost(0, 0)
	case c.renewing:
		c.renewing = false
		m.warn(message)
	}
}

// hello is the first frame, and the answer to client.hello.
func (m *Machine) hello(f *wire.Frame) {
	c := &m.conn
	switch c.phase {
	case greeted:
		c.phase, c.session, c.secret = connected, f.SessionID, f.SessionSecret
		m.setState(State{State: StateConnected, SessionID: f.SessionID, UserID: f.UserID})
		m.flush()
	case dialing:
		if lowest, highest := orElse(f.ProtocolMin, f.ProtocolVersion), orElse(f.ProtocolMax, f.ProtocolVersion); lowest > 1 || highest < 1 {
			m.do(Effect{Do: HangUp, Code: 1000})
			m.stop(ReasonProtocol, 0)
			return
		}
		base := max(100, orElse(f.Retry.BaseMS, 500))
		c.advice = wire.Retry{BaseMS: base, MaxMS: max(base, orElse(f.Retry.MaxMS, 30_000))}
		c.phase, c.line.dialBy, c.line.helloAt = greeted, never, m.now
		c.line.beat = max(1000, orElse(f.HeartbeatMS, 25_000))
		c.line.beatAt = m.now + c.line.beat
		m.send(&wire.Command{Kind: wire.ClientHello, ProtocolVersion: 1, Client: m.client, SessionID: c.session, SessionSecret: c.secret})
		for _, r := range m.order {
			if !r.refused {
				m.sendJoin(r)
			}
		}
	}
}

// orElse is n, or what counts when it was not said.
func orElse(n, otherwise int64) int64 {
	if n == 0 {
		return otherwise
	}
	return n
}

func (m *Machine) platform(what string) {
	c := &m.conn
	if what != Visible {
		c.offline = what == Offline
	}
	switch {
	case what == Offline && c.phase == waiting:
		c.phase, c.line.retryAt = offline, never
		m.setState(State{State: StateOffline})
	case what == Online && c.phase == offline, what != Offline && c.phase == waiting:
		if delay := int64(m.random * float64(c.advice.BaseMS)); m.now+delay < c.line.retryAt {
			m.wait(delay)
		}
	case what != Offline && c.phase == connected:
		m.ping()
	}
}

func (m *Machine) wait(delay int64) {
	c := &m.conn
	c.phase, c.line.retryAt = waiting, m.now+delay
	m.setState(State{State: StateWaiting, RetryInMS: delay, Attempt: c.attempt + 1, Code: c.code})
}

func (m *Machine) ping() {
	if l := &m.conn.line; l.pongAt == never {
		l.pongAt, l.beatAt, l.ponged = m.now+pongWithin, never, false
		m.send(&wire.Command{Kind: wire.ClientPing})
	}
}

func (m *Machine) close() {
	c := &m.conn
	if c.open() {
		m.do(Effect{Do: HangUp, Code: 1000})
	}
	c.phase, c.line = closed, newLine()
	m.setState(State{State: StateClosed})
	m.rooms, m.order = map[string]*room{}, nil
	m.endRequests("the client is closed")
}
