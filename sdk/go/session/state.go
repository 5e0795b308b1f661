package session

// The states of a connection.
const (
	StateIdle       = "idle"       // before Connect
	StateConnecting = "connecting" // Attempt
	StateConnected  = "connected"  // SessionID, UserID
	StateWaiting    = "waiting"    // RetryInMS, Attempt, Code: backing off
	StateOffline    = "offline"    // the platform has no network: no attempts
	StateStopped    = "stopped"    // Reason, Code: nothing happens until Connect
	StateClosed     = "closed"     // for good
)

// Why a connection is stopped: the Reason of StateStopped.
const (
	ReasonUnauthorized = "unauthorized"      // the token is refused, and there is no other
	ReasonForbidden    = "forbidden"         // the server does not want us
	ReasonProtocol     = "protocol_mismatch" // this library is too old, or too new
	ReasonReplaced     = "replaced"          // the session lives on in another connection
	ReasonTooLarge     = "too_large"         // a frame was too large
	ReasonRejected     = "rejected"          // the server has ended the connection for good
)

// State is how it is with the connection. States can be compared with ==.
type State struct {
	State     string `json:"state"`
	Attempt   int    `json:"attempt,omitempty"`     // 1, 2, … since the last stable connection; of StateWaiting: the next one
	SessionID string `json:"session_id,omitempty"`  // what the server calls this session
	UserID    string `json:"user_id,omitempty"`     // what the server calls the user
	RetryInMS int64  `json:"retry_in_ms,omitempty"` // from when the state was told
	Code      int    `json:"code,omitempty"`        // the close code, or the HTTP status, that led here; 0: neither
	Reason    string `json:"reason,omitempty"`
}

// The states of a room.
const (
	RoomJoining  = "joining"  // wanted, and not joined on this connection
	RoomResuming = "resuming" // Replaying: joined, and what was missed is coming
	RoomLive     = "live"     // Resumed, Missed
	RoomSnapshot = "snapshot" // Reason: continuity is lost, the state is being fetched
	RoomBehind   = "behind"   // the application is slow; the rest is fetched when it has caught up
	RoomRefused  = "refused"  // Code, Message: the server does not let us in
	RoomLeft     = "left"
)

// RoomState is how it is with a room. States can be compared with ==.
type RoomState struct {
	State     string `json:"state"`
	Replaying int64  `json:"replaying,omitempty"` // events that the server looks at before live ones
	Resumed   bool   `json:"resumed,omitempty"`   // the server has proven that nothing is missing
	Missed    int64  `json:"missed,omitempty"`    // events that were delivered late
	Reason    string `json:"reason,omitempty"`    // why a snapshot is needed
	Code      string `json:"code,omitempty"`      // of a refusal
	Message   string `json:"message,omitempty"`
}
