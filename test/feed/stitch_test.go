package feed

import (
	"context"
	"math/rand/v2"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/examples/feed-table/feed"
	"github.com/continuo-rt/continuo/examples/feed-table/table"
	"github.com/continuo-rt/continuo/internal/ops/client"
	"github.com/continuo-rt/continuo/internal/ops/demo"
)

// A snapshot, and a login with its entry id, while a season is played, give the table of a viewer who was there all
// along, also through kills of the server.
func TestSnapshotStitches(t *testing.T) {
	for _, engine := range []string{"disk", "memory"} {
		t.Run(engine, func(t *testing.T) { stitch(t, engine) })
	}
}

// watcher is a table with a client.
type watcher struct {
	*table.Table
	stop context.CancelFunc
	done chan struct{}
}

func watch(t *testing.T, s *server) *watcher {
	one, err := table.Open("")
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{Table: one, done: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	c := feed.Client{URL: s.url, APIKey: "all-channels", Channels: table.Channels, Handler: one}
	go func() {
		defer close(w.done)
		if err := c.Run(ctx); err != nil {
			t.Errorf("a watcher ended: %v", err)
		}
	}()
	return w
}

func stitch(t *testing.T, engine string) {
	events, kills := 6000, 3
	if testing.Short() {
		events, kills = 1500, 1
	}
	if engine == "memory" {
		kills = 0
	}
	s := start(t, engine)
	watchers := []*watcher{watch(t, s)}
	var mu sync.Mutex
	later := rand.New(rand.NewPCG(3, 3))
	joinAt, killAt := events/20, events/(kills+1)
	played, err := demo.Play(t.Context(), demo.Options{Seed: 5, Rate: 1000, Run: "stitch", Batch: 10, Events: events,
		Publisher: &client.Publisher{Server: s.caller(), HTTP: &http.Client{Timeout: 5 * time.Second}},
		Told: func(p demo.Progress) {
			mu.Lock()
			defer mu.Unlock()
			if p.Events >= joinAt {
				joinAt += events/20 + later.IntN(10)
				watchers = append(watchers, watch(t, s))
			}
			if p.Events >= killAt && kills > 0 {
				killAt, kills = killAt+events/4, kills-1
				s.kill()
				s.start()
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, channel := range table.Channels {
		state, err := s.snapshot(t.Context(), channel)
		if err != nil {
			t.Fatal(err)
		}
		want[channel] = state.EntryID
	}
	for _, w := range watchers {
		w.reach(t, want)
	}
	frames := 0
	first := watchers[0].Rows()
	for i, w := range watchers {
		w.stop()
		<-w.done
		if got := w.Rows(); !reflect.DeepEqual(got, first) {
			t.Errorf("watcher %d has another table than the one that was there all along", i)
		}
		a := w.Account()
		if a.Missed != 0 || a.Twice != 0 || a.OutOfTurn != 0 {
			t.Errorf("watcher %d: %+v", i, a)
		}
		frames += a.Frames
	}
	rows := 0
	for _, keys := range first {
		rows += len(keys)
	}
	if rows == 0 || len(watchers) < 10 {
		t.Errorf("%d rows, %d watchers", rows, len(watchers))
	}
	t.Logf("summary: snapshot and resume on %s: %d watchers that came at any time have the table of one that was there all along (%d rows, %d events, %d frames)",
		engine, len(watchers), rows, played.Events, frames)
}

// reach waits until the table has come to the given positions.
func (w *watcher) reach(t *testing.T, want map[string]string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); ; <-tick.C {
		if _, at := w.Cursors(); reflect.DeepEqual(at, want) {
			return
		} else if time.Now().After(end) {
			t.Fatalf("a watcher is at %v, not at %v", at, want)
		}
	}
}
