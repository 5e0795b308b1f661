package pusher

import (
	"strconv"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// maxPages is how many history requests of a connection may be under way.
const maxPages = 2

// past is the history requests of a connection that are not answered yet, in order: the frames have no request id, so
// answers keep the order of the requests.
type past struct {
	asked []page
	last  session.Tag
}

type page struct {
	tag     session.Tag
	channel string
	until   bool // until_attach
	attach  uint64
	answer  *session.Paged
}

// history asks for a page of a channel that the client follows.
func (m *Machine) history(r *request) (problem string) {
	fields, problem := r.fields()
	if problem != "" {
		return problem
	}
	if inner := fields.Get("params"); inner.Kind() == envelope.Object {
		fields = inner
	}
	name := fields.Get("channel")
	p := page{channel: channelOf(r, fields)}
	if !name.Given() && p.channel == "" {
		p.channel, _ = r.data.Get("channel").Text()
	}
	s := m.subs.find(p.channel)
	switch {
	case m.protocol() != V2:
		m.fail(codeChannel, "channel_history needs protocol=2")
		return ""
	case s == nil || !s.acked:
		m.fail(codeChannel, "channel_history needs a subscription to "+quote(p.channel))
		return ""
	case s.policy.NoLog:
		m.fail(codeChannel, "the channel "+quote(p.channel)+" keeps no log")
		return ""
	case !m.user.may(capHistory, p.channel):
		m.fail(codeUnauthorized, "the user may not read the history of "+quote(p.channel))
		return ""
	case len(m.past.asked) >= maxPages:
		m.fail(codeChannel, "Too many concurrent channel_history requests for this connection")
		return ""
	}
	q, err := m.historyQuery(fields)
	if err != nil {
		return err.Error()
	}
	p.attach = s.base.serial
	if p.until = untilAttach(fields); p.until && (!q.Serials.HasEnd || q.Serials.End > p.attach) {
		q.Serials.End, q.Serials.HasEnd = p.attach, true
	}
	m.past.last++
	p.tag = m.past.last
	m.past.asked = append(m.past.asked, p)
	m.do(session.Page{Tag: p.tag, Ref: s.ref(m), Query: q})
	return ""
}

func untilAttach(fields envelope.Value) bool {
	a, _ := fields.Get("until_attach").Bool()
	b, _ := fields.Get("untilAttach").Bool()
	return a || b
}

// historyQuery reads what page is asked for.
func (m *Machine) historyQuery(fields envelope.Value) (q session.HistoryQuery, err error) {
	most := m.opts.App.Limits.HistoryPage
	q.Limit = most
	if v := fields.Get("limit"); v.Given() {
		n, err := positive(v, "limit")
		if err != nil {
			return q, err
		}
		q.Limit = int(min(n, uint64(most)))
	}
	if v := fields.Get("direction"); v.Given() {
		s, _ := v.Text()
		q.Directed = true
		switch strings.ToLower(s) {
		case "newest_first", "backwards", "reverse":
		case "oldest_first", "forwards", "forward":
			q.OldestFirst = true
		default:
			return q, fault.New(fault.Invalid, "direction %s is not known: use newest_first or oldest_first", quote(s))
		}
	}
	if v := fields.Get("cursor"); v.Given() {
		s, ok := v.Text()
		if !ok || s == "" {
			return q, fault.New(fault.Invalid, "cursor must be a string of an earlier page")
		}
		q.Cursor = s
	}
	if q.Serials, err = span(fields, "start_serial", "start", "end_serial", "end"); err != nil {
		return q, err
	}
	q.Times, err = span(fields, "start_time_ms", "", "end_time_ms", "")
	return q, err
}

// span reads the two ends of a range, each under one of two names.
func span(fields envelope.Value, start, start2, end, end2 string) (s session.Span, err error) {
	if s.Start, s.HasStart, err = bound(fields, start, start2); err != nil {
		return s, err
	}
	if s.End, s.HasEnd, err = bound(fields, end, end2); err != nil {
		return s, err
	}
	if s.HasStart && s.HasEnd && s.Start > s.End {
		return s, fault.New(fault.Invalid, "%s %d lies after %s %d", start, s.Start, end, s.End)
	}
	return s, nil
}

func bound(fields envelope.Value, name, other string) (n uint64, given bool, err error) {
	v := fields.Get(name)
	if !v.Given() && other != "" {
		v = fields.Get(other)
	}
	if !v.Given() {
		return 0, false, nil
	}
	n, ok := v.Uint()
	if s, text := v.Text(); text {
		n, ok = decimal(s)
	}
	if !ok {
		return 0, false, fault.New(fault.Invalid, "%s must be a whole number", name)
	}
	return n, true, nil
}

// paged takes an answer and sends what is due, in the order of the requests.
func (m *Machine) paged(in session.Paged) {
	asked := m.past.asked
	for i := range asked {
		if asked[i].tag == in.Tag && asked[i].answer == nil {
			asked[i].answer = &in
		}
	}
	for len(m.past.asked) > 0 && m.past.asked[0].answer != nil {
		p := m.past.asked[0]
		m.past.asked = m.past.asked[1:]
		m.answerPage(&p)
	}
	if len(m.past.asked) == 0 {
		m.past.asked = nil
	}
}

func (m *Machine) answerPage(p *page) {
	if p.answer.Err != nil {
		f := fault.Of(p.answer.Err)
		m.fail(codes[f.Kind], f.Error())
		return
	}
	body, err := envelope.Parse(p.answer.Body)
	if err != nil || body.Kind() != envelope.Object {
		m.fail(codes[fault.Internal], "the history could not be shown")
		return
	}
	f := m.protocol().event("channel_history", len(body)+128)
	f.channel(p.channel)
	f.data()
	sep := byte('{')
	for name, v := range body.Members() {
		f.b = appendMember(append(f.b, sep), name, v)
		if sep = ','; string(name) == "bounds" && v.Kind() == envelope.Object {
			f.b = p.bounds(f.b[:len(f.b)-1])
		}
	}
	f.b = append(f.b, '}')
	m.send(f.end(m.nextID()))
}

// bounds adds to the member bounds, whose closing brace was taken off, how the attach serial bounded the page.
func (p *page) bounds(dst []byte) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = strconv.AppendBool(append(dst, `"until_attach":`...), p.until)
	dst = strconv.AppendUint(append(dst, `,"attach_serial":`...), p.attach, 10)
	return append(dst, '}')
}
