package continuo

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestDelaysAreSpreadOverTheirWholeRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		w := newWorld(t, Options{Random: random.Float64})
		var at []time.Time
		w.open = func(context.Context, string) (transport, error) {
			at = append(at, time.Now())
			return nil, refusedBy(0, 0)
		}
		w.Connect()
		<-time.After(6 * time.Hour)
		synctest.Wait()
		var delays []float64
		for i := 8; i < len(at); i++ {
			delays = append(delays, at[i].Sub(at[i-1]).Seconds())
		}
		slices.Sort(delays)
		n := len(delays)
		mean := 0.0
		for _, d := range delays {
			mean += d / float64(n)
		}
		if n < 1000 || delays[0] > 0.2 || delays[n-1] < 29.8 || delays[n-1] > 30 || mean < 14 || mean > 16 || delays[n/4] < 6 || delays[n/4] > 9 {
			t.Errorf("%d delays of %.1f … %.1f s, mean %.1f, a quarter below %.1f", n, delays[0], delays[n-1], mean, delays[n/4])
		}
		for i, limit := range []float64{0.5, 1, 2, 4, 8, 16, 30} {
			if d := at[i+1].Sub(at[i]).Seconds(); d > limit {
				t.Errorf("delay %d is %.1f s, at most %v", i, d, limit)
			}
		}
	})
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := []string{"old", "new", "", "fourth", "fifth"}
		asked := 0
		var errs []error
		w := newWorld(t, Options{OnError: func(err error) { errs = append(errs, err) }, Token: func(context.Context) (string, error) {
			asked++
			if tokens[asked-1] == "" {
				return "", errors.New("no network")
			}
			return tokens[asked-1], nil
		}})
		w.next = []error{refusedBy(401, 0), refusedBy(503, time.Second)}
		s := w.up()
		synctest.Wait()
		if asked != 4 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "no network") {
			t.Errorf("asked %d times; %v", asked, errs)
		}
		s.in <- `{"kind":"server.token_expiring","expires_at":1}`
		if m := s.said(t, "client.auth"); m["token"] != "fifth" {
			t.Errorf("renewed by %v", m)
		}
	})
}

func TestStoppedUntilConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		w := newWorld(t, Options{OnState: func(s State) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, s.Describe())
		}})
		w.next = []error{refusedBy(403, 0)}
		w.Connect()
		if s := awaitState(t, w.Client, "stopped"); s.Reason != "forbidden" || s.Code != 403 {
			t.Errorf("the state is %+v", s)
		}
		var e *Error
		if err := w.Room("a").Join(t.Context(), Join{}); !errors.As(err, &e) || e.Code != "forbidden" {
			t.Errorf("joined with %v", err)
		}
		if _, err := w.Room("a").Send(t.Context(), Send{Text: "x"}); !errors.As(err, &e) || e.Code != "closed" {
			t.Errorf("sent with %v", err)
		}
		s := w.up()
		s.admit(t, fromHead)
		awaitRoom(t, w.Room("a"), "live")
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if got := strings.Join(told, "; "); got != "connecting; stopped: forbidden; connecting; connected" {
			t.Errorf("told %s", got)
		}
	})
}

func TestHalfOpenAndOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		s := w.up()
		began := time.Now()
		s.said(t, "client.ping")
		if d := time.Since(began); d != 25*time.Second {
			t.Errorf("pinged after %v", d)
		}
		if code := <-s.end; code != 4000 || time.Since(began) != 35*time.Second {
			t.Errorf("hung up by %d after %v", code, time.Since(began))
		}
		s = w.greet()
		w.Visible()
		s.said(t, "client.ping")
		w.Online(false)
		s.drop(1006)
		awaitState(t, w.Client, "offline")
		<-time.After(time.Hour)
		w.Online(true)
		w.greet()
		awaitState(t, w.Client, "connected")
	})
}

func TestCloseWaitsForWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		s := w.up()
		r := w.joined(s)
		sent, closed, ended := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := r.Send(t.Context(), Send{Text: "last words"})
			sent <- err
		}()
		m := s.said(t, "chat.send")
		go func() {
			for _, err := range r.Events(t.Context()) {
				ended <- err
				return
			}
			ended <- nil
		}()
		go func() { closed <- w.Close(context.Background()) }()
		synctest.Wait()
		var e *Error
		if _, err := r.Send(t.Context(), Send{Text: "too late"}); !errors.As(err, &e) || e.Code != "closed" {
			t.Errorf("sent with %v", err)
		}
		s.in <- `{"kind":"chat.accepted","room_id":"a","event_id":1,"message_id":"1","version":1,"correlation_id":"` + m["correlation_id"].(string) + `"}`
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if err := errors.Join(<-closed, <-ended); err != nil {
			t.Error(err)
		}
		if code := <-s.end; code != 1000 || w.State().State != "closed" {
			t.Errorf("closed by %d: %+v", code, w.State())
		}
		if err := errors.Join(w.Close(context.Background())); err != nil {
			t.Error(err)
		}
		if err := r.Join(t.Context(), Join{}); !errors.As(err, &e) || e.Code != "closed" {
			t.Errorf("joined with %v", err)
		}
		w.Connect()
		for e, err := range w.Room("late").Events(t.Context()) {
			t.Error(e, err)
		}
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		s := w.up()
		r := w.joined(s)
		sent := make(chan error, 1)
		go func() {
			_, err := r.Send(t.Context(), Send{Text: "x"})
			sent <- err
		}()
		s.said(t, "chat.send")
		if err := w.Close(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closed with %v", err)
		}
		var e *Error
		if err := <-sent; !errors.As(err, &e) || e.Code != "closed" {
			t.Errorf("sent with %v", err)
		}
	})
}

// badStore fails as told.
type badStore struct{ *MemoryStore }

func (badStore) Load(context.Context, string) (Cursor, bool, error) {
	return Cursor{}, false, errors.New("the disk is away")
}

func (badStore) Save(context.Context, string, Cursor) error { return errors.New("the disk is full") }

func TestAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var reported []string
		w := newWorld(t, Options{Store: badStore{}, OnError: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			reported = append(reported, err.Error())
		}})
		s := w.up()
		r := w.joined(s)
		s.in <- message(1)
		s.in <- message(2)
		if got := take(t, r, 2); !reflect.DeepEqual(got, []int64{1, 2}) {
			t.Errorf("got %v", got)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(reported) < 2 || !strings.Contains(reported[0], "disk is away") || !strings.Contains(reported[1], "disk is full") {
			t.Errorf("reported %q", reported)
		}
	})
}

func TestStores(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cursors.json")
	for name, make := range map[string]func() Store{
		"memory": func() func() Store { s := NewMemoryStore(); return func() Store { return s } }(),
		"file":   func() Store { return NewFileStore(path) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			check := func(room string, want Cursor, there bool) {
				t.Helper()
				if at, ok, err := make().Load(ctx, room); err != nil || ok != there || at != want {
					t.Errorf("%s is at %v, %v, %v", room, at, ok, err)
				}
			}
			check("a", Cursor{}, false)
			s := make()
			if err := errors.Join(s.Save(ctx, "a", cur("A", 1)), s.Save(ctx, "b/\"é", cur("B", 7)), s.Save(ctx, "a", cur("A", 2))); err != nil {
				t.Fatal(err)
			}
			check("a", cur("A", 2), true)
			check("b/\"é", cur("B", 7), true)
			if err := make().Delete(ctx, "a"); err != nil {
				t.Fatal(err)
			}
			check("a", Cursor{}, false)
			check("b/\"é", cur("B", 7), true)
		})
	}
	if err := os.WriteFile(path, []byte(`{"a":`), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := NewFileStore(path)
	if _, _, err := broken.Load(t.Context(), "a"); err == nil {
		t.Error("half a file was believed")
	}
	if err := errors.Join(broken.Save(t.Context(), "a", cur("A", 1))); err == nil {
		t.Error("half a file was overwritten")
	}
	if err := NewFileStore(filepath.Join(path, "none", "c.json")).Save(t.Context(), "a", cur("A", 1)); err == nil {
		t.Error("there is no such folder")
	}
}
