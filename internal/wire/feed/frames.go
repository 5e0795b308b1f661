package feed

import (
	"errors"
	"slices"
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// closes says how each cause ends a connection.
var closes = map[session.Cause]Refusal{
	session.ByApp:         {Code: "key_revoked", Msg: "the application ended this connection", Close: closeRevoked},
	session.Reconnect:     {Msg: "reconnect", Close: closeRestart},
	session.Overloaded:    {Msg: "the client is too slow", Close: closeSlow},
	session.Stalled:       {Msg: "the client is too slow", Close: closeSlow},
	session.Silent:        {Msg: "no pong in time", Close: closeSlow},
	session.Stopping:      {Msg: "the server is stopping", Close: closeRestart},
	session.KeyRevoked:    {Code: "key_revoked", Msg: "the API key was revoked", Close: closeRevoked},
	session.Replaced:      {Msg: "a newer connection took over", Close: closeRestart},
	session.FrameTooLarge: {Msg: "the frame is too large", Close: closeTooLarge},
	session.ServerError:   {Msg: "server error", Close: closeFault},
}

// Busy refuses a connection that the server has no room for.
func Busy() *Refusal {
	return &Refusal{Code: "server_busy", Msg: "the server has no room for another connection now", Close: closeBusy}
}

// Frames are the error frame (nil: none) and the close of a refusal.
func (r *Refusal) Frames() (frame []byte, end session.Close) {
	if r.Code == "" {
		return nil, session.Close{Code: r.Close, Reason: r.Msg}
	}
	o := &object{}
	o.text("type", "error")
	o.text("error", r.Code)
	o.text("message", r.Msg)
	return append(o.b, '}'), session.Close{Code: r.Close, Reason: r.Code}
}

// refusalOf says why an API key was not accepted.
func refusalOf(err error) *Refusal {
	kind := fault.KindOf(err)
	switch {
	case errors.Is(err, auth.ErrRevoked):
		return &Refusal{Code: "key_revoked", Msg: err.Error(), Close: closeRevoked}
	case kind == fault.AuthFailed || kind == fault.AppNotFound || kind == fault.AppDisabled || kind == fault.Forbidden:
		return &Refusal{Code: "login_failed", Msg: err.Error(), Close: closeFix}
	case kind == fault.Backpressure || kind == fault.RateLimited:
		return &Refusal{Code: "server_busy", Msg: err.Error(), Close: closeBusy}
	}
	return &Refusal{Msg: "the API key cannot be checked now", Close: closeFault}
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
func (o *object) each(n string, list []*subscription, value func(o *object, s *subscription)) {
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

// entryIDs tells the position of each channel: of one that never had an entry the time now, a valid cursor.
func (m *Machine) entryIDs(o *object, list []*subscription) {
	o.each("serverEntryIds", list, func(o *object, s *subscription) {
		id := s.bounds.HeadID()
		if s.bounds.Head == 0 || !s.bounds.Logged {
			id = stream.EntryID{Time: max(m.now, s.bounds.Born)}
		}
		o.text(s.channel, id.String())
	})
}

func (m *Machine) loginOK(a *attach) []byte {
	o := &object{b: make([]byte, 0, 1024)}
	o.text("type", "login_ok")
	o.text("connId", m.id)
	o.text("userId", a.key.Label)
	o.optional("clientName", a.login.Client, a.login.HasName)
	o.optional("lang", a.login.Lang, a.login.HasLang)
	o.text("receiveType", map[bool]string{false: "json", true: "binary"}[a.login.Binary])
	o.list("channels", names(a.subs))
	a.filters(o)
	a.access(o)
	if ignored := a.ignored(); len(ignored) > 0 {
		o.list("ignored", ignored)
	}
	logged := a.having(func(s *subscription) bool { return s.bounds.Logged })
	o.name("resume")
	o.b = append(o.b, '{')
	o.raw("enabled", strconv.FormatBool(len(logged) > 0))
	o.text("serverEpoch", m.opts.Epoch)
	o.num("resumeWindowMs", m.window)
	o.list("replayChannels", names(logged))
	o.each("serverCursors", a.subs, func(o *object, s *subscription) { o.num(s.channel, int64(s.bounds.Head)) })
	m.entryIDs(o, a.subs)
	return append(o.b, '}', '}')
}

// filters echoes what is in force, in the form in which it was asked for where that is all of it.
func (a *attach) filters(o *object) {
	for _, f := range a.fields {
		given, asked := a.login.Arrays[f.name]
		switch _, confined := a.key.Filters[f.name]; {
		case f.values == nil:
			o.raw(f.name, "null")
		case asked && !confined:
			o.raw(f.name, string(given))
		default:
			o.list(f.name, f.values)
		}
	}
}

func (a *attach) access(o *object) {
	flags := map[string]bool{"live": true, "pregame": true}
	for flag, on := range a.key.Access {
		flags[flag] = on
	}
	o.name("access")
	o.b = append(o.b, '{')
	for _, flag := range sortedKeys(flags) {
		o.raw(flag, strconv.FormatBool(flags[flag]))
	}
	o.b = append(o.b, '}')
}

// ignored lists cursors for channels outside the effective set.
func (a *attach) ignored() []string {
	effective := names(a.subs)
	var out []string
	for _, name := range sortedKeys(a.login.Cursors) {
		if !slices.Contains(effective, name) {
			out = append(out, name)
		}
	}
	return out
}

// required is snapshot_required or resync_required.
func (m *Machine) required(kind, reason string, list ...*subscription) []byte {
	o := &object{}
	o.text("type", kind)
	o.text("reason", reason)
	o.list("channels", names(list))
	o.text("serverEpoch", m.opts.Epoch)
	o.num("resumeWindowMs", m.window)
	m.entryIDs(o, list)
	return append(o.b, '}')
}

func (m *Machine) resumeComplete(list []*subscription) []byte {
	o := &object{}
	o.text("type", "resume_complete")
	o.text("serverEpoch", m.opts.Epoch)
	o.list("channels", names(list))
	o.each("replayed", list, func(o *object, s *subscription) { o.num(s.channel, int64(s.count)) })
	return append(o.b, '}')
}

// sortedKeys gives the keys of m in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
