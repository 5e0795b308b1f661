// Package presence folds the presence log of a channel into its members.
//
// An entry is filed under its user (Key) and carries the whole of the user's membership (Data), so the newest entry of a
// key is the user's state, and the members at a serial are the live keys at that serial. The committer decides who came
// first and who left last: see ChangeOf.
package presence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Member is one user's membership in a channel.
type Member struct {
	User  string          `json:"-"`
	Info  json.RawMessage `json:"info,omitempty"` // user_info: any JSON value, absent when none was given
	Conns []Conn          `json:"conns"`          // never empty while the user is there
}

// Conn is one connection of a member.
type Conn struct {
	ID   string `json:"id"`
	Node string `json:"node,omitempty"`
	Boot string `json:"boot,omitempty"`
}

// Change is what an entry of a presence log means to those who watch.
type Change uint8

// The changes.
const (
	None    Change = iota // a further or a closed connection of a user who stays
	Added                 // the user came
	Updated               // the user's info changed
	Removed               // the user left
)

func (c Change) String() string {
	return [...]string{"none", "member_added", "member_updated", "member_removed"}[c&3]
}

// Members is by how many the change makes the members more.
func (c Change) Members() int {
	switch c {
	case Added:
		return 1
	case Removed:
		return -1
	}
	return 0
}

// ChangeOf says what an entry means.
func ChangeOf(e *stream.Entry) Change {
	switch {
	case e.Kind == stream.Delete:
		return Removed
	case e.Kind != stream.Put:
		return None
	case e.Version == 1:
		return Added
	case e.Member != nil && e.Member.Update:
		return Updated
	}
	return None
}

// Of reads the membership that an entry, or the folded state of a key, carries.
func Of(user string, data stream.Data) (Member, error) {
	m := Member{}
	if data.Type != stream.JSON {
		return m, fmt.Errorf("membership of %q: %w", user, stream.ErrCorrupt)
	}
	if err := json.Unmarshal(data.Bytes, &m); err != nil {
		return m, fmt.Errorf("membership of %q: %w: %w", user, stream.ErrCorrupt, err)
	}
	m.User = user
	return m, nil
}

// Data is the membership as an entry carries it. Info must be as InfoOf made it.
func (m Member) Data() stream.Data {
	b := make([]byte, 0, 32+len(m.Info)+64*len(m.Conns))
	b = append(b, '{')
	if len(m.Info) > 0 {
		b = append(append(append(b, `"info":`...), m.Info...), ',')
	}
	b = append(b, `"conns":[`...)
	for i, c := range m.Conns {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.append(b)
	}
	return stream.Data{Type: stream.JSON, Bytes: append(b, ']', '}')}
}

func (c Conn) append(b []byte) []byte {
	b = appendText(append(b, `{"id":`...), c.ID)
	if c.Node != "" {
		b = appendText(append(b, `,"node":`...), c.Node)
	}
	if c.Boot != "" {
		b = appendText(append(b, `,"boot":`...), c.Boot)
	}
	return append(b, '}')
}

// appendText appends s as a JSON string. Names of connections, nodes and boots need no escape as a rule.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			text, _ := json.Marshal(s) // of a string it cannot fail
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// InfoOf checks a user's info and makes equal values equal bytes, as far as white space goes. nil stays nil: none.
func InfoOf(raw []byte) (json.RawMessage, error) {
	if raw == nil {
		return nil, nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil || !utf8.Valid(raw) {
		return nil, fault.New(fault.Invalid, "the user's info is not a JSON value").In("user_info")
	}
	return b.Bytes(), nil
}

// MaxConns is how many connections one member may have.
const MaxConns = 100

// With is the membership with a connection more, and the info that it brought (nil: the present one stays).
func (m Member) With(c Conn, info json.RawMessage) (Member, error) {
	if len(m.Conns) >= MaxConns && !m.Has(c.ID) {
		return m, fault.New(fault.LimitExceeded, "user %q has the %d connections that a member may have", m.User, MaxConns)
	}
	if info != nil {
		m.Info = info
	}
	m.Conns = append(slices.DeleteFunc(slices.Clone(m.Conns), func(o Conn) bool { return o.ID == c.ID }), c)
	return m, nil
}

// Without is the membership with a connection less.
func (m Member) Without(conn string) Member {
	m.Conns = slices.DeleteFunc(slices.Clone(m.Conns), func(o Conn) bool { return o.ID == conn })
	return m
}

// Has reports whether the member has a connection.
func (m Member) Has(conn string) bool {
	return slices.ContainsFunc(m.Conns, func(o Conn) bool { return o.ID == conn })
}
