package wire

import (
	"bytes"
	"errors"
	"fmt"
)

// Malformed is the error of a text that is no frame.
type Malformed struct{ Why string }

// Error implements error.
func (m *Malformed) Error() string { return "malformed frame: " + m.Why }

// ErrIgnored is the error of a frame of a kind that is not known, which is no fault of anybody.
var ErrIgnored = errors.New("a frame of an unknown kind")

// Decode reads a text frame. The frame keeps no part of text.
func Decode(text []byte) (*Frame, error) {
	if !valid(text) {
		return nil, &Malformed{"it is no JSON"}
	}
	return decode(text)
}

// needs lists the kinds that are known, each with the members that it must have.
var needs = map[string]member{
	Hello: hasSessionID | hasProtocolVersion, Error: hasCode, Reconnect: 0, Pong: 0, TokenExpiring: 0, AuthOK: 0, Accepted: 0, Changed: 0,
	Joined: hasRoom | hasStream | hasEventID, Resumed: hasRoom | hasEventID, Position: hasRoom | hasEventID,
	SnapshotRequired: hasRoom | hasReason | hasStream | hasEventID, Left: hasRoom, Presence: hasRoom, Message: hasRoom, History: hasRoom | hasItems,
	Update: hasRoom | hasEventID | hasMessageID, Append: hasRoom | hasEventID | hasMessageID,
	Delete: hasRoom | hasEventID | hasMessageID, Reactions: hasRoom | hasEventID | hasMessageID,
	PresenceJoined: hasRoom | hasUserID, PresenceUpdated: hasRoom | hasUserID, PresenceLeft: hasRoom | hasUserID, PresenceChanged: hasRoom | hasCount,
}

// member is a set of members that some kind needs.
type member uint16

const (
	hasRoom member = 1 << iota
	hasStream
	hasEventID
	hasMessageID
	hasSessionID
	hasProtocolVersion
	hasCode
	hasReason
	hasItems
	hasUserID
	hasCount
	hasMemberCount
)

var names = []string{"room_id", "stream_id", "event_id", "message_id", "session_id", "protocol_version", "code", "reason", "items", "user_id", "count"}

// decode reads a text that is JSON. What is wrong with members counts only if the kind is known in the end.
func decode(text []byte) (*Frame, error) {
	f := &Frame{}
	var has member
	var wrong error
	kinds := false
	err := object(text, func(name, value []byte) error {
		if string(name) == "kind" {
			f.Kind, kinds = str(value)
		} else if err := f.set(&has, name, value); err != nil && wrong == nil {
			wrong = err
		}
		return nil
	})
	if err == nil && !kinds {
		err = errors.New("it has no kind that is a string")
	}
	if err != nil {
		return nil, &Malformed{err.Error()}
	}
	need, known := needs[f.Kind]
	if !known {
		return nil, ErrIgnored
	}
	if wrong != nil {
		return nil, &Malformed{f.Kind + ": " + wrong.Error()}
	}
	if f.Kind == Message && has&hasEventID != 0 {
		need |= hasMessageID
	}
	for i, name := range names {
		if need&^has&(1<<i) != 0 {
			return nil, &Malformed{fmt.Sprintf("%s without %s", f.Kind, name)}
		}
	}
	if has&hasMemberCount == 0 {
		f.MemberCount = int64(len(f.Members))
	}
	return f, nil
}

// set reads one member. null is absent, but as payload and info it is a value.
func (f *Frame) set(has *member, name, value []byte) error {
	switch {
	case string(name) == "payload":
		f.Payload = bytes.Clone(value)
		return nil
	case string(name) == "info":
		f.Info = bytes.Clone(value)
		return nil
	case value[0] == 'n':
		return nil
	}
	ok := true
	if to, bit := f.textMember(name); to != nil {
		*to, ok = str(value)
		*has |= bit
	} else if to, bit := f.wholeMember(name); to != nil {
		*to, ok = whole(value)
		*has |= bit
	} else if to := f.boolMember(name); to != nil {
		*to, ok = value[0] == 't', value[0] == 't' || value[0] == 'f'
	} else if err := f.setDeep(has, name, value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !ok {
		return fmt.Errorf("%s has the wrong type", name)
	}
	return nil
}
