package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// The directions of a history.
const (
	NewestFirst = "newest_first"
	OldestFirst = "oldest_first"
)

// HistoryQuery says what of a history is read. The zero value is the newest page. Bounds are inclusive, and 0 is none.
type HistoryQuery struct {
	Limit       int    // of items; 0: as many as the server gives
	Direction   string // NewestFirst or OldestFirst; "": newest first, or that of the cursor
	Cursor      string // the NextCursor of the page before; it carries the bounds with it
	StartSerial int64
	EndSerial   int64
	StartTimeMS int64
	EndTimeMS   int64
}

func (q HistoryQuery) values() url.Values {
	v := url.Values{}
	number(v, "limit", int64(q.Limit))
	text(v, "direction", q.Direction)
	text(v, "cursor", q.Cursor)
	number(v, "start_serial", q.StartSerial)
	number(v, "end_serial", q.EndSerial)
	number(v, "start_time_ms", q.StartTimeMS)
	number(v, "end_time_ms", q.EndTimeMS)
	return v
}

// HistoryPage is a page of what was published.
type HistoryPage struct {
	Items      []HistoryItem `json:"items"`
	Direction  string        `json:"direction"`
	Limit      int           `json:"limit"`
	HasMore    bool          `json:"has_more"`
	NextCursor string        `json:"next_cursor"` // "": this is the last page
	Continuity Continuity    `json:"continuity"`
}

// HistoryItem is what was published, in its newest version.
type HistoryItem struct {
	StreamID         string         `json:"stream_id"`
	Serial           int64          `json:"serial"`
	PublishedAtMS    int64          `json:"published_at_ms"`
	MessageID        string         `json:"message_id"`     // of the Pusher frame
	EventName        string         `json:"event_name"`     // "sockudo:message.update" and the like, once it was changed
	OperationKind    string         `json:"operation_kind"` // "append" to the log, or "message.update" and the like
	PayloadSizeBytes int            `json:"payload_size_bytes"`
	Message          HistoryMessage `json:"message"`
}

// HistoryMessage is a message as a history shows it. What belongs to its version is there if the room's messages can
// change.
type HistoryMessage struct {
	Event          string          `json:"event"`
	Name           string          `json:"name,omitempty"` // the event's own name, once the message was changed
	Channel        string          `json:"channel"`
	Data           json.RawMessage `json:"data,omitempty"` // none: it was deleted, or cleared
	UserID         string          `json:"user_id,omitempty"`
	Tags           json.RawMessage `json:"tags,omitempty"`
	MessageID      string          `json:"message_id,omitempty"`
	StreamID       string          `json:"stream_id"`
	Serial         int64           `json:"serial"` // of the newest change
	Extras         json.RawMessage `json:"extras,omitempty"`
	Action         string          `json:"action,omitempty"` // what the newest change was: "create", Update, Append, Delete
	Key            string          `json:"key,omitempty"`
	MessageSerial  string          `json:"message_serial,omitempty"` // what Mutate takes
	HistorySerial  int64           `json:"history_serial,omitempty"`
	DeliverySerial int64           `json:"delivery_serial,omitempty"`
	Version        Version         `json:"version"`
	Annotations    json.RawMessage `json:"annotations,omitempty"`
}

// Version is the newest version of a message. It is zero where messages cannot change.
type Version struct {
	Serial      string          `json:"serial"`
	Number      int64           `json:"number"` // what IfVersion takes
	ClientID    string          `json:"client_id,omitempty"`
	TimestampMS int64           `json:"timestamp_ms"`
	Description string          `json:"description,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
}

// Continuity is what a log still has, and whether an answer lacks something. Serials and times are 0 if nothing is
// retained.
type Continuity struct {
	StreamID                     string `json:"stream_id"`
	OldestAvailableSerial        int64  `json:"oldest_available_serial"`
	NewestAvailableSerial        int64  `json:"newest_available_serial"`
	OldestAvailablePublishedAtMS int64  `json:"oldest_available_published_at_ms"`
	NewestAvailablePublishedAtMS int64  `json:"newest_available_published_at_ms"`
	RetainedBytes                int64  `json:"retained_bytes"`
	Complete                     bool   `json:"complete"`               // all that was asked for is in this answer
	TruncatedByRetention         bool   `json:"truncated_by_retention"` // some of it is gone
	Degraded                     bool   `json:"degraded"`               // of presence: the log could not be written for a while
}

// History reads a page of what was published. What was published as JSON comes as it is, a text as a string.
func (s *Server) History(ctx context.Context, room string, q HistoryQuery) (*HistoryPage, error) {
	query := q.values()
	query.Set("data", "value")
	answer := new(HistoryPage)
	return answer, s.call(ctx, request{method: http.MethodGet, path: channel(room) + "/history", query: query}, answer)
}

// SnapshotQuery says what of a room's state is read. The zero value is the first page of the state of now.
type SnapshotQuery struct {
	Limit    int    // of items; 0: as many as the server gives
	Cursor   string // the NextCursor of the page before; it carries prefix and moment with it
	Prefix   string // of keys: nothing else is read
	AtSerial *int64 // the state after the entry of this serial; nil: not given
	AtTimeMS int64  // the state at this time, in unix ms; 0: not given
}

// SnapshotPage is a page of a room's state at one serial: the last message of each key, and the messages without one.
// Who resumes from its StreamID and Serial misses nothing.
type SnapshotPage struct {
	Channel    string         `json:"channel"`
	StreamID   string         `json:"stream_id"`
	Serial     int64          `json:"serial"`
	EntryID    string         `json:"entry_id"`
	Epoch      string         `json:"epoch"`
	Complete   bool           `json:"complete"` // false: retention has removed messages that it should show
	Items      []SnapshotItem `json:"items"`
	HasMore    bool           `json:"has_more"`
	NextCursor string         `json:"next_cursor"` // "": this is the last page; else good for five minutes
}

// SnapshotItem is a message of a room's state.
type SnapshotItem struct {
	Key           string          `json:"key,omitempty"`
	MessageSerial string          `json:"message_serial"` // what Mutate takes
	Version       int64           `json:"version"`        // what IfVersion takes
	Event         string          `json:"event"`
	Data          json.RawMessage `json:"data,omitempty"`
	UserID        string          `json:"user_id,omitempty"`
	Tags          json.RawMessage `json:"tags,omitempty"`
	Extras        json.RawMessage `json:"extras,omitempty"`
	Serial        int64           `json:"serial"` // of the newest change
	HistorySerial int64           `json:"history_serial"`
	PublishedAtMS int64           `json:"published_at_ms"`
	UpdatedAtMS   int64           `json:"updated_at_ms"`
	Annotations   json.RawMessage `json:"annotations,omitempty"`
}

// Snapshot reads a page of a room's state. What was published as JSON comes as it is, a text as a string.
func (s *Server) Snapshot(ctx context.Context, room string, q SnapshotQuery) (*SnapshotPage, error) {
	query := moment(q.AtSerial, q.AtTimeMS)
	query.Set("data", "value")
	number(query, "limit", int64(q.Limit))
	text(query, "cursor", q.Cursor)
	text(query, "prefix", q.Prefix)
	answer := new(SnapshotPage)
	return answer, s.call(ctx, request{method: http.MethodGet, path: channel(room) + "/snapshot", query: query}, answer)
}

// moment is the query of a moment.
func moment(serial *int64, timeMS int64) url.Values {
	v := url.Values{}
	if serial != nil {
		v.Set("at_serial", strconv.FormatInt(*serial, 10))
	}
	number(v, "at_time_ms", timeMS)
	return v
}

func number(v url.Values, name string, n int64) {
	if n != 0 {
		v.Set(name, strconv.FormatInt(n, 10))
	}
}

func text(v url.Values, name, s string) {
	if s != "" {
		v.Set(name, s)
	}
}
