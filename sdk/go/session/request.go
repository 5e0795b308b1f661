package session

import (
	"cmp"
	"slices"

	"github.com/continuo-rt/continuo/sdk/go/wire"
)

const (
	maxWaiting = 256
	maxTries   = 5 // how often a request is sent again because of an error
)

// request is a frame that is to be answered.
type request struct {
	id      string
	number  int // its place in the order of all
	command *wire.Command
	again   bool
	tries   int
	notAt   int64 // it is not sent before
}

// requests are those that wait to be sent, and those that wait for their answers.
type requests struct {
	number  int
	waiting []*request // in their order
	sent    map[string]*request
}

func newRequests() requests { return requests{sent: map[string]*request{}} }

// due is when a delayed request can be sent.
func (q *requests) due(m *Machine) int64 {
	next := int64(never)
	if m.conn.phase == connected {
		for _, r := range q.waiting {
			if r.notAt > m.now || m.ready(r) { // also one whose time has come, and whose timer has not
				next = min(next, r.notAt)
			}
		}
	}
	return next
}

func (q *requests) remove(id string) {
	delete(q.sent, id)
	q.waiting = slices.DeleteFunc(q.waiting, func(r *request) bool { return r.id == id })
}

// requeue makes requests wait again, in the order of all.
func (q *requests) requeue(again ...*request) {
	q.waiting = append(q.waiting, again...)
	slices.SortFunc(q.waiting, func(a, b *request) int { return cmp.Compare(a.number, b.number) })
}

func (m *Machine) request(in *Input) {
	q := &m.requests
	q.number++
	r := &request{id: in.ID, number: q.number, command: in.Command, again: in.Again}
	in.Command.CorrelationID = in.ID
	wanted := m.wanted(in.Command.RoomID)
	switch {
	case m.conn.phase == stopped:
		m.fail(in.ID, Failure{Code: "closed", Message: "the client has stopped: " + m.conn.state.Reason})
	case m.ready(r) && !(in.Command.Ephemeral && wanted == nil):
		m.sendRequest(r)
	case in.Command.Ephemeral:
		m.fail(in.ID, Failure{Code: "not_connected", Message: "the room is not joined now, and what is ephemeral does not wait", Retryable: true})
	case len(q.waiting) >= maxWaiting:
		m.fail(in.ID, Failure{Code: "queue_full", Message: "256 requests wait already", Retryable: true})
	default:
		q.waiting = append(q.waiting, r)
	}
}

// ready reports whether a request can be sent now.
func (m *Machine) ready(r *request) bool {
	room := m.wanted(r.command.RoomID)
	return m.conn.phase == connected && r.notAt <= m.now && (room == nil || room.joined)
}

func (m *Machine) sendRequest(r *request) {
	m.requests.sent[r.id] = r
	m.send(r.command)
}

// flush sends what waits and need not any more.
func (m *Machine) flush() {
	q := &m.requests
	if len(q.waiting) == 0 || m.conn.phase != connected {
		return
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(r *request) bool {
		ready := m.ready(r)
		if ready {
			m.sendRequest(r)
		}
		return ready
	})
}

// answer is a frame that ends a request.
func (m *Machine) answer(f *wire.Frame) {
	if _, ok := m.requests.sent[f.CorrelationID]; ok {
		delete(m.requests.sent, f.CorrelationID)
		m.do(Effect{Do: Answer, ID: f.CorrelationID, Frame: f})
	}
}

// requestFailed reports whether an error is that of a request.
func (m *Machine) requestFailed(f *wire.Frame) bool {
	q := &m.requests
	r, ok := q.sent[f.CorrelationID]
	if !ok {
		return false
	}
	delete(q.sent, r.id)
	if f.Retryable && r.again && r.tries < maxTries {
		r.notAt = m.now + max(m.draw(r.tries), f.RetryAfterMS)
		r.tries++
		q.requeue(r)
		m.flush()
		return true
	}
	m.fail(r.id, Failure{Code: f.Code, Message: f.Message, Retryable: f.Retryable, Version: f.Version})
	return true
}

// loseRequests decides about what was sent on a connection that is no more.
func (m *Machine) loseRequests() {
	q := &m.requests
	var again []*request
	for _, r := range q.inOrder() {
		if r.again {
			again = append(again, r)
			continue
		}
		m.fail(r.id, Failure{Code: "outcome_unknown", Message: "the connection was lost before the answer came"})
	}
	clear(q.sent)
	q.requeue(again...)
}

// endRequests fails everything.
func (m *Machine) endRequests(message string) {
	q := &m.requests
	q.requeue(q.inOrder()...)
	for _, r := range q.waiting {
		m.fail(r.id, Failure{Code: "closed", Message: message})
	}
	q.waiting = nil
	clear(q.sent)
}

func (q *requests) inOrder() []*request {
	all := make([]*request, 0, len(q.sent))
	for _, r := range q.sent {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *request) int { return cmp.Compare(a.number, b.number) })
	return all
}
