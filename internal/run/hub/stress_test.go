package hub_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

// Publishers run while sockets stall and drain at random and followers come, resume and leave: each sees every entry
// once and in order from where it began, whichever of turn and pump brings it.
func TestStress(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { stress(t, seed) })
		})
	}
}

const stressed = 900 // entries

func stress(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: 1 << rnd.IntN(10)}, Budget: 1 << (10 + rnd.IntN(12))})
	var all sync.WaitGroup
	for p := range 3 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(100+p)))
			for range stressed / 3 {
				r.publish(room, strings.Repeat("x", rnd.IntN(60)))
				if rnd.IntN(4) == 0 {
					pace(time.Duration(rnd.IntN(1000)) * time.Microsecond)
				}
			}
		})
	}
	for i := range 12 {
		all.Go(func() { r.wander(rand.New(rand.NewPCG(seed, uint64(200+i)))) })
	}
	all.Wait()
	synctest.Wait()
	if n := r.hub.Behind(); n != 0 {
		t.Errorf("behind: %d", n)
	}
	if limit := int64(1 << 22); r.hub.Held() > limit {
		t.Errorf("the windows hold %d bytes", r.hub.Held())
	}
}

// wander follows the room in several sessions, one after another, each from where the last one ended.
func (r *rig) wander(rnd *rand.Rand) {
	cursor, known := uint64(0), false
	for !known || cursor < stressed {
		c := r.client(200 + rnd.IntN(2000))
		c.sock.piece = rnd.IntN(50)
		start := session.Start{}
		if known {
			start = resume(cursor)
		}
		f, res := c.follow(room, 1, r.enc(), start)
		if res.Reason != stream.Proven || res.Err != nil {
			r.t.Errorf("follow: %+v", res)
			return
		}
		if !known {
			known, cursor = true, res.Bounds.Head
		}
		f.Release()
		if rnd.IntN(3) == 0 && !f.Refollow(context.Background(), resume(cursor)).Dirty {
			f.Release()
		}
		for range 1 + rnd.IntN(5) {
			c.sock.setRoom(rnd.IntN(3000))
			pace(time.Duration(rnd.IntN(10_000)) * time.Microsecond)
		}
		if rnd.IntN(2) == 0 {
			c.sock.setRoom(-1)
			pace(time.Duration(rnd.IntN(20_000)) * time.Microsecond)
		}
		c.close()
		for _, l := range c.lines() {
			switch {
			case l.Word == "ended" && l.Serial == cursor:
			case l.Word == "" && l.Serial == cursor+1:
				cursor++
			default:
				r.t.Errorf("after %d: %+v", cursor, l)
				return
			}
		}
	}
}

// Resets at any moment: a follower never sees an entry of a new incarnation before it is told, and none of an old one
// after.
func TestResetStress(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) { resetStress(t, rand.New(rand.NewPCG(seed, 2))) })
	}
}

func resetStress(t *testing.T, rnd *rand.Rand) {
	r := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: 32}})
	var clients []*client
	starts := map[*client]line{}
	for i := range 10 {
		c := r.client(100 + rnd.IntN(3000))
		if clients = append(clients, c); i%2 == 0 {
			c.sock.piece = 20
		}
		f, res := c.follow(room, 1, r.enc(), session.Start{})
		starts[c] = line{Stream: res.Bounds.Stream, Serial: res.Bounds.Head}
		f.Release()
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for i := range 300 {
				r.publish(room, fmt.Sprint(i))
				if i%7 == 0 {
					pace(time.Millisecond)
				}
			}
		})
	}
	all.Go(func() {
		for range 20 {
			pace(time.Millisecond)
			r.cut(stream.Cut{Kind: stream.Reset})
		}
	})
	all.Wait()
	r.cut(stream.Cut{Kind: stream.Reset})
	synctest.Wait()
	end := r.publish(room, "end")
	synctest.Wait()
	for _, c := range clients {
		at := starts[c]
		for _, l := range c.lines() {
			if l.Word == "lost" {
				if l.Stream == at.Stream {
					t.Fatalf("a loss without a new incarnation: %+v after %+v", l, at)
				}
			} else if l.Stream != at.Stream || l.Serial != at.Serial+1 {
				t.Fatalf("%+v after %+v", l, at)
			}
			at = l
		}
		if at.Stream != end.Stream || at.Serial != end.Entry.Serial {
			t.Errorf("a client ended at %+v, want %+v", at, end)
		}
	}
}

// pace spreads random load over time. Nothing waits for it: it only makes other interleavings likely.
func pace(d time.Duration) { <-time.After(d) }
