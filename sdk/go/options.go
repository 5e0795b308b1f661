package continuo

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// Options of a Client. The zero value is an anonymous client that keeps its cursors in memory.
type Options struct {
	// Token gives the token of each attempt to connect; nil, or "" without an error: an anonymous session. An error is
	// reported, and the attempt made later. It is called again before a token ends.
	Token func(ctx context.Context) (string, error)
	// Store keeps the positions of rooms; nil: memory, which forgets them with the process.
	Store Store
	// Name introduces the client to the server, as in "prices/1.2"; "": the name of this library.
	Name string
	// Buffer is how many events of a room wait for the application; 0: 1,024. What does not fit is fetched again later.
	Buffer int
	// Snapshot loads the state of a room from where the application has it, and returns the position of what it loaded. It
	// is called in its turn among the room's events. nil: the server's own snapshot is loaded and comes as an event of
	// kind "room.snapshot".
	Snapshot func(ctx context.Context, need SnapshotNeeded) (Cursor, error)

	// OnState and OnRoomState are told each change of state, in order, one at a time; OnError what went wrong that no call
	// returned (the token callback, the store, a snapshot, a handler), OnWarning what was odd and survived.
	OnState     func(State)
	OnRoomState func(room string, s RoomState)
	OnError     func(error)
	OnWarning   func(message string)

	Dial   func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer
	HTTP   *http.Client                                                         // loads snapshots; nil: one with a time limit of 30 s
	Header http.Header                                                          // of handshakes, beside those of the protocol
	Clock  Clock                                                                // nil: the clock of the machine
	Random func() float64                                                       // of [0, 1); nil: math/rand
}

// SnapshotNeeded says which state is to be loaded, and why.
type SnapshotNeeded struct {
	Room     string
	Reason   string
	StreamID string // the state must be of this stream,
	EventID  int64  // and at this position or later
	URL      string // where the server says that it is; "": not said
}

// Clock is a source of time, for tests.
type Clock interface {
	// Now is the time; it does not go back.
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own after d, unless stop is called before.
	AfterFunc(d time.Duration, f func()) (stop func())
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) (stop func()) {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

func (o *Options) defaults() {
	if o.Store == nil {
		o.Store = NewMemoryStore()
	}
	if o.Name == "" {
		o.Name = "continuo-go/1"
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 30 * time.Second}
	}
	if o.HTTP.CheckRedirect == nil {
		own := *o.HTTP
		own.CheckRedirect = keepToken
		o.HTTP = &own
	}
	if o.Clock == nil {
		o.Clock = realClock{}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
}

// keepToken lets no token follow a redirection to another server.
func keepToken(next *http.Request, before []*http.Request) error {
	if first := before[0].URL; next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
		next.Header.Del("Authorization")
	}
	if len(before) >= 10 {
		return errors.New("ten redirections, one after another")
	}
	return nil
}
