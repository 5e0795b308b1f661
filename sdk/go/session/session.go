// Package session is the pure machine of a client of the rooms protocol: no socket, no clock, no randomness. What
// happened goes in, what is to be done comes out. It decides everything that a client library decides: when to connect
// again, where to resume, what is a duplicate, what is sent a second time.
//
// Package continuo carries out what it asks for. Use this one to bring a transport of your own, or to simulate.
package session

import (
	"math"

	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// What happened: the Do of an Input.
const (
	Connect        = "connect"         // the application wants to be connected
	Token          = "token"           // Token: the answer to want_token; nil is an anonymous session
	TokenFailed    = "token_failed"    // Message
	Opened         = "opened"          // the WebSocket is open
	Frame          = "frame"           // Frame was read
	Malformed      = "malformed"       // Message: why a frame could not be decoded
	Refused        = "refused"         // Status, RetryAfterMS: the handshake was answered so; Status 0: by nothing
	Closed         = "closed"          // Code
	Timer          = "timer"           // the time of the last timer effect has come
	Offline        = "offline"         // the platform has no network
	Online         = "online"          // it has one again
	Visible        = "visible"         // the page or app is looked at again
	JoinRoom       = "join"            // Room, Join
	LeaveRoom      = "leave"           // Room
	Request        = "request"         // ID, Command, Again
	Cancel         = "cancel"          // ID: nobody waits for the answer
	Handled        = "handled"         // Room: the oldest event that was delivered has been handled
	SnapshotLoaded = "snapshot"        // Room, StreamID, EventID: it was loaded and handed over
	SnapshotFailed = "snapshot_failed" // Room
	Close          = "close"           // the application is done
)

// What to do: the Do of an Effect.
const (
	WantToken     = "want_token"     // ask for a token
	Dial          = "dial"           // Token: open a connection
	Send          = "send"           // Command
	HangUp        = "hang_up"        // Code: close the connection and forget it
	SetTimer      = "timer"          // InMS: wake the machine then; negative: no timer
	Deliver       = "deliver"        // Room, Frame: an event for the application
	StoreCursor   = "cursor"         // Room, StreamID, EventID
	FetchSnapshot = "fetch_snapshot" // Room, Reason, StreamID, EventID, URL
	Answer        = "answer"         // ID, Frame: the end of a request
	Failed        = "failed"         // ID, Code…: the end of a request
	StateChanged  = "state"          // State
	RoomChanged   = "room"           // Room, RoomState
	Warn          = "warn"           // Message: something odd was survived
)

// Input is something that happened.
type Input struct {
	Do           string
	Token        *string
	Message      string
	Frame        *wire.Frame
	Status       int
	RetryAfterMS int64
	Code         int
	Room         string
	Join         Join
	StreamID     string
	EventID      int64
	ID           string
	Command      *wire.Command // the machine gives it its correlation id
	Again        bool          // it may be sent a second time
}

// Join is how a room is joined, each time that it is.
type Join struct {
	Presence     string // "enter", "watch" or nothing
	PresenceData []byte // JSON
	Events       []string
	Rewind       *wire.Rewind
	Cursor       *Cursor // where to resume, if this process has no position of its own
}

// Cursor is a position in a room's log: everything up to it was handled.
type Cursor struct {
	StreamID string `json:"stream_id"`
	EventID  int64  `json:"event_id"`
}

// Effect is something to do.
type Effect struct {
	Do        string
	Token     *string
	Command   *wire.Command
	Frame     *wire.Frame
	Code      int // of hang_up
	InMS      int64
	Room      string
	StreamID  string
	EventID   int64
	Reason    string
	URL       string
	ID        string
	Message   string
	Failure   Failure
	State     State
	RoomState RoomState
}

// Failure is why a request has failed.
type Failure struct {
	Code      string
	Message   string
	Retryable bool
	Version   int64 // of a conflict: the version that there is
}

// DefaultBuffer is how many events of a room wait for the application.
const DefaultBuffer = 1024

// never is a time that does not come.
const never = math.MaxInt64

// Machine is one client. It is not safe for use by many goroutines at once.
type Machine struct {
	client string
	buffer int
	now    int64
	random float64
	out    []Effect

	conn     conn
	rooms    map[string]*room
	order    []*room // of their first join
	requests requests
	ids      int   // of correlation ids that were made here
	armed    int64 // the time of the last timer effect
	quiet    bool  // this input moved no deadline
}

// New makes a machine that introduces itself to servers by the name client, which may be empty. Of one room it delivers
// at most so many events that are not handled, and holds as many while a snapshot is loaded; 0 is DefaultBuffer.
func New(client string, buffer int) *Machine {
	if buffer <= 0 {
		buffer = DefaultBuffer
	}
	return &Machine{client: client, buffer: buffer, conn: newConn(), rooms: map[string]*room{}, requests: newRequests(), armed: never}
}

// State is the state of the connection.
func (m *Machine) State() State { return m.conn.state }

// Step says what happened at now, in milliseconds of a clock that does not go back; delays are drawn by random, which is in
// [0, 1). The effects are to be carried out in their order; they are good until the next Step.
func (m *Machine) Step(now int64, random float64, in Input) []Effect {
	m.now, m.random, m.out, m.quiet = now, random, m.out[:0], false
	switch {
	case m.conn.phase != closed:
		m.step(&in)
	case in.Do == Request:
		m.fail(in.ID, Failure{Code: "closed", Message: "the client is closed"})
	}
	if !m.quiet {
		m.arm()
	}
	return m.out
}

func (m *Machine) step(in *Input) {
	switch in.Do {
	case Connect:
		m.connect()
	case Token:
		m.token(in.Token)
	case TokenFailed:
		m.tokenFailed(in.Message)
	case Opened:
		m.conn.read(m.now)
	case Frame:
		m.frame(in.Frame)
	case Malformed:
		m.conn.read(m.now)
		m.warn(in.Message)
	case Refused:
		if m.conn.phase == dialing {
			m.lost(in.Status, in.RetryAfterMS)
		}
	case Closed:
		if m.conn.open() {
			m.lost(in.Code, 0)
		}
	case Timer:
		m.timer()
	case Offline, Online, Visible:
		m.platform(in.Do)
	case JoinRoom:
		m.join(in.Room, in.Join)
	case LeaveRoom:
		m.leave(in.Room)
	case Request:
		m.request(in)
	case Cancel:
		m.requests.remove(in.ID)
	case Handled:
		m.handled(in.Room)
	case SnapshotLoaded:
		m.snapshot(in.Room, Cursor{in.StreamID, in.EventID})
	case SnapshotFailed:
		m.snapshotFailed(in.Room)
	case Close:
		m.close()
	}
}

func (m *Machine) do(e Effect) { m.out = append(m.out, e) }

func (m *Machine) send(c *wire.Command) { m.do(Effect{Do: Send, Command: c}) }

func (m *Machine) warn(message string) { m.do(Effect{Do: Warn, Message: message}) }

func (m *Machine) fail(id string, f Failure) { m.do(Effect{Do: Failed, ID: id, Failure: f}) }

// draw is a delay before the next of k failed attempts, with full jitter.
func (m *Machine) draw(k int) int64 {
	limit := m.conn.advice.MaxMS
	if k < 32 {
		limit = min(limit, m.conn.advice.BaseMS<<k)
	}
	return int64(m.random * float64(limit))
}
