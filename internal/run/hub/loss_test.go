package hub_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

// A slow reader whose next entry was trimmed is told, and goes on from the head.
func TestTrimPastASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: 5}})
		c := r.client(100)
		c.live(r.enc())
		c.sock.setRoom(0)
		r.publishNumbered(1, 50)
		synctest.Wait()
		r.cut(stream.Cut{Kind: stream.Trim, Through: 40})
		c.sock.setRoom(-1)
		synctest.Wait()
		got := words(c.lines())
		before, ok := strings.CutSuffix(got, "lost:slow_consumer@50")
		if !ok || !strings.HasPrefix(before, "1 m1") {
			t.Errorf("read %s", got)
		}
		r.publishNumbered(51, 52)
		c.expect(got + ", 51 m51, 52 m52")
	})
}

// A trim takes nothing from those who are live: what is on its way to them arrives.
func TestTrimDoesNotTouchLiveFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(1 << 16)
		c.live(r.enc())
		reads := r.store.reads.Load()
		for i := 1; i <= 100; i += 10 {
			r.publishNumbered(i, i+9)
			r.cut(stream.Cut{Kind: stream.Trim, Through: uint64(i + 9)})
		}
		c.expect(numbered(1, 100))
		if n := r.store.reads.Load() - reads; n != 0 {
			t.Errorf("live followers turned behind: %d reads", n)
		}
	})
}

// A loss that is found while a replay is being sent takes the place of the rest.
func TestTrimDuringAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: 5}})
		r.publishNumbered(1, 600)
		c := r.client(200)
		c.manual = true
		c.sock.setRoom(0)
		f, _ := c.follow(room, 1, r.enc(), resume(0))
		f.Release()
		synctest.Wait()
		r.cut(stream.Cut{Kind: stream.Trim, Through: 590})
		c.sock.setRoom(-1)
		synctest.Wait()
		l, ok := f.News().(session.Lost)
		if !ok || l.Reason != stream.PositionExpired || !l.Replaying || l.Bounds.Head != 600 {
			t.Errorf("%+v", l)
		}
		f.Release()
		read := words(c.lines())
		r.publishNumbered(601, 601)
		c.expect(read + ", 601 m601")
	})
}

// A reset is told before any entry of the new incarnation: to the live, to those behind and to those still held.
func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		first := r.publish(room, "m1")
		live, behind, held := r.client(1<<16), r.client(60), r.client(1<<16)
		live.live(r.enc())
		behind.live(r.enc())
		behind.sock.setRoom(0)
		r.publishNumbered(2, 10)
		f, _ := held.follow(room, 1, r.enc(), resume(0))
		synctest.Wait()
		r.cut(stream.Cut{Kind: stream.Reset})
		synctest.Wait()
		after := r.publish(room, "new")
		if after.Stream == first.Stream || after.Entry.Serial != 12 {
			t.Fatalf("%+v", after)
		}
		synctest.Wait()
		f.Release()
		behind.sock.setRoom(-1)
		live.expect(numbered(2, 10) + ", lost:stream_reset@11, 12 new")
		held.expect("lost:stream_reset@11, 12 new")
		synctest.Wait()
		got := words(behind.lines())
		if !strings.HasSuffix(got, ", lost:stream_reset@11, 12 new") || !strings.HasPrefix(got, "2 m2, ") {
			t.Errorf("behind read %s", got)
		}
		for _, c := range []*client{live, behind, held} {
			lost := false
			for _, l := range c.lines() {
				if lost = lost || l.Word == "lost"; lost != (l.Stream == after.Stream) {
					t.Errorf("%+v on the wrong side of the loss", l)
				}
			}
		}
		if n := r.hub.Behind(); n != 0 {
			t.Errorf("behind: %d", n)
		}
	})
}

// While a follower is held for a loss that was not told yet, a second loss takes its place, and nothing is sent between.
func TestResetAfterReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(1 << 16)
		c.manual = true
		f := c.live(r.enc())
		r.publish(room, "m1")
		synctest.Wait()
		r.cut(stream.Cut{Kind: stream.Reset})
		synctest.Wait()
		first := f.News()
		// The machine is being told; before its Release is carried out the stream is reset again.
		r.cut(stream.Cut{Kind: stream.Reset})
		synctest.Wait()
		last := r.publish(room, "new")
		synctest.Wait()
		f.Release()
		c.expect("1 m1")
		second, ok := f.News().(session.Lost)
		if !ok || second.Bounds.Stream != last.Stream || second.Bounds.Head != 3 || first == nil {
			t.Fatalf("%+v then %+v", first, second)
		}
		if f.News() != nil {
			t.Error("news was given twice")
		}
		f.Release()
		c.expect("1 m1, 4 new")
	})
}

// A replay's end that was not told yet gives way to a loss; the face hears that its replay did not end.
func TestResetAfterTheEndOfAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publishNumbered(1, 3)
		c := r.client(1 << 16)
		c.manual = true
		f, _ := c.follow(room, 1, r.enc(), resume(0))
		f.Release()
		synctest.Wait()
		r.cut(stream.Cut{Kind: stream.Reset})
		synctest.Wait()
		l, ok := f.News().(session.Lost)
		if !ok || l.Reason != stream.StreamReset || !l.Replaying {
			t.Errorf("%+v", l)
		}
		f.Release()
		r.publish(room, "new")
		c.expect(numbered(1, 3) + ", 5 new")
	})
}

// A reset between the read of a follower's start and its placing is not missed, and is no loss either: the start is
// decided again.
func TestResetWhileAStartIsDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publishNumbered(1, 3)
		c := r.client(1 << 16)
		release := r.store.hold()
		done := make(chan session.Followed)
		go func() {
			f, res := c.follow(room, 1, r.enc(), resume(1))
			f.Release()
			done <- res
		}()
		synctest.Wait()
		r.cut(stream.Cut{Kind: stream.Reset})
		r.publish(room, "new")
		synctest.Wait()
		release()
		res := <-done
		if res.Reason != stream.StreamReset || res.Bounds.Head != 5 {
			t.Errorf("%+v", res)
		}
		r.publish(room, "newer")
		c.expect("6 newer")
	})
}

// The same while a subscription is moved: the loss that a turn has told of is not told again after the decision.
func TestResetWhileRefollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publishNumbered(1, 3)
		c := r.client(1 << 16)
		c.manual = true
		f := c.live(r.enc())
		r.cut(stream.Cut{Kind: stream.Reset})
		synctest.Wait() // the loss waits to be told
		res := f.Refollow(context.Background(), session.Start{Resume: true, Cursor: stream.Cursor{Serial: 2}})
		if res.Reason != stream.StreamReset || f.News() != nil {
			t.Errorf("%+v", res)
		}
		f.Release()
		r.publish(room, "new")
		c.expect("5 new")
	})
}

func TestPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		live, behind := r.client(1<<16), r.client(60)
		live.live(r.enc())
		behind.live(r.enc())
		behind.sock.setRoom(0)
		r.publishNumbered(1, 10)
		synctest.Wait()
		held := r.hub.Held()
		r.cut(stream.Cut{Kind: stream.Purge, Through: 10})
		synctest.Wait()
		if held == 0 || r.hub.Held() != 0 {
			t.Errorf("the window held %d bytes, after the purge %d", held, r.hub.Held())
		}
		_, res := r.client(1<<16).follow(room, 1, r.enc(), resume(3))
		if res.Reason != stream.PositionExpired {
			t.Errorf("%+v", res)
		}
		r.publishNumbered(11, 11)
		live.expect(numbered(1, 11))
		behind.sock.setRoom(-1)
		synctest.Wait()
		// It had not read what was purged. It learns that, and what it learned before is no wrong continuation.
		if got := words(behind.lines()); !strings.HasSuffix(got, "lost:slow_consumer@11") {
			t.Errorf("behind read %s", got)
		}
	})
}

// A log that cannot be read is no loss: the follower is gone and its client keeps its cursor.
func TestUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: 2}})
		r.publishNumbered(1, 50)
		behind, live := r.client(100), r.client(1<<16)
		f, _ := behind.follow(room, 1, r.enc(), resume(0))
		live.live(r.enc())
		r.store.fail.Store(true)
		if g, res := r.client(100).follow(room, 1, r.enc(), resume(0)); g != nil || res.Err == nil {
			t.Errorf("a start that could not be read: %+v", res)
		}
		f.Release()
		behind.expect("lost:store_unavailable@0")
		r.publishNumbered(51, 51) // live followers need no read
		live.expect("51 m51")
		if n := r.hub.Subscribers(room); n != 1 {
			t.Errorf("subscribers: %d", n)
		}
		r.store.fail.Store(false)
		r.publishNumbered(52, 52)
		behind.expect("lost:store_unavailable@0")
		if res := f.Refollow(context.Background(), resume(0)); !res.Dirty {
			t.Errorf("a follower that is gone: %+v", res)
		}
	})
}

func TestRefollowUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: 2}})
		r.publishNumbered(1, 5)
		c := r.client(1 << 16)
		f := c.live(r.enc())
		r.store.fail.Store(true)
		if res := f.Refollow(context.Background(), resume(1)); res.Err == nil || r.hub.Subscribers(room) != 0 {
			t.Errorf("%+v", res)
		}
		r.store.fail.Store(false)
		f.Release()
		r.publishNumbered(6, 6)
		c.expect("")
	})
}

// The state of a message can be asked for until it was trimmed; then the follower has lost its place, no more.
func TestTrimWhileStatesAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(1 << 16)
		c.live(r.enc())
		r.publish(room, "a")
		r.append(room, stream.Entry{Kind: stream.Append, Message: 1, Data: text("b")})
		r.publish(room, "c", "d")
		synctest.Wait()
		late := r.client(1 << 16)
		f, _ := late.follow(room, 1, encoder{rig: r, states: true}, resume(0))
		r.cut(stream.Cut{Kind: stream.Trim, Through: 3})
		f.Release()
		late.expect("lost:position_expired@4")
	})
}

// A subscriber of a channel that was forgotten is told when the channel begins anew.
func TestForgottenChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(1 << 16)
		r.publish(room, "m1")
		c.live(r.enc())
		r.cut(stream.Cut{Kind: stream.Trim, Through: 1})
		time.Sleep(time.Hour)
		if n, err := r.store.Forget(context.Background(), time.Minute); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		r.publish(room, "anew", "more")
		synctest.Wait()
		got := words(c.lines())
		if !strings.HasPrefix(got, "lost:stream_reset@") || strings.Count(got, "lost") != 1 {
			t.Errorf("read %s", got)
		}
		r.publish(room, "last")
		synctest.Wait()
		if got := words(c.lines()); !strings.HasSuffix(got, "3 last") {
			t.Errorf("read %s", got)
		}
	})
}

// A policy that changes the durability begins a new incarnation in the middle of a batch.
func TestClassChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := []stream.Rules{{Durability: stream.Sync}}
		r := newRig(t, hub.Options{}, rules...)
		c := r.client(1 << 16)
		c.live(r.enc())
		r.publish(room, "m1")
		synctest.Wait()
		r.setRules(stream.Rules{Durability: stream.Interval})
		r.publish(room, "m2")
		c.expect("1 m1, lost:stream_reset@3")
		r.publish(room, "m3")
		c.expect("1 m1, lost:stream_reset@3, 4 m3")
	})
}

// A reset between the read of a page and that of a message's state is told as a reset, with the new incarnation.
func TestResetWhileStatesAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publish(room, "a")
		r.append(room, stream.Entry{Kind: stream.Append, Message: 1, Data: text("b")})
		c := r.client(1 << 16)
		f, _ := c.follow(room, 1, encoder{rig: r, states: true}, resume(0))
		r.once(func(q stream.Query) bool { return q.State }, func() { r.cut(stream.Cut{Kind: stream.Reset}) })
		f.Release()
		c.expect("lost:stream_reset@3")
		r.publish(room, "new")
		c.expect("lost:stream_reset@3, 4 new")
	})
}

// The same between the rows of a rewind and their states: the start is decided again.
func TestTrimWhileARewindIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publish(room, "a")
		r.append(room, stream.Entry{Kind: stream.Append, Message: 1, Data: text("b")})
		r.once(func(q stream.Query) bool { return q.State }, func() { r.cut(stream.Cut{Kind: stream.Reset}) })
		c := r.client(1 << 16)
		f, res := c.follow(room, 1, r.enc(), session.Start{RewindCount: 2})
		if res.Err != nil || res.Bounds.Head != 3 || res.Rewound.Rows != 0 {
			t.Fatalf("%+v", res)
		}
		f.Release()
		r.publish(room, "new")
		c.expect("4 new")
	})
}
