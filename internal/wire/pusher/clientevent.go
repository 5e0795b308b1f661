package pusher

import (
	"strconv"
	"time"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// clientEvent passes an event of the client on to the others on a channel.
func (m *Machine) clientEvent(r *request) {
	s := m.subs.find(r.channel)
	if problem := m.mayPublish(r, s); problem != "" {
		m.fail(codeClientEvent, problem)
		return
	}
	if ok, _ := m.rate.Allow(m.opts.App.Limits.ClientEventsPerSecond, time.Second, m.clock()); !ok {
		f := m.protocol().event("error", 128)
		f.data()
		f.b = appendError(f.b, codeClientEvent, "Client event rejected due to rate limit")
		m.send(f.end(m.nextID()))
		return
	}
	e := stream.Entry{Kind: stream.Create, Event: r.event, Data: dataOf(r.data), Conn: m.conn.id,
		NoEcho: m.protocol() == V1 || m.opts.NoEcho}
	if s.member != nil {
		e.User = s.member.User
	}
	if s.policy.LogClientEvents && !s.policy.NoLog {
		m.do(session.Publish{Tag: s.tag, Ops: []stream.Op{{Ref: s.ref(m), Entry: e}}})
		return
	}
	m.do(session.Ephemeral{Ref: s.ref(m), Entry: e})
}

// mayPublish checks a client event against the rules; empty: it may be sent.
func (m *Machine) mayPublish(r *request, s *subscription) (problem string) {
	limits := &m.opts.App.Limits
	switch {
	case !m.opts.App.Features.ClientEvents:
		return "client events are disabled for this app"
	case r.channel == "":
		return "a client event needs a channel"
	case s == nil || s.hidden:
		return "the connection is not subscribed to " + quote(r.channel)
	case !s.name.ClientEvents():
		return "client events need a private or presence channel; " + quote(r.channel) + " is " + s.name.Kind().String()
	case !s.policy.ClientEvents || !s.policy.ClientsPublish() || !m.user.may(capPublish, r.channel):
		return "client events are not allowed on " + quote(r.channel)
	}
	if err := channel.CheckClient(r.event, limits.EventNameLength); err != nil {
		return err.Error()
	}
	if n := len(r.data); limits.PayloadBytes > 0 && n > limits.PayloadBytes {
		return "the data has " + strconv.Itoa(n) + " bytes, more than the " + strconv.Itoa(limits.PayloadBytes) + " allowed"
	}
	return ""
}

// dataOf keeps what the client sent: a string as text, everything else as JSON.
func dataOf(v envelope.Value) stream.Data {
	switch v.Kind() {
	case envelope.Absent:
		return stream.Data{}
	case envelope.String:
		return stream.Data{Type: stream.Text, Bytes: v.AppendText(nil)}
	}
	return stream.Data{Type: stream.JSON, Bytes: append([]byte(nil), v...)}
}

// published tells the client when its event was not logged.
func (m *Machine) published(in session.Published) {
	err := in.Err
	for _, r := range in.Results {
		if err == nil && r.Err != nil {
			err = r.Err
		}
	}
	if err != nil {
		f := fault.Of(err)
		m.fail(codes[f.Kind], f.Error())
	}
}
