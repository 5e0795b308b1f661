package rooms

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/test/sdk/fault"
)

var (
	seeds = flag.Int("rooms.seeds", 24, "how many seeds of faults are tried")
	first = flag.Uint64("rooms.seed", 1, "the first seed")
)

// TestResumesThroughFaults lets followers read and write through connections that drop, break in the middle of frames,
// stay half open and crawl. Each sees every event of the room once and in order, and every send is in the log once.
func TestResumesThroughFaults(t *testing.T) {
	n := *seeds
	if testing.Short() {
		n = 4
	}
	var mu sync.Mutex
	total := struct{ connects, events, accepted int }{}
	faults := map[string]int{}
	next := make(chan int)
	var running sync.WaitGroup
	for range 6 { // at once: most of the time goes by in waiting for connections that are half open
		running.Go(func() {
			for i := range next {
				seed := *first + uint64(i)
				engine := []string{"memory", "disk"}[i%2]
				t.Run(fmt.Sprintf("%s seed %d", engine, seed), func(t *testing.T) {
					all, p := faulty(t, engine, seed)
					mu.Lock()
					defer mu.Unlock()
					for _, f := range all {
						total.connects += f.connects
						total.events += len(f.seen)
						total.accepted += f.accepted
					}
					for k, v := range p.Stats().Faults {
						faults[k] += v
					}
				})
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	running.Wait()
	t.Logf("summary: rooms through faults: %d seeds, %d connections (%v), %d events seen, %d sends accepted, no gap, nothing twice",
		n, total.connects, faults, total.events, total.accepted)
}

func faulty(t *testing.T, engine string, seed uint64) ([]*follower, *fault.Proxy) {
	address := start(t, engine)
	p, err := fault.Listen(address, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	p.Faults(true)
	const writers, sends, readers = 3, 80, 3
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var all []*follower
	var running sync.WaitGroup
	for i := range writers + readers {
		name := fmt.Sprintf("user-%d", i)
		f := &follower{t: t, name: name, address: p.Addr(), token: bearer(t, name), room: "room", reached: make(chan uint64, 1)}
		if i < writers {
			for k := range sends {
				f.sends = append(f.sends, fmt.Sprintf("%s %d %s", name, k, strings.Repeat("x", k*7%300)))
			}
		}
		all = append(all, f)
		running.Add(1)
		go func() {
			defer running.Done()
			f.run(ctx)
		}()
	}
	want := uint64(writers * sends)
	for i, f := range all {
		for at := uint64(0); at < want; {
			select {
			case at = <-f.reached:
			case <-ctx.Done():
				t.Fatalf("follower %d came to %d of %d", i, at, want)
			}
			if at > want*3/4 {
				p.Heal() // the rest without faults, so that a run always ends
			}
		}
	}
	cancel()
	running.Wait()
	for _, f := range all {
		f.check(writers, sends)
	}
	return all, p
}

// check compares what was seen with what was sent.
func (f *follower) check(writers, sends int) {
	f.t.Helper()
	next := map[string]int{}
	for i, m := range f.seen {
		if m.Event != uint64(i+1) {
			f.t.Fatalf("%s: event %d is the %dth", f.name, m.Event, i+1)
		}
		var user string
		var n int
		if _, err := fmt.Sscanf(m.Text, "%s %d", &user, &n); err != nil || n != next[user] {
			f.t.Fatalf("%s: %q, where number %d of the user was due", f.name, m.Text, next[user])
		}
		next[user]++
	}
	if len(f.seen) != writers*sends {
		f.t.Errorf("%s saw %d events, want %d", f.name, len(f.seen), writers*sends)
	}
}

// TestSnapshotFallback keeps a reader of a room with a short log away until what it missed is gone: it is told so, takes
// the snapshot, and goes on from there with every event once.
func TestSnapshotFallback(t *testing.T) {
	address := start(t, "memory")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const sends = 600
	writer := &follower{t: t, name: "writer", address: address, token: bearer(t, "writer"), room: "brief", reached: make(chan uint64, 1)}
	reader := &follower{t: t, name: "reader", address: address, token: bearer(t, "reader"), room: "brief", reached: make(chan uint64, 1)}
	follow := func(f *follower, until uint64) {
		t.Helper()
		inner, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.run(inner)
		}()
		for at := uint64(0); at < until; {
			select {
			case at = <-f.reached:
			case <-ctx.Done():
				t.Fatalf("%s came to %d of %d", f.name, at, until)
			}
		}
		stop()
		<-done
	}
	write := func(from, to int) {
		for k := from; k < to; k++ {
			writer.sends = append(writer.sends, fmt.Sprintf("writer %d", k))
		}
		follow(writer, uint64(to))
	}
	write(0, 40)
	follow(reader, 40)
	missed := reader.cursor
	write(40, sends)
	follow(reader, sends)
	if reader.jumps != 1 || missed != 40 || reader.cursor < sends {
		t.Errorf("%d snapshots between %d and %d, want 1", reader.jumps, missed, reader.cursor)
	}
	t.Logf("summary: snapshot: away from %d to %d, %d events seen, one snapshot in place of the rest", missed, reader.cursor, len(reader.seen))
}
