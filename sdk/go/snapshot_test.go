package continuo

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// lost joins a room whose continuity the server cannot prove, and returns when the snapshot is needed.
func (w *world) lost(s *script, url string) *Room {
	w.t.Helper()
	if err := w.o.Store.Save(w.t.Context(), "a", cur("A", 5)); err != nil {
		w.t.Fatal(err)
	}
	r := w.Room("a")
	done := make(chan error, 1)
	go func() { done <- r.Join(w.t.Context(), Join{}) }()
	s.admit(w.t, `"event_id":20,"resumed":false,"replaying":0`)
	s.in <- `{"kind":"room.snapshot_required","room_id":"a","reason":"window_exceeded","stream_id":"A","event_id":20,"snapshot_url":"` + url + `"}`
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestSnapshotOfAllPages(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	failures := 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.RequestURI()+" "+r.Header.Get("Authorization"))
		switch {
		case failures == 2:
			failures--
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte("<!doctype html>"))
		case failures == 1:
			failures--
			_, _ = w.Write([]byte("<!doctype html>"))
		case r.URL.Query().Get("cursor") == "":
			_, _ = w.Write([]byte(`{"room_id":"a","stream_id":"A","event_id":21,"messages":[{"kind":"chat.message","room_id":"a","event_id":3,"message_id":"3","ts":1,"text":"x"}],"members":[{"user_id":"bob"}],"member_count":1,"has_more":true,"next_cursor":"c 2"}`))
		default:
			_, _ = w.Write([]byte(`{"room_id":"a","stream_id":"A","event_id":21,"messages":[{"kind":"chat.message","room_id":"a","event_id":4,"message_id":"4","ts":1,"text":"y"}],"has_more":false,"next_cursor":null}`))
		}
	}))
	defer server.Close()
	var reported []error
	w := newWorld(t, Options{Random: func() float64 { return 0 }, Token: func(context.Context) (string, error) { return "secret", nil },
		OnError: func(err error) { reported = append(reported, err) }})
	_, w.plain, _ = endpoints(server.URL + "/")
	s := w.up()
	r := w.lost(s, "/rooms/a/snapshot?x=1")
	s.in <- message(21)
	s.in <- message(22)
	var list MessageList
	var kinds []string
	for e, err := range r.Events(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		list.Apply(e)
		if kinds = append(kinds, e.Kind+" "+e.Reason); e.EventID == 22 {
			break
		}
	}
	if got := strings.Join(kinds, ", "); got != "room.snapshot window_exceeded, chat.message " {
		t.Errorf("got %s", got)
	}
	if list.Len() != 3 {
		t.Errorf("the list is %+v", list.All())
	}
	if at, _ := r.Position(); at != (cur("A", 22)) {
		t.Errorf("the position is %v", at)
	}
	mu.Lock()
	defer mu.Unlock()
	want := "/rooms/a/snapshot?limit=500&x=1 Bearer secret"
	if len(asked) != 4 || asked[0] != want || asked[3] != "/rooms/a/snapshot?cursor=c+2&limit=500&x=1 Bearer secret" {
		t.Errorf("asked %q", asked)
	}
	if err := w.Close(context.Background()); err != nil || len(reported) != 2 {
		t.Errorf("%v; reported %v", err, reported)
	}
}

func TestATokenIsForItsServerAlone(t *testing.T) {
	seen := make(chan string, 1)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		_, _ = w.Write([]byte(`{"stream_id":"A","event_id":20,"messages":[]}`))
	}))
	defer elsewhere.Close()
	own := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/state", http.StatusFound))
	defer own.Close()
	for _, url := range []string{elsewhere.URL + "/state", "/rooms/a/snapshot"} {
		w := newWorld(t, Options{Token: func(context.Context) (string, error) { return "secret", nil }})
		_, w.plain, _ = endpoints(own.URL)
		r := w.lost(w.up(), url)
		if got := <-seen; got != "" {
			t.Errorf("another server was told %q", got)
		}
		if ids := take(t, r, 1); ids[0] != 20 {
			t.Errorf("got %v", ids)
		}
	}
}

func TestTheApplicationsOwnSnapshot(t *testing.T) {
	tries := 0
	w := newWorld(t, Options{Random: func() float64 { return 0 }, Snapshot: func(_ context.Context, need SnapshotNeeded) (Cursor, error) {
		if tries++; tries == 1 {
			return Cursor{}, errors.New("the database is away")
		}
		if need != (SnapshotNeeded{"a", "window_exceeded", "A", 20, "https://app.example/a"}) {
			t.Errorf("needed is %+v", need)
		}
		return cur(need.StreamID, need.EventID), nil
	}})
	s := w.up()
	r := w.lost(s, "https://app.example/a")
	s.in <- message(21)
	if ids := take(t, r, 1); ids[0] != 21 || tries != 2 {
		t.Errorf("got %v after %d tries", ids, tries)
	}
}

func TestAConnectionLostWhileASnapshotIsLoaded(t *testing.T) {
	loading := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		loading <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	w := newWorld(t, Options{Random: func() float64 { return 0 }, OnError: func(err error) { t.Errorf("reported %v", err) }})
	_, w.plain, _ = endpoints(server.URL)
	s := w.up()
	r := w.lost(s, "/rooms/a/snapshot")
	<-loading
	s.drop(1006)
	s = w.greet()
	s.admit(t, `"event_id":5,"resumed":true,"replaying":0`)
	s.in <- `{"kind":"room.resumed","room_id":"a","event_id":5,"count":0}`
	s.in <- message(6)
	if ids := take(t, r, 1); ids[0] != 6 {
		t.Errorf("got %v", ids)
	}
}
