package server

import (
	"context"
	"encoding/json"
	"net/http"
)

// Presence lists the ids of the users who are in a room whose name begins with "presence-".
func (s *Server) Presence(ctx context.Context, room string) ([]string, error) {
	var answer struct{ Users []struct{ ID string } }
	if err := s.call(ctx, request{method: http.MethodGet, path: channel(room) + "/users"}, &answer); err != nil {
		return nil, err
	}
	ids := make([]string, len(answer.Users))
	for i, u := range answer.Users {
		ids[i] = u.ID
	}
	return ids, nil
}

// Moment is when: after a serial of the members' log, at a time, or at the earlier of both. The zero value is now.
type Moment struct {
	AtSerial *int64 // 0 is before the first who came; nil: not given
	AtTimeMS int64  // unix ms; 0: not given
}

// PresenceSnapshot is who was in a room at a moment.
type PresenceSnapshot struct {
	Channel        string     `json:"channel"`
	Members        []Member   `json:"members"` // in order of their ids
	MemberCount    int        `json:"member_count"`
	EventsReplayed int64      `json:"events_replayed"`
	SnapshotSerial int64      `json:"snapshot_serial"`  // of the last entry before the moment; 0: there was none
	SnapshotTimeMS int64      `json:"snapshot_time_ms"` // of that entry
	Continuity     Continuity `json:"continuity"`
}

// Member is a user in a PresenceSnapshot.
type Member struct {
	UserID          string          `json:"user_id"`
	UserInfo        json.RawMessage `json:"user_info,omitempty"`
	LastEvent       string          `json:"last_event"`
	LastEventSerial int64           `json:"last_event_serial"`
	LastEventAtMS   int64           `json:"last_event_at_ms"`
}

// PresenceAt reads who was in a room at a moment, with what was shown of them. A moment before what is retained is
// an *Error with the code not_provable.
func (s *Server) PresenceAt(ctx context.Context, room string, at Moment) (*PresenceSnapshot, error) {
	answer := new(PresenceSnapshot)
	return answer, s.call(ctx, request{method: http.MethodGet, path: channel(room) + "/presence/history/snapshot",
		query: moment(at.AtSerial, at.AtTimeMS)}, answer)
}

// PresencePage is a page of who came and went.
type PresencePage struct {
	Items      []PresenceItem `json:"items"`
	Direction  string         `json:"direction"`
	Limit      int            `json:"limit"`
	HasMore    bool           `json:"has_more"`
	NextCursor string         `json:"next_cursor"` // "": this is the last page
	Continuity Continuity     `json:"continuity"`
}

// PresenceItem is one who came, changed or went.
type PresenceItem struct {
	StreamID         string        `json:"stream_id"`
	Serial           int64         `json:"serial"`
	PublishedAtMS    int64         `json:"published_at_ms"`
	Event            string        `json:"event"`
	Cause            string        `json:"cause"`
	UserID           string        `json:"user_id"`
	ConnectionID     string        `json:"connection_id"` // "": there is none to name
	DeadNodeID       string        `json:"dead_node_id"`  // of the node that was lost with the connection, if that is the cause
	PayloadSizeBytes int           `json:"payload_size_bytes"`
	PresenceEvent    PresenceEvent `json:"presence_event"`
}

// PresenceEvent is what is known of a PresenceItem beside the item itself.
type PresenceEvent struct {
	UserInfo   json.RawMessage `json:"user_info"`             // what is shown of the user; null: nothing
	ObservedAt int64           `json:"observed_at,omitempty"` // unix ms, if it was seen before it was written
}

// PresenceHistory reads a page of who came and went.
func (s *Server) PresenceHistory(ctx context.Context, room string, q HistoryQuery) (*PresencePage, error) {
	answer := new(PresencePage)
	return answer, s.call(ctx, request{method: http.MethodGet, path: channel(room) + "/presence/history", query: q.values()}, answer)
}
