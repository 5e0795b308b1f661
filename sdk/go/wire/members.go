package wire

import (
	"bytes"
	"errors"
)

// textMember, wholeMember and boolMember are the members of a frame by their names in the protocol.

func (f *Frame) textMember(name []byte) (*string, member) {
	switch string(name) {
	case "room_id":
		return &f.RoomID, hasRoom
	case "stream_id":
		return &f.StreamID, hasStream
	case "message_id":
		return &f.MessageID, hasMessageID
	case "correlation_id":
		return &f.CorrelationID, 0
	case "session_id":
		return &f.SessionID, hasSessionID
	case "session_secret":
		return &f.SessionSecret, 0
	case "user_id":
		return &f.UserID, hasUserID
	case "sender":
		return &f.Sender, 0
	case "text":
		f.Text = new(string)
		return f.Text, 0
	case "event":
		return &f.Event, 0
	case "key":
		return &f.Key, 0
	case "code":
		return &f.Code, hasCode
	case "message":
		return &f.Message, 0
	case "reason":
		return &f.Reason, hasReason
	case "snapshot_url":
		return &f.SnapshotURL, 0
	case "cause":
		return &f.Cause, 0
	case "next_cursor":
		return &f.NextCursor, 0
	}
	return nil, 0
}

func (f *Frame) wholeMember(name []byte) (*int64, member) {
	switch string(name) {
	case "event_id":
		return &f.EventID, hasEventID
	case "presence_id":
		return &f.PresenceID, 0
	case "version":
		return &f.Version, 0
	case "ts":
		return &f.TS, 0
	case "edited_ts":
		return &f.EditedTS, 0
	case "protocol_version":
		return &f.ProtocolVersion, hasProtocolVersion
	case "protocol_min":
		return &f.ProtocolMin, 0
	case "protocol_max":
		return &f.ProtocolMax, 0
	case "server_time":
		return &f.ServerTime, 0
	case "heartbeat_ms":
		return &f.HeartbeatMS, 0
	case "after_ms":
		return &f.AfterMS, 0
	case "retry_after_ms":
		return &f.RetryAfterMS, 0
	case "expires_at":
		return &f.ExpiresAt, 0
	case "replaying":
		return &f.Replaying, 0
	case "count":
		return &f.Count, hasCount
	case "member_count":
		return &f.MemberCount, hasMemberCount
	}
	return nil, 0
}

func (f *Frame) boolMember(name []byte) *bool {
	switch string(name) {
	case "resumable":
		return &f.Resumable
	case "resumed":
		return &f.Resumed
	case "verified":
		return new(bool) // checked, and of no use to a client that names its stream
	case "retryable":
		return &f.Retryable
	case "has_more":
		return &f.HasMore
	case "truncated":
		return &f.Truncated
	case "members_truncated":
		return &f.MembersTruncated
	}
	return nil
}

// setDeep reads a member that has members itself.
func (f *Frame) setDeep(has *member, name, value []byte) error {
	switch string(name) {
	case "retry":
		return object(value, func(name, value []byte) error {
			return wholeIf(map[string]*int64{"base_ms": &f.Retry.BaseMS, "max_ms": &f.Retry.MaxMS}[string(name)], value)
		})
	case "counts":
		f.Counts = map[string]int64{}
		return object(value, func(name, value []byte) error {
			if value[0] == 'n' {
				return nil
			}
			n := new(int64)
			err := wholeIf(n, value)
			f.Counts[string(name)] = *n
			return err
		})
	case "members":
		f.Members = []Member{}
		return array(value, func(value []byte) error {
			m, err := memberOf(value)
			f.Members = append(f.Members, m)
			return err
		})
	case "items":
		*has |= hasItems
		f.Items = []*Frame{}
		return array(value, func(value []byte) error {
			item, err := decode(value)
			if err == nil && item.Kind != Message && item.Kind != Delete {
				err = errors.New("an item is no message")
			}
			f.Items = append(f.Items, item)
			return err
		})
	}
	return nil
}

// wholeIf reads a whole number, unless nobody wants it.
func wholeIf(to *int64, value []byte) error {
	if to == nil || value[0] == 'n' {
		return nil
	}
	var ok bool
	if *to, ok = whole(value); !ok {
		return errors.New("it has no whole number where one belongs")
	}
	return nil
}

func memberOf(value []byte) (m Member, err error) {
	found := false
	err = object(value, func(name, value []byte) error {
		switch string(name) {
		case "user_id":
			m.UserID, found = str(value)
		case "info":
			m.Info = bytes.Clone(value)
		}
		return nil
	})
	if err == nil && !found {
		err = errors.New("a member has no user_id")
	}
	return m, err
}
