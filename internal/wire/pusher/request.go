package pusher

import (
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// request is one frame of the client.
type request struct {
	event   string
	channel string
	data    envelope.Value
}

// parseRequest reads a frame. Members that it does not know are passed over.
func parseRequest(data []byte) (request, string) {
	v, err := envelope.Parse(data)
	if err != nil {
		return request{}, err.Error()
	}
	if v.Kind() != envelope.Object {
		return request{}, "a frame must be a JSON object"
	}
	var r request
	for name, m := range v.Members() {
		ok := true
		switch string(name) {
		case "event":
			r.event, ok = m.Text()
		case "channel":
			if m.Given() {
				r.channel, ok = m.Text()
			}
		case "data":
			r.data = m
		}
		if !ok {
			return request{}, "the member " + string(name) + " must be a string"
		}
	}
	if r.event == "" {
		return request{}, "the frame has no event"
	}
	return r, ""
}

// fields is the data of a protocol event as an object, whether it came as one or as a string that holds one.
func (r *request) fields() (envelope.Value, string) {
	v := r.data
	if s, ok := v.Text(); ok {
		inner, err := envelope.Parse([]byte(s))
		if err != nil {
			return nil, "the data of " + r.event + " is a string that holds no JSON: " + err.Error()
		}
		v = inner
	}
	if v.Kind() != envelope.Object {
		return nil, "the data of " + r.event + " must be an object"
	}
	return v, ""
}

// frame takes a frame apart and does what it asks for.
func (m *Machine) frame(data []byte) {
	r, problem := parseRequest(data)
	name, protocol := "", false
	if problem == "" {
		name, protocol = verb(r.event)
	}
	if r.event == "channel_history" {
		name = r.event
	}
	if name != "subscribe" && name != "resume" {
		m.endWindow()
	}
	switch {
	case problem != "":
		m.fail(codeFormat, problem)
	case protocol:
		if problem = m.request(name, &r); problem != "" {
			m.fail(codeFormat, problem)
		}
	case channel.ClassifyEvent(r.event) == channel.ClientEvent:
		m.clientEvent(&r)
	default:
		m.fail(codeClientEvent, "the event name "+quote(r.event)+` is not one that clients may send: it must begin with "client-"`)
	}
}

// request carries out a protocol event. Those that it does not know are passed over, as clients expect.
func (m *Machine) request(name string, r *request) (problem string) {
	switch name {
	case "ping":
		m.send([]byte(`{"event":"` + m.protocol().public() + `pong"}`))
	case "subscribe":
		return m.subscribe(r)
	case "unsubscribe":
		return m.unsubscribe(r)
	case "resume":
		return m.resume(r)
	case "signin":
		return m.signin(r)
	case "presence_update":
		return m.presenceUpdate(r)
	case "channel_history":
		return m.history(r)
	}
	return ""
}

// channelOf is the channel that a request names in its data, or else beside it.
func channelOf(r *request, fields envelope.Value) string {
	if s, ok := fields.Get("channel").Text(); ok {
		return s
	}
	return r.channel
}
