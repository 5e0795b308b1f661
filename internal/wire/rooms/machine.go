package rooms

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/limit"
	"github.com/continuo-rt/continuo/internal/core/session"
)

// Options of the machines of an app. Machines share them.
type Options struct {
	App *app.App
	// Seal makes the secrets of sessions, so that any server with the same seal can check one.
	Seal [32]byte
	// Heartbeat is how long a client may be silent before it is pinged; clients are told it.
	Heartbeat time.Duration
	// Warning is how long before its end a token is warned of; 0 = 30 s.
	Warning time.Duration
	// RetryBase and RetryMax are the advice for backing off; 0 = 500 ms and 30 s.
	RetryBase, RetryMax time.Duration
}

func orDefault(d, otherwise time.Duration) int64 {
	if d == 0 {
		d = otherwise
	}
	return d.Milliseconds()
}

// Machine is one connection.
type Machine struct {
	opts  *Options
	now   int64
	out   []session.Effect
	who   identity
	beat  heartbeat
	rooms table
	asked ledger
	rate  limit.Window // sends and mutations
	begun bool         // the client has sent a frame
	shut  bool         // a close frame was asked for: nothing more is said
	cause string       // of the leaves in presence, when the server ended the connection
}

// New makes the machine of a connection for whoever the grant speaks for. o must not change.
func New(o *Options, g auth.Grant) *Machine { return &Machine{opts: o, who: identity{grant: g}} }

// Step implements session.Machine.
func (m *Machine) Step(now int64, in session.Input, out []session.Effect) []session.Effect {
	m.now, m.out = now, out
	if closed, ok := in.(session.Closed); ok {
		m.leaveAll(closed.Clean)
		m.shut = true
	} else if !m.shut {
		m.input(in)
		m.arm()
	}
	out, m.out = m.out, nil
	return out
}

func (m *Machine) input(in session.Input) {
	switch in := in.(type) {
	case session.Opened:
		m.open(in)
	case session.Frame:
		m.beat.pinged = 0
		m.frame(in)
	case session.Woken:
		m.woken()
	case session.Idle:
		m.idle(in)
	case session.Draining:
		m.draining(in)
	case session.Terminate:
		m.terminate(in.Cause)
	case session.Followed:
		m.followed(in)
	case session.ReplayEnded:
		m.replayEnded(in)
	case session.Lost:
		m.lost(in)
	default:
		m.answered(in)
	}
}

// answered takes what answers the effects beside following.
func (m *Machine) answered(in session.Input) {
	switch in := in.(type) {
	case session.Published:
		m.published(in)
	case session.Scrolled:
		m.scrolled(in)
	case session.Listed:
		m.listed(in)
	case session.Entered:
		m.entered(in)
	case session.Authenticated:
		m.authenticated(in)
	}
}

// handlers are the requests that clients may make.
var handlers = map[string]func(*Machine, *Request) error{
	"client.hello":    (*Machine).hello,
	"client.auth":     (*Machine).renew,
	"client.ping":     (*Machine).ping,
	"client.join":     (*Machine).join,
	"client.leave":    (*Machine).leave,
	"client.history":  (*Machine).history,
	"client.presence": (*Machine).presence,
	"chat.send":       (*Machine).chat,
	"message.update":  (*Machine).update,
	"message.append":  (*Machine).appendText,
	"message.delete":  (*Machine).remove,
	"message.react":   (*Machine).react,
	"message.unreact": (*Machine).react,
}

func (m *Machine) frame(in session.Frame) {
	first := !m.begun
	m.begun = true
	if in.Binary {
		m.fail(&Request{}, fault.New(fault.Invalid, "frames are JSON in text messages"))
		return
	}
	r, err := Decode(in.Data)
	if err == nil && r.Kind == "client.hello" && !first {
		err = fault.New(fault.Invalid, "client.hello can only be the first frame of a connection")
	}
	if err == nil {
		if handle, ok := handlers[r.Kind]; ok {
			err = handle(m, &r)
		} else {
			err = fault.New(fault.Unsupported, "the kind %s is not known", channel.Quote(r.Kind))
		}
	}
	if err != nil {
		m.fail(&r, err)
	}
}

func (m *Machine) ping(r *Request) error {
	f := begin(nil, "server.pong")
	f.int("server_time", m.now)
	m.send(f.answer(r.Correlation))
	return nil
}

func (m *Machine) do(e session.Effect) { m.out = append(m.out, e) }

func (m *Machine) send(payload []byte) { m.do(session.Send{Payload: payload}) }

// fail tells that a request failed; the connection goes on.
func (m *Machine) fail(r *Request, err error) {
	m.send(errorFrame(err, "", r.room, r.Correlation))
}

// terminate ends the connection with the code of a cause.
func (m *Machine) terminate(c session.Cause) {
	code, ok := closes[c]
	if !ok {
		code = closeInternal
	}
	m.close(code)
	if c == session.ByApp {
		m.cause = forced
	}
}

func (m *Machine) close(code uint16) {
	m.shut, m.cause = true, disconnect
	m.do(session.Close{Code: code})
}

// clock is the time that limits count with.
func (m *Machine) clock() time.Duration { return time.Duration(m.now) * time.Millisecond }
