package continuo

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

func TestCloseWaitsForNothingThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		w := newWorld(t, Options{})
		s := w.up()
		r := w.joined(s)
		began := make(chan struct{})
		r.OnEvent(func(context.Context, *Event) error {
			close(began)
			<-stuck
			return nil
		})
		s.in <- message(1)
		<-began
		at := time.Now()
		if err := w.Close(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closed with %v", err)
		}
		if took := time.Since(at); took < 5*time.Second || took > 10*time.Second {
			t.Errorf("closed after %v", took)
		}
		close(stuck)
	})
}

func TestCloseOfAConnectionThatNobodyReads(t *testing.T) {
	leave := make(chan struct{})
	defer close(leave)
	stalled := make(chan struct{})
	base := sockets(t, func(conn net.Conn) {
		if _, err := ws.Upgrade(conn); err != nil {
			return
		}
		say(conn, helloText, helloText)
		close(stalled)
		<-leave // and nothing is read any more
	})
	c := New(base, Options{})
	c.Connect()
	<-stalled
	awaitState(t, c, "connected")
	big := strings.Repeat("x", 8<<20)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	sent, give := context.WithCancel(ctx)
	for range 4 {
		go func() { _, _ = c.Room("a").Send(sent, Send{Text: big}) }()
	}
	give()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestCloseWhileComingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		s := w.up()
		r := w.joined(s)
		done := make(chan error, 1)
		go func() {
			_, err := r.Send(t.Context(), Send{Text: "x"})
			done <- err
		}()
		s.said(t, "chat.send")
		s.drop(1006)
		awaitState(t, w.Client, "waiting")
		go func() {
			s := w.greet()
			s.admit(t, `"event_id":0,"resumed":true,"replaying":0`)
			id := s.said(t, "chat.send")["correlation_id"].(string)
			s.in <- `{"kind":"chat.accepted","room_id":"a","event_id":1,"message_id":"1","version":1,"correlation_id":"` + id + `"}`
		}()
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error("sent with", err)
		}
	})
}

func TestTokensThatAreNone(t *testing.T) {
	for _, token := range []string{"a b", "a,b", "a\r\nX: y", "é", "a="} {
		var reported error
		w := newWorld(t, Options{Token: func(context.Context) (string, error) { return token, nil }, OnError: func(err error) { reported = err }})
		w.Connect()
		awaitState(t, w.Client, "waiting")
		if len(w.dials) > 0 {
			t.Errorf("%q was sent", token)
		}
		_ = w.Close(context.Background())
		if reported == nil {
			t.Errorf("%q was not reported", token)
		}
	}
}

// timers is a clock that only notes what it is asked for.
type timers struct{ asked chan time.Duration }

func (timers) Now() time.Time { return time.Time{} }

func (c timers) AfterFunc(d time.Duration, _ func()) func() {
	c.asked <- d
	return func() {}
}

func TestAWaitThatIsTooLongForATimer(t *testing.T) {
	clock := timers{make(chan time.Duration, 16)}
	w := newWorld(t, Options{Clock: clock})
	s := w.up()
	<-clock.asked // for the hello
	<-clock.asked // the heartbeat
	s.in <- `{"kind":"server.reconnect","after_ms":9007199254740991}`
	s.drop(4200)
	if d := <-clock.asked; d != 24*time.Hour {
		t.Errorf("asked to be woken in %v", d)
	}
	_ = w.Close(context.Background())
}

func TestSnapshotsThatAreNone(t *testing.T) {
	for name, page := range map[string]func(n int) string{
		"no end": func(int) string {
			return `{"stream_id":"A","event_id":20,"messages":[],"has_more":true,"next_cursor":"x"}`
		},
		"no cursor": func(int) string { return `{"stream_id":"A","event_id":20,"messages":[],"has_more":true}` },
		"two moments": func(n int) string {
			return `{"stream_id":"` + string(rune('A'+n)) + `","event_id":20,"messages":[],"has_more":` + []string{"true", "false"}[min(n, 1)] + `,"next_cursor":"x"}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := -1
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n++
				_, _ = w.Write([]byte(page(n)))
			}))
			defer server.Close()
			reported := make(chan error, 64)
			w := newWorld(t, Options{OnError: func(err error) { reported <- err }})
			_, w.plain, _ = endpoints(server.URL)
			w.lost(w.up(), "/snapshot")
			if err := <-reported; !strings.Contains(err.Error(), "snapshot") {
				t.Error(err)
			}
			_ = w.Close(context.Background())
		})
	}
}

// slowStore loads when it is told to.
type slowStore struct {
	*MemoryStore
	loads chan chan struct{}
}

func (s slowStore) Load(ctx context.Context, room string) (Cursor, bool, error) {
	let := make(chan struct{})
	s.loads <- let
	<-let
	return s.MemoryStore.Load(ctx, room)
}

func TestLeaveOvertakesAJoin(t *testing.T) {
	store := slowStore{NewMemoryStore(), make(chan chan struct{})}
	w := newWorld(t, Options{Store: store})
	w.up()
	r := w.Room("a")
	done := make(chan error, 1)
	go func() { done <- r.Join(t.Context(), Join{}) }()
	load := <-store.loads
	r.Leave()
	close(load)
	var e *Error
	if err := <-done; !errors.As(err, &e) || e.Code != "left" || r.State().State != "left" {
		t.Errorf("joined with %v, and the room is %v", err, r.State())
	}
	_ = w.Close(context.Background())
}

func TestOrigins(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://Example.org/x", "https://example.org:443/y?z", true},
		{"http://example.org", "http://example.org:80", true},
		{"http://example.org", "https://example.org", false},
		{"http://example.org", "http://example.org:8080", false},
		{"http://example.org", "http://example.org.evil", false},
	} {
		a, _ := url.Parse(c.a)
		b, _ := url.Parse(c.b)
		if (origin(a) == origin(b)) != c.same {
			t.Errorf("%s and %s: want the same %v", c.a, c.b, c.same)
		}
	}
}
