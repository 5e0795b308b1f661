package conn_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// timed is a rig whose notes begin with the seconds since the start.
func timed(t *testing.T, idle time.Duration, script func(session.Input) []session.Effect) (*rig, func() []string) {
	began := time.Now()
	var mu sync.Mutex
	var seen []string
	r := newRig(t, options{idle: idle}, func(in session.Input) []session.Effect {
		switch in.(type) {
		case session.Idle, session.Woken:
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprintf("%.1f %s", time.Since(began).Seconds(), show(in)))
		}
		return script(in)
	})
	return r, func() []string {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// Idle comes after the idle time, again and again; whatever the client sends begins it anew.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, seen := timed(t, 40*time.Second, on(nil))
		r.serve()
		time.Sleep(95 * time.Second)
		if got := strings.Join(seen(), ", "); got != "40.0 idle 40000, 80.0 idle 80000" {
			t.Errorf("saw %s", got)
		}
		r.pipe.send("hi")
		time.Sleep(30 * time.Second)
		r.conn.OnPong()
		time.Sleep(39 * time.Second)
		if got := seen(); len(got) != 2 {
			t.Errorf("saw %v", got)
		}
		time.Sleep(3 * time.Second)
		if got := seen(); len(got) != 3 {
			t.Errorf("saw %v", got)
		}
	})
}

func TestNeverIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, seen := timed(t, 0, on(nil))
		r.serve()
		time.Sleep(time.Hour)
		if got := seen(); len(got) != 0 {
			t.Errorf("saw %v", got)
		}
	})
}

// A machine's timer comes when it was asked for, near or far, and a later one replaces it.
func TestWake(t *testing.T) {
	tests := []struct {
		name string
		wake []int64 // ms from the start, one after the other; 0 cancels
		want string
	}{
		{"soon", []int64{25}, "0.0 woken"},
		{"past", []int64{-5}, "0.0 woken"},
		{"in seconds", []int64{5000}, "5.0 woken"},
		{"in minutes", []int64{600_000}, "600.0 woken"},
		{"later", []int64{25, 9000}, "9.0 woken"},
		{"sooner", []int64{9000, 700}, "0.7 woken"},
		{"cancelled", []int64{25, 0}, ""},
		{"cancelled, far", []int64{5000, 0}, ""},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			r, seen := timed(t, time.Hour, func(in session.Input) []session.Effect {
				var out []session.Effect
				if _, ok := in.(session.Opened); ok {
					for _, ms := range test.wake {
						if ms != 0 {
							ms += now()
						}
						out = append(out, session.Wake{At: ms})
					}
				}
				return out
			})
			r.serve()
			time.Sleep(50 * time.Minute)
			if got := strings.Join(seen(), ", "); got != test.want {
				t.Errorf("%s: saw %q, want %q", test.name, got, test.want)
			}
		})
	}
}

// Connections come and go while the wheel turns; each is visited at its own time.
func TestManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seens []func() []string
		var began []time.Time
		for i := range 50 {
			time.Sleep(time.Duration(i*37) * time.Millisecond)
			r, seen := timed(t, time.Duration(10+i)*time.Second, on(nil))
			r.serve()
			synctest.Wait()
			if i%3 == 0 {
				_ = r.pipe.Close()
				<-r.served
				seen = func() []string { return nil }
			}
			seens, began = append(seens, seen), append(began, time.Now())
		}
		time.Sleep(5 * time.Minute)
		for i, seen := range seens {
			lived, idle := int(time.Since(began[i]).Seconds()), 10+i
			most, least := lived/idle, lived/(idle+1)-1 // the wheel's resolution is a second
			if i%3 == 0 {
				most, least = 0, 0
			}
			if got := len(seen()); got < least || got > most {
				t.Errorf("connection %d was idle %d times in %d s, want every %d s", i, got, lived, idle)
			}
		}
	})
}

// The client of a filtered follower is told its position every half minute in which entries passed it by.
func TestNudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, options{idle: time.Hour}, on(map[string][]session.Effect{
			"opened 1.1":        {session.Follow{Tag: 1, Ref: room, Encoder: encoder{skip: "no"}}},
			"followed 1 proven": {session.Release{Tag: 1}},
		})).serve()
		synctest.Wait()
		r.append("yes", "no")
		r.wrote("1yes")
		time.Sleep(31 * time.Second)
		r.wrote("1yes position2")
		time.Sleep(5 * time.Minute)
		r.wrote("1yes position2")
		r.append("no", "no")
		time.Sleep(31 * time.Second)
		r.wrote("1yes position2 position4")
	})
}

// Replays, losses, moves and replaced subscriptions reach the machine as they are when it is stepped.
func TestFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume := func(serial uint64) session.Start {
			return session.Start{Resume: true, Cursor: stream.Cursor{Serial: serial}}
		}
		r := newRig(t, options{}, on(map[string][]session.Effect{
			"follow":              {session.Follow{Tag: 1, Ref: room, Start: resume(1), Encoder: encoder{}}},
			"followed 1 proven":   {say("welcome"), session.Release{Tag: 1}},
			"ended 1@3":           {say("ended"), session.Release{Tag: 1}},
			"lost 1 stream_reset": {say("lost"), session.Release{Tag: 1}},
			"again":               {session.Follow{Tag: 1, Ref: room, Encoder: encoder{skip: "-"}}},
			"refollow":            {session.Refollow{Tag: 1, Start: resume(1)}},
			"refollow 2":          {session.Refollow{Tag: 2, Start: resume(1)}, session.Release{Tag: 2}, session.Unfollow{Tag: 2}},
			"unfollow":            {session.Unfollow{Tag: 1}},
		})).serve()
		r.append("a", "b", "c")
		r.pipe.send("follow")
		r.wrote("welcome 2b 3c ended")
		r.append("d")
		synctest.Wait()
		r.pipe.send("refollow", "refollow 2")
		synctest.Wait()
		if _, err := r.store.Cut(t.Context(), stream.Cut{Ref: room, Kind: stream.Reset}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.append("e")
		r.wrote("welcome 2b 3c ended 4d lost 6e")
		r.pipe.send("again")
		synctest.Wait()
		if n := r.hub.Subscribers(room); n != 1 {
			t.Errorf("a subscription that was replaced left %d followers", n)
		}
		r.append("f")
		r.wrote("welcome 2b 3c ended 4d lost 6e welcome 7f")
		r.pipe.send("unfollow")
		synctest.Wait()
		r.append("g")
		r.wrote("welcome 2b 3c ended 4d lost 6e welcome 7f")
		r.expect("opened 1.1, frame follow, followed 1 proven, ended 1@3, frame refollow, dirty 1, frame refollow 2, " +
			"lost 1 stream_reset, frame again, followed 1 proven, frame unfollow")
		_ = r.pipe.Close()
		<-r.served
		if n := r.hub.Subscribers(room); n != 0 {
			t.Errorf("a connection that ended left %d followers", n)
		}
	})
}

// Of several followers that are behind, each gets its share of the outbox.
func TestFollowersShareTheOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := stream.Ref{App: "app", Channel: "other"}
		start := session.Start{Resume: true}
		r := newRig(t, options{outbox: 300}, on(map[string][]session.Effect{
			"go":                {session.Follow{Tag: 1, Ref: room, Start: start, Encoder: encoder{}}, session.Follow{Tag: 2, Ref: other, Start: start, Encoder: encoder{}}},
			"followed 1 proven": {session.Release{Tag: 1}},
			"followed 2 proven": {session.Release{Tag: 2}},
		}))
		for range 400 {
			r.append("room")
			if _, err := r.store.Append(t.Context(), []stream.Op{{Ref: other, Entry: create("other")}}); err != nil {
				t.Fatal(err)
			}
		}
		r.serve()
		r.pipe.setRoom(0)
		r.pipe.send("go")
		for range 20 {
			r.pipe.setRoom(100)
			synctest.Wait()
		}
		rooms, others := strings.Count(r.pipe.wrote(), "room"), strings.Count(r.pipe.wrote(), "other")
		if rooms < 50 || others < 50 {
			t.Errorf("one follower got %d entries, the other %d", rooms, others)
		}
		r.pipe.setRoom(-1)
		synctest.Wait()
		if n := strings.Count(r.notes(), "ended"); n != 2 {
			t.Errorf("it went %s", r.notes())
		}
	})
}
