package feed

import (
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/filter"
	"github.com/continuo-rt/continuo/internal/core/session"
)

// Entitlement is what an API key may do.
type Entitlement struct {
	App         *app.App
	ID          string // of the key, for counting and revoking its connections
	Label       string
	Channels    channel.Patterns
	Filters     map[string][]string // values that a login field is confined to
	Access      map[string]bool     // beside live and pregame, which are true unless they are here
	Connections int                 // at once; 0 = unlimited
	Expires     int64               // unix ms; 0 = never
}

// Options of a Machine. Machines may share them.
type Options struct {
	Epoch string
	// Resolve proves an API key. Its fault is AuthFailed; one that wraps auth.ErrRevoked is told as such.
	Resolve func(apiKey string) (Entitlement, error)
	// Intern gives the one pointer that stands for all sets equal to s.
	Intern       func(s *filter.Set) *filter.Set
	LoginTimeout time.Duration // 0 = 10 s
	PongTimeout  time.Duration // 0 = 20 s
}

type phase uint8

const (
	waiting  phase = iota // for the login
	deciding              // for the starts of the channels
	open
	over
)

// Machine is one connection.
type Machine struct {
	opts     *Options
	now      int64
	out      []session.Effect
	phase    phase
	id       string
	asked    int64 // when a ping was sent that nothing has answered yet; 0 none
	expires  int64 // when the key ends, unix ms; 0 never
	window   int64 // ms, as told in login_ok
	channels []string
	attach   *attach // until every accepted channel is live
}

// New makes the machine of a connection.
func New(o *Options) *Machine { return &Machine{opts: o} }

const keyUser = "feed-key:"

// KeyUser is what the connections of an API key are registered under.
func KeyUser(id string) string { return keyUser + id }

// KeyOfUser is the id of the key that a connection is registered under.
func KeyOfUser(user string) (id string, ok bool) { return strings.CutPrefix(user, keyUser) }

// Step implements session.Machine.
func (m *Machine) Step(now int64, in session.Input, out []session.Effect) []session.Effect {
	m.now, m.out = now, out
	if m.phase != over {
		m.input(in)
	}
	out, m.out = m.out, nil
	return out
}

func (m *Machine) input(in session.Input) {
	switch in := in.(type) {
	case session.Opened:
		m.id = "c_" + in.ID
		m.do(session.Wake{At: m.now + orDefault(m.opts.LoginTimeout, 10*time.Second)})
	case session.Frame:
		m.asked = 0
		m.frame(in)
	case session.Woken:
		m.woken()
	case session.Idle:
		m.idle(in)
	case session.Admitted:
		m.admitted(in)
	case session.Followed:
		m.followed(in)
	case session.ReplayEnded:
		m.replayEnded(in)
	case session.Lost:
		m.lost(in)
	case session.Draining:
		m.drain(in)
	case session.Terminate:
		m.terminate(in.Cause)
	case session.Closed:
		m.phase = over
	}
}

func orDefault(d, otherwise time.Duration) int64 {
	if d == 0 {
		d = otherwise
	}
	return d.Milliseconds()
}

func (m *Machine) do(e session.Effect)  { m.out = append(m.out, e) }
func (m *Machine) send(payload []byte)  { m.do(session.Send{Payload: payload}) }
func (m *Machine) release(tag int)      { m.do(session.Release{Tag: session.Tag(tag)}) }
func (m *Machine) pongTimeout() int64   { return orDefault(m.opts.PongTimeout, 20*time.Second) }
func (m *Machine) silence() (ms int64)  { return m.now - m.asked }
func (m *Machine) refuseWith(r Refusal) { m.refuse(&r) }

func (m *Machine) frame(in session.Frame) {
	if m.phase != waiting {
		m.refuseWith(Refusal{Code: "unexpected_message", Close: closeFix,
			Msg: "after the login a client sends nothing: reconnect to change channels or filters"})
		return
	}
	if in.Binary {
		m.refuse(notALogin("the first frame must be a text frame with the login"))
		return
	}
	login, r := DecodeLogin(in.Data)
	if r != nil {
		m.refuse(r)
		return
	}
	key, err := m.opts.Resolve(login.APIKey)
	if err != nil {
		m.refuse(refusalOf(err))
		return
	}
	a := &attach{login: login, key: key}
	if r := m.choose(a); r != nil {
		m.refuse(r)
		return
	}
	m.phase, m.attach, m.expires = deciding, a, key.Expires
	m.do(session.Wake{At: m.expires})
	m.do(session.Admit{App: key.App.ID, User: KeyUser(key.ID), Limit: key.Connections})
}

func (m *Machine) admitted(in session.Admitted) {
	if m.phase != deciding {
		return
	}
	if in.Err != nil {
		m.refuseWith(Refusal{Code: "too_many_connections", Msg: in.Err.Error(), Close: closeTooMany})
		return
	}
	for i, s := range m.attach.subs {
		m.do(session.Follow{Tag: session.Tag(i), Ref: s.ref, Start: s.start, Encoder: s.enc})
	}
}

func (m *Machine) woken() {
	switch {
	case m.phase == waiting:
		m.refuseWith(Refusal{Code: "login_timeout", Msg: "no login frame came in time", Close: closeFix})
	case m.expires != 0 && m.now >= m.expires:
		m.refuseWith(Refusal{Code: "key_revoked", Msg: "the API key has expired", Close: closeRevoked})
	}
}

// idle asks a silent client for a sign of life.
func (m *Machine) idle(in session.Idle) {
	switch {
	case m.phase == waiting: // the login has its own timeout
	case m.asked == 0 || in.For <= m.silence(): // a pong may come in the millisecond of the ping
		m.asked = m.now
		m.do(session.Ping{})
	case m.silence() >= m.pongTimeout():
		m.terminate(session.Silent)
	}
}

func (m *Machine) drain(in session.Draining) {
	if m.phase == waiting {
		m.terminate(session.Stopping)
		return
	}
	m.send(reconnectFrame(in.AfterMS))
}

// refuse sends the error frame and closes.
func (m *Machine) refuse(r *Refusal) {
	frame, end := r.Frames()
	if frame != nil {
		m.send(frame)
	}
	m.phase, m.attach = over, nil
	m.do(end)
}

func (m *Machine) terminate(c session.Cause) {
	r, ok := closes[c]
	if !ok {
		r = closes[session.ServerError]
	}
	m.refuse(&r)
}
