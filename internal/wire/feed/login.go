// Package feed is the feed face: one login frame picks the channels, then the server streams, and a client that comes
// back presents one cursor per channel. It is a pure session.Machine.
//
//	login ──► Follow (each channel) ──► login_ok, snapshot_required…, replayed entries, resume_complete ──► live
package feed

import (
	"fmt"
	"sort"

	"github.com/continuo-rt/continuo/internal/core/filter"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// Limits of a login frame.
const (
	MaxLogin    = 64 << 10 // bytes
	MaxChannels = 256
)

// Login is what the first frame asks for.
type Login struct {
	APIKey   string
	Channels []string // nil: absent
	Binary   bool
	Client   string
	HasName  bool // clientName was given: it is echoed
	Lang     string
	HasLang  bool
	Epoch    string
	Cursors  map[string]string // channel → entry id as it was given
	// Arrays are the array-valued members that are no fields of the protocol: filters, if a feed policy names them.
	Arrays map[string]envelope.Value
}

// Refusal is an error frame and the close that follows it.
type Refusal struct {
	Code  string // of the error frame; empty: only the close
	Msg   string
	Close uint16
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Msg }

func invalid(field, format string, args ...any) *Refusal {
	return &Refusal{Code: "invalid_login", Msg: field + ": " + fmt.Sprintf(format, args...), Close: 4000}
}

// DecodeLogin reads the first frame. Unknown fields are kept if they are arrays (they may be filters) and ignored
// otherwise.
func DecodeLogin(data []byte) (*Login, *Refusal) {
	first := func(msg string) (*Login, *Refusal) {
		return nil, &Refusal{Code: "first_message_must_be_login", Msg: msg, Close: 4000}
	}
	if len(data) > MaxLogin {
		return nil, invalid("login", "%d bytes; %d are allowed", len(data), MaxLogin)
	}
	v, err := envelope.Parse(data)
	if err != nil {
		return first("the first frame must be a JSON object with \"type\":\"login\": " + err.Error())
	}
	if v.Kind() != envelope.Object {
		return first("the first frame must be a JSON object with \"type\":\"login\"")
	}
	if kind, ok := v.Get("type").Text(); !ok || kind != "login" {
		return first("the first frame must have \"type\":\"login\"")
	}
	l := &Login{Cursors: map[string]string{}, Arrays: map[string]envelope.Value{}}
	for name, value := range v.Members() {
		if r := l.member(string(name), value); r != nil {
			return nil, r
		}
	}
	if l.APIKey == "" {
		return nil, invalid("apiKey", "it is required")
	}
	return l, nil
}

// member takes one member of the login frame.
func (l *Login) member(field string, v envelope.Value) *Refusal {
	switch field {
	case "type":
	case "apiKey":
		return text(field, v, &l.APIKey, nil)
	case "clientName":
		return text(field, v, &l.Client, &l.HasName)
	case "lang":
		return text(field, v, &l.Lang, &l.HasLang)
	case "serverEpoch":
		return text(field, v, &l.Epoch, nil)
	case "receiveType":
		var mode string
		if r := text(field, v, &mode, nil); r != nil {
			return r
		}
		if mode != "" && mode != "json" && mode != "binary" {
			return invalid(field, "use \"json\" or \"binary\"")
		}
		l.Binary = mode == "binary"
	case "channels":
		return l.channels(v)
	case "lastSeenId":
		return l.cursors(v)
	default:
		if v.Kind() == envelope.Array {
			l.Arrays[field] = v
		}
	}
	return nil
}

func text(field string, v envelope.Value, to *string, given *bool) *Refusal {
	if !v.Given() {
		return nil
	}
	s, ok := v.Text()
	if !ok {
		return invalid(field, "it must be a string")
	}
	const most = 4096
	if len(s) > most {
		return invalid(field, "%d bytes; %d are allowed", len(s), most)
	}
	*to = s
	if given != nil {
		*given = true
	}
	return nil
}

func (l *Login) channels(v envelope.Value) *Refusal {
	if !v.Given() {
		return nil
	}
	if v.Kind() != envelope.Array {
		return invalid("channels", "it must be an array of channel names")
	}
	l.Channels = []string{}
	seen := map[string]bool{}
	for item := range v.Items() {
		name, ok := item.Text()
		if !ok {
			return invalid("channels", "item %d is not a string", len(l.Channels))
		}
		if len(l.Channels) == MaxChannels {
			return invalid("channels", "more than %d channels", MaxChannels)
		}
		if !seen[name] {
			seen[name] = true
			l.Channels = append(l.Channels, name)
		}
	}
	return nil
}

func (l *Login) cursors(v envelope.Value) *Refusal {
	if !v.Given() {
		return nil
	}
	if v.Kind() != envelope.Object {
		return invalid("lastSeenId", "it must be an object of channel name to entry id")
	}
	for name, value := range v.Members() {
		channel := string(name)
		id, ok := value.Text()
		if !ok && value.Given() {
			return invalid("lastSeenId", "the entry id of %q must be a string", clip(channel))
		}
		if len(l.Cursors) == MaxChannels {
			return invalid("lastSeenId", "more than %d channels", MaxChannels)
		}
		if ok {
			l.Cursors[channel] = id
		}
	}
	return nil
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// values reads the array of a filter field; nil: the field was absent.
func (l *Login) values(field string) ([]string, *Refusal) {
	v, ok := l.Arrays[field]
	if !ok {
		return nil, nil
	}
	values, err := filter.ParseValues(v)
	if err != nil {
		return nil, invalid(field, "%v", err)
	}
	return values, nil
}

// sortedKeys gives the keys of m in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
