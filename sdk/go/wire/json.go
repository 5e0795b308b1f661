package wire

import "encoding/json"

// frameJSON is a Frame with the names of the protocol.
type frameJSON struct {
	Kind             string           `json:"kind"`
	RoomID           string           `json:"room_id,omitempty"`
	StreamID         string           `json:"stream_id,omitempty"`
	EventID          *int64           `json:"event_id,omitempty"`
	PresenceID       int64            `json:"presence_id,omitempty"`
	MessageID        string           `json:"message_id,omitempty"`
	CorrelationID    string           `json:"correlation_id,omitempty"`
	Sender           string           `json:"sender,omitempty"`
	TS               int64            `json:"ts,omitempty"`
	Text             *string          `json:"text,omitempty"`
	Payload          json.RawMessage  `json:"payload,omitempty"`
	Event            string           `json:"event,omitempty"`
	Key              string           `json:"key,omitempty"`
	Version          int64            `json:"version,omitempty"`
	EditedTS         int64            `json:"edited_ts,omitempty"`
	Counts           map[string]int64 `json:"counts,omitzero"`
	UserID           string           `json:"user_id,omitempty"`
	Info             json.RawMessage  `json:"info,omitempty"`
	Cause            string           `json:"cause,omitempty"`
	Count            *int64           `json:"count,omitempty"`
	Members          []Member         `json:"members,omitzero"`
	MemberCount      *int64           `json:"member_count,omitempty"`
	MembersTruncated bool             `json:"members_truncated,omitempty"`
	Resumable        bool             `json:"resumable,omitempty"`
	Resumed          *bool            `json:"resumed,omitempty"`
	Replaying        int64            `json:"replaying,omitempty"`
	Reason           string           `json:"reason,omitempty"`
	SnapshotURL      string           `json:"snapshot_url,omitempty"`
	Items            []*Frame         `json:"items,omitzero"`
	HasMore          *bool            `json:"has_more,omitempty"`
	NextCursor       string           `json:"next_cursor,omitempty"`
	Truncated        bool             `json:"truncated,omitempty"`
}

// MarshalJSON shows an event, or an answer to a question, with the names of the protocol.
func (f *Frame) MarshalJSON() ([]byte, error) {
	j := frameJSON{Kind: f.Kind, RoomID: f.RoomID, StreamID: f.StreamID, PresenceID: f.PresenceID, MessageID: f.MessageID,
		CorrelationID: f.CorrelationID, Sender: f.Sender, TS: f.TS, Text: f.Text, Payload: f.Payload, Event: f.Event, Key: f.Key,
		Version: f.Version, EditedTS: f.EditedTS, Counts: f.Counts, UserID: f.UserID, Info: f.Info, Cause: f.Cause,
		Members: f.Members, MembersTruncated: f.MembersTruncated, Resumable: f.Resumable, Replaying: f.Replaying, Reason: f.Reason,
		SnapshotURL: f.SnapshotURL, Items: f.Items, NextCursor: f.NextCursor, Truncated: f.Truncated}
	if f.EventID != 0 || f.StreamID != "" {
		j.EventID = &f.EventID
	}
	if f.Members != nil {
		j.MemberCount = &f.MemberCount
	}
	switch f.Kind {
	case History:
		j.HasMore = &f.HasMore
	case Joined:
		j.Resumed = &f.Resumed
	case PresenceChanged, Resumed:
		j.Count = &f.Count
	}
	return json.Marshal(&j)
}
