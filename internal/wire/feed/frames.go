package feed

import (
	"errors"
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// closes says how each cause ends a connection; an empty code sends no error frame.
var closes = map[session.Cause]Refusal{
	session.ByApp:         {Code: "key_revoked", Msg: "the application ended this connection", Close: 4001},
	session.Reconnect:     {Close: 1012},
	session.Overloaded:    {Close: 4002},
	session.Stalled:       {Close: 4002},
	session.Silent:        {Close: 4002},
	session.Stopping:      {Close: 1012},
	session.KeyRevoked:    {Code: "key_revoked", Msg: "the API key was revoked", Close: 4001},
	session.Replaced:      {Close: 1012},
	session.FrameTooLarge: {Close: 1009},
	session.ServerError:   {Close: 1011},
}

// refusalOf says why an API key was not accepted.
func refusalOf(err error) *Refusal {
	switch kind := fault.KindOf(err); {
	case errors.Is(err, auth.ErrRevoked):
		return &Refusal{Code: "key_revoked", Msg: err.Error(), Close: 4001}
	case kind == fault.AuthFailed || kind == fault.AppNotFound || kind == fault.AppDisabled || kind == fault.Forbidden:
		return &Refusal{Code: "login_failed", Msg: err.Error(), Close: 4000}
	case kind == fault.Backpressure:
		return &Refusal{Code: "server_busy", Msg: err.Error(), Close: 1013}
	}
	return &Refusal{Close: 1011}
}

func errorFrame(r *Refusal) []byte {
	b := envelope.AppendString([]byte(`{"type":"error","error":`), r.Code)
	return append(envelope.AppendString(append(b, `,"message":`...), r.Msg), '}')
}

func reconnectFrame(after int64) []byte {
	b := []byte(`{"type":"reconnect","reason":"server_upgrade","afterMs":`)
	return append(strconv.AppendInt(b, after, 10), '}')
}

// object builds a JSON object, member by member.
type object struct{ b []byte }

func (o *object) name(n string) {
	if len(o.b) == 0 {
		o.b = append(o.b, '{')
	} else if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(envelope.AppendString(o.b, n), ':')
}

func (o *object) text(n, v string)       { o.name(n); o.b = envelope.AppendString(o.b, v) }
func (o *object) raw(n string, v string) { o.name(n); o.b = append(o.b, v...) }
func (o *object) num(n string, v int64)  { o.name(n); o.b = strconv.AppendInt(o.b, v, 10) }

func (o *object) list(n string, items []string) {
	o.name(n)
	o.b = append(o.b, '[')
	for i, s := range items {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = envelope.AppendString(o.b, s)
	}
	o.b = append(o.b, ']')
}

// each writes an object with a member for every channel of the list.
func (o *object) each(n string, list []*subscription, value func(inner *object, s *subscription)) {
	o.name(n)
	o.b = append(o.b, '{')
	for _, s := range list {
		value(o, s)
	}
	o.b = append(o.b, '}')
}

func (o *object) optional(n string, v string, given bool) {
	if given {
		o.text(n, v)
		return
	}
	o.raw(n, "null")
}

func names(list []*subscription) []string {
	all := make([]string, len(list))
	for i, s := range list {
		all[i] = s.channel
	}
	return all
}

// entryID is the position of a channel at attach; of one that never had an entry the time now, a valid cursor.
func (m *Machine) entryID(s *subscription) string {
	b := s.state.Bounds
	if b.Head == 0 || !b.Logged {
		return stream.EntryID{Time: m.now}.String()
	}
	return b.HeadID().String()
}

func (m *Machine) entryIDs(o *object, list []*subscription) {
	o.each("serverEntryIds", list, func(o *object, s *subscription) { o.text(s.channel, m.entryID(s)) })
}

// window is the longest gap, by time, that is replayed for the channels of this login.
func (m *Machine) window() int64 {
	var least int64
	for _, s := range m.subs {
		if age := m.key.App.Policy(s.channel).ResumeAge().Milliseconds(); age > 0 && (least == 0 || age < least) {
			least = age
		}
	}
	return least
}

func (m *Machine) loginOK() []byte {
	o := &object{}
	o.text("type", "login_ok")
	o.text("connId", m.id)
	o.text("userId", m.key.Label)
	o.optional("clientName", m.login.Client, m.login.HasName)
	o.optional("lang", m.login.Lang, m.login.HasLang)
	o.text("receiveType", map[bool]string{false: "json", true: "binary"}[m.login.Binary])
	o.list("channels", names(m.subs))
	for _, field := range sortedKeys(m.fields) {
		if v := m.fields[field]; v == nil {
			o.raw(field, "null")
		} else if given, ok := m.login.Arrays[field]; ok && m.key.Filters[field] == nil {
			o.raw(field, string(given))
		} else {
			o.list(field, v)
		}
	}
	m.access(o)
	if ignored := m.ignored(); len(ignored) > 0 {
		o.list("ignored", ignored)
	}
	o.name("resume")
	o.b = append(o.b, '{')
	o.raw("enabled", "true")
	o.text("serverEpoch", m.opts.Epoch)
	o.num("resumeWindowMs", m.window())
	o.list("replayChannels", names(m.logged()))
	o.each("serverCursors", m.subs, func(o *object, s *subscription) { o.num(s.channel, int64(s.state.Bounds.Head)) })
	m.entryIDs(o, m.subs)
	return append(o.b, '}', '}')
}

func (m *Machine) access(o *object) {
	access := m.key.Access
	if access == nil {
		access = map[string]bool{"live": true, "pregame": true}
	}
	o.name("access")
	o.b = append(o.b, '{')
	for _, flag := range sortedKeys(access) {
		o.raw(flag, strconv.FormatBool(access[flag]))
	}
	o.b = append(o.b, '}')
}

// ignored lists cursors for channels outside the effective set.
func (m *Machine) ignored() []string {
	var out []string
	for _, name := range sortedKeys(m.login.Cursors) {
		there := false
		for _, s := range m.subs {
			there = there || s.channel == name
		}
		if !there {
			out = append(out, name)
		}
	}
	return out
}

func (m *Machine) logged() []*subscription {
	var list []*subscription
	for _, s := range m.subs {
		if s.state.Bounds.Logged {
			list = append(list, s)
		}
	}
	return list
}

// required is snapshot_required or resync_required.
func (m *Machine) required(kind, reason string, list []*subscription) []byte {
	o := &object{}
	o.text("type", kind)
	o.text("reason", reason)
	o.list("channels", names(list))
	o.text("serverEpoch", m.opts.Epoch)
	o.num("resumeWindowMs", m.window())
	m.entryIDs(o, list)
	return append(o.b, '}')
}

func (m *Machine) resumeComplete(list []*subscription) []byte {
	o := &object{}
	o.text("type", "resume_complete")
	o.text("serverEpoch", m.opts.Epoch)
	o.list("channels", names(list))
	o.each("replayed", list, func(o *object, s *subscription) { o.num(s.channel, int64(m.resume.counts[s])) })
	return append(o.b, '}')
}
