package continuo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a transport whose server is the test.
type script struct {
	in     chan string // what the server says
	out    chan string // what the client said
	end    chan int    // the close code of the client
	ended  chan struct{}
	once   sync.Once
	failed error
}

func newScript() *script {
	return &script{in: make(chan string, 1024), out: make(chan string, 1024), end: make(chan int, 1), ended: make(chan struct{})}
}

func (s *script) read() ([]byte, error) {
	select {
	case text, ok := <-s.in:
		if !ok {
			return nil, s.failed
		}
		return []byte(text), nil
	case <-s.ended:
		return nil, &closure{1006, errors.New("closed by us")}
	}
}

func (s *script) write(text []byte) error {
	s.out <- string(text)
	return nil
}

func (s *script) expire() {}

func (s *script) close(code int) {
	s.once.Do(func() {
		s.end <- code
		close(s.ended)
	})
}

// drop ends the connection from the server's side.
func (s *script) drop(code int) {
	s.failed = &closure{code, errors.New("closed by the server")}
	close(s.in)
}

// world is a client and the connections that it makes.
type world struct {
	*Client
	t     *testing.T
	dials chan *script
	mu    sync.Mutex
	next  []error // what the next dials come to; then they open
}

func newWorld(t *testing.T, o Options) *world {
	if o.Random == nil {
		o.Random = func() float64 { return 0.5 }
	}
	w := &world{Client: New("http://127.0.0.1:1", o), t: t, dials: make(chan *script, 64)}
	w.open = func(context.Context, string) (transport, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.next) > 0 {
			err := w.next[0]
			w.next = w.next[1:]
			if err != nil {
				return nil, err
			}
		}
		s := newScript()
		w.dials <- s
		return s, nil
	}
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	return w
}

const helloText = `{"kind":"server.hello","protocol_version":1,"session_id":"one","session_secret":"x","user_id":"ann"}`

// up connects and greets.
func (w *world) up() *script {
	w.t.Helper()
	w.Connect()
	return w.greet()
}

func (w *world) greet() *script {
	w.t.Helper()
	s := <-w.dials
	s.in <- helloText
	s.said(w.t, "client.hello")
	s.in <- helloText
	return s
}

// said returns the next frame of the client, which is of that kind.
func (s *script) said(t *testing.T, kind string) map[string]any {
	t.Helper()
	select {
	case text := <-s.out:
		var m map[string]any
		decodeJSON(t, text, &m)
		if m["kind"] != kind {
			t.Fatalf("the client said %s, want %s", text, kind)
		}
		return m
	case <-time.After(time.Minute):
		t.Fatalf("the client did not say %s", kind)
		return nil
	}
}

// admit answers a join.
func (s *script) admit(t *testing.T, more string) {
	t.Helper()
	m := s.said(t, "client.join")
	s.in <- fmt.Sprintf(`{"kind":"room.joined","room_id":%q,"stream_id":"A","correlation_id":%q,%s}`, m["room_id"], m["correlation_id"], more)
}

const fromHead = `"event_id":0,"resumed":false,"replaying":0`

func message(n int) string {
	return fmt.Sprintf(`{"kind":"chat.message","room_id":"a","event_id":%d,"message_id":"%d","ts":1,"text":"m%d"}`, n, n, n)
}

// joined is a room of a world that is up.
func (w *world) joined(s *script) *Room {
	w.t.Helper()
	r := w.Room("a")
	done := make(chan error, 1)
	go func() { done <- r.Join(w.t.Context(), Join{}) }()
	s.admit(w.t, fromHead)
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
	return r
}

// awaitState waits for a state.
func awaitState(t *testing.T, c *Client, state string) State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for s := range c.States(ctx) {
		if s.State == state {
			return s
		}
	}
	t.Fatalf("the state %s did not come: %+v", state, c.State())
	return State{}
}

func awaitRoom(t *testing.T, r *Room, state string) RoomState {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for s := range r.States(ctx) {
		if s.State == state {
			return s
		}
	}
	t.Fatalf("the room's state %s did not come: %+v", state, r.State())
	return RoomState{}
}

// take iterates over n events and returns their ids.
func take(t *testing.T, r *Room, n int) (ids []int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for e, err := range r.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if ids = append(ids, e.EventID); len(ids) == n {
			break
		}
	}
	return ids
}

func refusedBy(status int, after time.Duration) error {
	return &refusal{status: status, after: after, err: errors.New(http.StatusText(status))}
}

func cur(stream string, id int64) Cursor { return Cursor{StreamID: stream, EventID: id} }
