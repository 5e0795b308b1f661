// Package feed is the feed face: one login frame picks the channels, then the server streams, and a client that comes
// back presents one cursor per channel. It is a pure session.Machine.
//
//	login ──► Follow (each channel) ──► login_ok, snapshot_required…, replayed entries, resume_complete ──► live
package feed

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/filter"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// Limits of a login frame.
const (
	MaxLogin    = 64 << 10 // bytes
	MaxChannels = 256      // of `channels`, and of `lastSeenId`
	maxText     = 4096     // bytes of any other text
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

// Refusal is why a connection ends: an error frame and the close that follows it.
type Refusal struct {
	Code  string // of the error frame; empty: no frame, only the close
	Msg   string
	Close uint16
}

// Error implements error.
func (r *Refusal) Error() string { return r.Code + ": " + r.Msg }

// Close codes of the protocol.
const (
	closeFix      = 4000 // what the client sent is wrong: retrying does not help
	closeRevoked  = 4001
	closeSlow     = 4002
	closeTooMany  = 4003
	closeRestart  = 1012
	closeTooLarge = 1009
	closeFault    = 1011
	closeBusy     = 1013
)

func invalid(field, format string, args ...any) *Refusal {
	return &Refusal{Code: "invalid_login", Msg: field + ": " + fmt.Sprintf(format, args...), Close: closeFix}
}

func notALogin(format string, args ...any) *Refusal {
	return &Refusal{Code: "first_message_must_be_login", Msg: fmt.Sprintf(format, args...), Close: closeFix}
}

// DecodeLogin reads the first frame. Unknown fields are kept if they are arrays (they may be filters) and ignored
// otherwise.
func DecodeLogin(data []byte) (*Login, *Refusal) {
	if len(data) > MaxLogin {
		return nil, &Refusal{Msg: "the login is larger than 64 KiB", Close: closeTooLarge}
	}
	v, err := envelope.Parse(bytes.Clone(data)) // the login outlives the frame
	if err != nil {
		return nil, notALogin(`the first frame must be a JSON object with "type":"login": %v`, err)
	}
	if kind, ok := v.Get("type").Text(); !ok || kind != "login" {
		return nil, notALogin(`the first frame must be a JSON object with "type":"login"`)
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
		mode := "json"
		r := text(field, v, &mode, nil)
		if r == nil && mode != "json" && mode != "binary" {
			r = invalid(field, `%q is not known: use "json" or "binary"`, clip(mode))
		}
		l.Binary = mode == "binary"
		return r
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
	if len(s) > maxText {
		return invalid(field, "%d bytes; %d are allowed", len(s), maxText)
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
	i := 0
	for item := range v.Items() {
		if i == MaxChannels {
			return invalid("channels", "more than %d channels", MaxChannels)
		}
		name, ok := item.Text()
		if !ok {
			return invalid("channels", "item %d is not a string", i)
		}
		if !slices.Contains(l.Channels, name) {
			l.Channels = append(l.Channels, name)
		}
		i++
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
		if len(l.Cursors) == MaxChannels {
			return invalid("lastSeenId", "more than %d channels", MaxChannels)
		}
		id, ok := value.Text()
		switch {
		case ok:
			l.Cursors[string(name)] = id
		case value.Given():
			return invalid("lastSeenId", "the entry id of %q must be a string", clip(string(name)))
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
