package sim

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// disturb does what operators and fate do, until the faults are to stop.
func (w *world) disturb(rnd *rand.Rand) {
	for {
		w.nap(time.Duration(50+rnd.IntN(1500)) * time.Millisecond)
		if w.healed() {
			return
		}
		switch rnd.IntN(6) {
		case 0, 1:
			w.restart(rnd)
		case 2:
			w.cut([]string{"sync", "interval", "tiny", "volatile"}[rnd.IntN(4)], stream.Reset, rnd)
		case 3:
			w.cut([]string{"sync", "interval", "tiny"}[rnd.IntN(3)], stream.Trim, rnd)
		case 4:
			w.cut([]string{"sync", "interval", "volatile"}[rnd.IntN(3)], stream.Purge, rnd)
		case 5:
			w.terminate(rnd)
		}
	}
}

// restart ends the server, mostly by a crash, and starts the next one after a while.
func (w *world) restart(rnd *rand.Rand) {
	w.oracle.count(func(c *Counts) { c.Restarts++ })
	over := w.oracle.restarting("volatile")
	next := w.down(func() int { return rnd.IntN(3000) }, rnd.IntN(4) == 0)
	over("")
	w.nap(time.Duration(rnd.IntN(500)) * time.Millisecond)
	w.start(next)
}

// cut trims, purges or resets a channel.
func (w *world) cut(channel string, k stream.CutKind, rnd *rand.Rand) {
	s := w.running()
	ref := stream.Ref{App: appID, Channel: channel}
	c := stream.Cut{Ref: ref, Kind: k}
	if k == stream.Reset {
		over := w.oracle.ending(channel)
		result, err := s.node.Cut(context.Background(), c)
		if err != nil {
			over("")
		} else {
			over(string(result.After.Stream))
		}
		return
	}
	page, err := s.node.Store().Read(context.Background(), stream.Query{Ref: ref})
	if err != nil {
		return
	}
	b := page.Bounds
	c.Through = b.Floor + uint64(rnd.Int64N(int64(b.Head-b.Floor)+1))
	w.oracle.trimming(channel)
	_, _ = s.node.Cut(context.Background(), c)
}

// terminate cuts some sessions from the network's side.
func (w *world) terminate(rnd *rand.Rand) {
	s := w.running()
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.links {
		if rnd.IntN(2) == 0 {
			l.sever(rnd.IntN(3000))
			w.oracle.count(func(c *Counts) { c.Cuts++ })
		}
	}
}
