package feed

import (
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
	Access      map[string]bool     // nil: live and pregame
	Connections int                 // at once; 0 = unlimited
}

// Options of a Machine. Machines may share them.
type Options struct {
	Epoch string
	// Resolve proves an API key. Its fault is AuthFailed; one that wraps auth.ErrRevoked or auth.ErrExpired is told as
	// such.
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
	opts   *Options
	now    int64
	out    []session.Effect
	phase  phase
	id     string
	asked  int64 // when a ping was sent that nothing has answered yet; 0 none
	login  *Login
	key    Entitlement
	fields map[string][]string // filters in force, nil values: not filtered
	subs   []*subscription     // by tag; sorted by channel
	resume group
}

// New makes the machine of a connection.
func New(o *Options) *Machine { return &Machine{opts: o} }

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
		m.do(session.Send{Payload: reconnectFrame(in.AfterMS)})
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

func (m *Machine) do(e session.Effect) { m.out = append(m.out, e) }

func (m *Machine) frame(in session.Frame) {
	if m.phase != waiting {
		m.refuse(&Refusal{Code: "unexpected_message", Msg: "after the login a client sends nothing: reconnect to change channels or filters", Close: 4000})
		return
	}
	if in.Binary {
		m.refuse(&Refusal{Code: "first_message_must_be_login", Msg: "the first frame must be a text frame with the login", Close: 4000})
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
	m.login, m.key = login, key
	if r := m.choose(); r != nil {
		m.refuse(r)
		return
	}
	m.phase = deciding
	m.do(session.Wake{})
	m.do(session.Admit{App: key.App.ID, User: KeyUser(key.ID), Limit: key.Connections})
}

// KeyUser is what the connections of an API key are registered under.
func KeyUser(id string) string { return "feed-key:" + id }

func (m *Machine) admitted(in session.Admitted) {
	if in.Err != nil {
		m.refuse(&Refusal{Code: "too_many_connections", Msg: in.Err.Error(), Close: 4003})
		return
	}
	for i, s := range m.subs {
		m.do(session.Follow{Tag: session.Tag(i), Ref: s.ref, Start: s.start, Encoder: s.enc})
	}
}

func (m *Machine) woken() {
	switch {
	case m.phase == waiting:
		m.refuse(&Refusal{Code: "login_timeout", Msg: "no login frame came in time", Close: 4000})
	case m.asked != 0 && m.now-m.asked >= orDefault(m.opts.PongTimeout, 20*time.Second):
		m.terminate(session.Silent)
	}
}

// idle asks a silent client for a sign of life.
func (m *Machine) idle(in session.Idle) {
	if m.phase == waiting {
		return
	}
	if m.asked != 0 && in.For >= m.now-m.asked { // nothing came since the ping
		if m.now-m.asked >= orDefault(m.opts.PongTimeout, 20*time.Second) {
			m.terminate(session.Silent)
		}
		return
	}
	m.asked = m.now
	m.do(session.Ping{})
}

// refuse sends the error frame and closes.
func (m *Machine) refuse(r *Refusal) {
	if r.Code != "" {
		m.do(session.Send{Payload: errorFrame(r)})
	}
	m.phase = over
	m.do(session.Close{Code: r.Close, Reason: r.Code})
}

func (m *Machine) terminate(c session.Cause) {
	r, ok := closes[c]
	if !ok {
		r = closes[session.ServerError]
	}
	m.refuse(&r)
}
