// Package wire is the codec of the rooms protocol: what a server says as a Frame, and what a client says as a Command.
//
// It is pure: a text in, a value out. Everything that it knows is in one table (decode.go) and in the protocol's
// specification.
package wire

import (
	"encoding/json"
)

// The kinds of frames that a server sends.
const (
	Hello            = "server.hello"
	Error            = "server.error"
	Reconnect        = "server.reconnect"
	Pong             = "server.pong"
	TokenExpiring    = "server.token_expiring"
	AuthOK           = "server.auth_ok"
	Joined           = "room.joined"
	Resumed          = "room.resumed"
	Position         = "room.position"
	SnapshotRequired = "room.snapshot_required"
	Left             = "room.left"
	History          = "room.history"
	Presence         = "room.presence"
	Accepted         = "chat.accepted"
	Changed          = "message.accepted"
	Message          = "chat.message"
	Update           = "message.update"
	Append           = "message.append"
	Delete           = "message.delete"
	Reactions        = "message.reactions"
	PresenceJoined   = "presence.joined"
	PresenceUpdated  = "presence.updated"
	PresenceLeft     = "presence.left"
	PresenceChanged  = "presence.changed"
)

// The kinds of frames that a client sends.
const (
	ClientHello    = "client.hello"
	ClientJoin     = "client.join"
	ClientLeave    = "client.leave"
	ClientAuth     = "client.auth"
	ClientPing     = "client.ping"
	ClientHistory  = "client.history"
	ClientPresence = "client.presence"
	Send           = "chat.send"
	React          = "message.react"
	Unreact        = "message.unreact"
)

// Frame is what a server said. Members that were absent are zero; their meaning is that of the protocol's specification.
type Frame struct {
	Kind          string
	RoomID        string
	StreamID      string
	EventID       int64 // the position of a logged event; 0: the event is not logged
	PresenceID    int64 // the position in the log of members, never a cursor of messages
	MessageID     string
	CorrelationID string
	TS            int64 // unix ms

	Sender   string          // "": a backend
	Text     *string         // nil: there is none
	Payload  json.RawMessage // nil: there is none
	Event    string
	Key      string
	Version  int64 // 0: not said, which is 1
	EditedTS int64
	Counts   map[string]int64

	UserID           string
	Info             json.RawMessage
	Cause            string
	Count            int64
	Members          []Member // nil: none were listed
	MemberCount      int64    // of a frame with Members: what it said, else their number
	MembersTruncated bool

	Resumable, Resumed bool
	Replaying          int64
	Truncated          bool
	Reason             string
	SnapshotURL        string

	Items      []*Frame // of a page of history, or of a snapshot
	HasMore    bool
	NextCursor string

	Code         string
	Message      string
	Retryable    bool
	RetryAfterMS int64

	SessionID, SessionSecret                  string
	ProtocolVersion, ProtocolMin, ProtocolMax int64
	ServerTime                                int64
	HeartbeatMS                               int64
	Retry                                     Retry
	AfterMS                                   int64
	ExpiresAt                                 int64
}

// Member is who is in a room.
type Member struct {
	UserID string          `json:"user_id"`
	Info   json.RawMessage `json:"info,omitempty"`
}

// Retry is a server's advice for backing off.
type Retry struct{ BaseMS, MaxMS int64 }

// Snapshot is the kind of a Frame that no server sends: the state of a room that was loaded because continuity was lost.
// Its Items, Members, StreamID and EventID are those of the snapshot, its Reason says why it was needed.
const Snapshot = "room.snapshot"

// IsEvent reports whether a frame is handed to the application: a message, a mutation, a change of members.
func (f *Frame) IsEvent() bool {
	switch f.Kind {
	case Message, Update, Append, Delete, Reactions, PresenceJoined, PresenceUpdated, PresenceLeft, PresenceChanged:
		return true
	case Presence:
		return f.CorrelationID == ""
	case Joined:
		return f.Members != nil
	}
	return false
}

// Command is what a client says.
type Command struct {
	Kind            string          `json:"kind"`
	RoomID          string          `json:"room_id,omitempty"`
	CorrelationID   string          `json:"correlation_id,omitempty"`
	ProtocolVersion int             `json:"protocol_version,omitempty"`
	Client          string          `json:"client,omitempty"`
	SessionID       string          `json:"session_id,omitempty"`
	SessionSecret   string          `json:"session_secret,omitempty"`
	Token           string          `json:"token,omitempty"`
	ResumeFrom      *int64          `json:"resume_from,omitempty"`
	StreamID        string          `json:"stream_id,omitempty"`
	Rewind          *Rewind         `json:"rewind,omitempty"`
	Presence        string          `json:"presence,omitempty"`
	PresenceData    json.RawMessage `json:"presence_data,omitempty"`
	Events          []string        `json:"events,omitempty"`
	MessageID       string          `json:"message_id,omitempty"`
	Text            *string         `json:"text,omitempty"`
	Payload         json.RawMessage `json:"payload,omitempty"`
	Event           string          `json:"event,omitempty"`
	Key             string          `json:"key,omitempty"`
	Name            string          `json:"name,omitempty"`
	IfVersion       *int64          `json:"if_version,omitempty"`
	IdempotencyKey  string          `json:"idempotency_key,omitempty"`
	Ephemeral       bool            `json:"ephemeral,omitempty"`
	Limit           int             `json:"limit,omitempty"`
	Before          *int64          `json:"before,omitempty"`
	After           *int64          `json:"after,omitempty"`
	Cursor          string          `json:"cursor,omitempty"`
	AtPresenceID    *int64          `json:"at_presence_id,omitempty"`
	AtMS            *int64          `json:"at_ms,omitempty"`
}

// Rewind asks for the newest messages: so many, or those of so many seconds.
type Rewind struct {
	Count   int `json:"count,omitempty"`
	Seconds int `json:"seconds,omitempty"`
}

// Encode makes the text of a command. It fails if a payload is no JSON.
func Encode(c *Command) ([]byte, error) {
	return json.Marshal(c)
}
