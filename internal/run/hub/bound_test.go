package hub_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

// 200 sockets that take nothing while 16 MB pass through their channel cost a cursor each and the few references that
// an outbox may hold; the reader that goes on gets everything in order; nobody else is disturbed.
func TestStalledSocketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{}, stream.Rules{Durability: stream.Volatile, Retention: stream.Retention{Bytes: 1 << 20}})
		reader := r.client(64 << 10)
		reader.live(r.enc())
		var stalled []*client
		for range 200 {
			c := r.client(64 << 10)
			c.sock.setRoom(0)
			c.live(r.enc())
			stalled = append(stalled, c)
		}
		before := heap()
		const n, size = 4096, 4096
		for range n {
			r.publish(room, strings.Repeat("x", size))
			synctest.Wait()
		}
		reader.sock.mu.Lock()
		read := int64(reader.sock.got.Len())
		reader.sock.got.Reset()
		reader.sock.got.Grow(0)
		reader.sock.mu.Unlock()
		if read < n*size {
			t.Errorf("the reader was disturbed: it got %d bytes", read)
		}
		// The log and the window hold 1 MiB each, the window its frames too, and the outboxes share their frames.
		if grown := heap() - before - read*2; grown > 16<<20 {
			t.Errorf("the heap grew by %d KiB", grown>>10)
		}
		for _, c := range stalled {
			c.out.Lock()
			if got := c.out.Bytes(); got > 64<<10 {
				t.Errorf("an outbox holds %d bytes", got)
			}
			c.out.Unlock()
		}
		if n := r.hub.Behind(); n != 200 {
			t.Errorf("behind: %d", n)
		}
		stalled[0].sock.setRoom(-1)
		synctest.Wait()
		lines := stalled[0].lines()
		last := lines[len(lines)-1]
		if last.Reason != "slow_consumer" || last.Serial != n {
			t.Errorf("a reader that was overtaken by retention ends with %+v", last)
		}
	})
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// With a log that reaches far enough the stalled reader gets everything, in order.
func TestStalledReaderReadsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(64 << 10)
		c.sock.setRoom(0)
		c.live(r.enc())
		const n = 4096
		for i := range n {
			r.publish(room, fmt.Sprint(i, strings.Repeat("x", 4000)))
		}
		for range 1000 {
			c.sock.setRoom(10_000)
			synctest.Wait()
		}
		c.sock.setRoom(-1)
		synctest.Wait()
		lines := c.lines()
		for i, l := range lines {
			if l.Serial != uint64(i+1) || !strings.HasPrefix(l.Data, fmt.Sprint(i, "x")) {
				t.Fatalf("line %d has serial %d", i, l.Serial)
			}
		}
		if len(lines) != n {
			t.Errorf("%d lines", len(lines))
		}
	})
}

// The windows of all topics share one budget, frames included: the ones that were added to longest ago give way.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Budget: 64 << 10})
		c := r.client(1 << 20)
		channel := func(i int) stream.Ref { return stream.Ref{App: "app", Channel: fmt.Sprint("c", i)} }
		for i := range 100 {
			f, _ := c.follow(channel(i), session.Tag(i), r.enc(), session.Start{})
			f.Release()
		}
		for i := range 100 {
			for range 10 {
				r.publish(channel(i), strings.Repeat("x", 500))
			}
			synctest.Wait()
			if held := r.hub.Held(); held > 64<<10 || i > 20 && held < 32<<10 {
				t.Fatalf("after %d channels the windows hold %d bytes", i, held)
			}
		}
		reads := func(i int) int64 {
			before := r.store.reads.Load()
			d := r.client(1 << 20)
			f, res := d.follow(channel(i), 1, r.enc(), resume(0))
			if res.Reason != stream.Proven {
				t.Fatalf("%+v", res)
			}
			f.Release()
			synctest.Wait()
			if n := len(d.lines()); n != 11 {
				t.Errorf("channel %d: %d lines", i, n)
			}
			return r.store.reads.Load() - before
		}
		if n := reads(99); n > 1 { // the cursor at the start of the log is judged by the store
			t.Errorf("the newest window is gone: %d reads", n)
		}
		if n := reads(0); n < 2 {
			t.Errorf("the oldest window is still there: %d reads", n)
		}
	})
}

// A single window that is larger than the budget is cut down too.
func TestBudgetOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Budget: 8 << 10})
		c := r.client(1 << 20)
		c.live(r.enc())
		for i := range 100 {
			r.publish(room, fmt.Sprint("m", i+1, strings.Repeat("x", i*100)))
			synctest.Wait()
			if held := r.hub.Held(); held > 8<<10 {
				t.Fatalf("the window holds %d bytes", held)
			}
		}
		if n := len(c.lines()); n != 100 {
			t.Errorf("%d lines", n)
		}
	})
}

// Frames that are much larger than their entries (whole texts for small fragments) count too.
func TestFramesOfAWindowAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Window: hub.WindowLimits{Bytes: 32 << 10}})
		c := r.client(1 << 20)
		c.live(encoder{rig: r, states: true})
		r.publish(room, strings.Repeat("x", 8<<10))
		for range 200 {
			r.append(room, stream.Entry{Kind: stream.Append, Message: 1, Data: text("y")})
			synctest.Wait()
		}
		if held := r.hub.Held(); held > 4*32<<10+16<<10 {
			t.Errorf("the window holds %d bytes", held)
		}
		if n := len(c.lines()); n != 201 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Linger: time.Minute})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- r.hub.Run(ctx) }()
		c := r.client(1 << 16)
		f := c.live(r.enc())
		r.publishNumbered(1, 3)
		synctest.Wait()
		f.Unfollow()
		time.Sleep(30 * time.Second)
		reads := r.store.reads.Load()
		g, _ := c.follow(room, 1, r.enc(), resume(2))
		if n := r.store.reads.Load() - reads; n != 0 {
			t.Errorf("a topic that lingers reads %d times", n)
		}
		time.Sleep(50 * time.Second) // its first end is long ago, but it has a follower
		r.publishNumbered(4, 4)
		g.Unfollow()
		time.Sleep(50 * time.Second)
		if r.hub.Held() == 0 {
			t.Error("the window was let go too early")
		}
		time.Sleep(30 * time.Second)
		if r.hub.Held() != 0 {
			t.Errorf("a topic that nobody follows holds %d bytes", r.hub.Held())
		}
		late := r.client(1 << 16)
		h, res := late.follow(room, 1, r.enc(), resume(2))
		if res.Reason != stream.Proven {
			t.Errorf("%+v", res)
		}
		h.Release()
		late.expect("3 m3, 4 m4, ended@4")
		cancel()
		if err := <-done; err != context.Canceled {
			t.Error(err)
		}
	})
}

// A window that nothing was added to for its age gives its memory back, followers or not.
func TestWindowsCool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Window: hub.WindowLimits{Age: time.Minute}})
		c := r.client(1 << 16)
		c.live(r.enc())
		r.publishNumbered(1, 3)
		synctest.Wait()
		time.Sleep(time.Minute)
		r.hub.Sweep(now())
		if r.hub.Held() == 0 {
			t.Error("the window was let go too early")
		}
		time.Sleep(time.Second)
		r.hub.Sweep(now())
		if r.hub.Held() != 0 {
			t.Errorf("a cold window holds %d bytes", r.hub.Held())
		}
		r.publishNumbered(4, 4)
		c.expect(numbered(1, 4))
	})
}

// Sessions come and go while the sweep lets topics go.
func TestLingerStress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Linger: 4 * time.Millisecond})
		ctx, cancel := context.WithCancel(context.Background())
		go func() { _ = r.hub.Run(ctx) }()
		for i := range 8 {
			go func() {
				c := r.client(1 << 16)
				for k := range 200 {
					f, res := c.follow(room, session.Tag(k), r.enc(), session.Start{})
					if res.Err != nil {
						t.Error(res.Err)
						return
					}
					f.Release()
					time.Sleep(time.Duration(i) * time.Millisecond)
					f.Unfollow()
					time.Sleep(time.Duration(i) * time.Millisecond)
				}
			}()
		}
		for range 300 {
			r.publish(room, "m")
			time.Sleep(3 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		cancel()
		if n := r.hub.Subscribers(room); n != 0 || r.hub.Held() != 0 {
			t.Errorf("%d subscribers, %d bytes", n, r.hub.Held())
		}
	})
}
