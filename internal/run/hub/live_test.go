package hub_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publish(room, "before")
		a, b := r.client(1<<16), r.client(1<<16)
		a.live(r.enc())
		r.publish(room, "one", "two")
		synctest.Wait()
		b.live(r.enc())
		r.publish(room, "three")
		a.expect("2 one, 3 two, 4 three")
		b.expect("4 three")
		if n := r.hub.Subscribers(room); n != 2 {
			t.Errorf("subscribers: %d", n)
		}
		if n := r.encoded.Load(); n != 3 {
			t.Errorf("three entries for one encoder were encoded %d times", n)
		}
		if n := r.hub.Behind(); n != 0 {
			t.Errorf("behind: %d", n)
		}
	})
}

// One encoder is one encoding, however many sessions follow and however they come by the entry: live or from the window.
func TestEncodeOncePerVariant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		plain, other := r.enc(), encoder{rig: r, variant: "other"}
		var clients []*client
		for i := range 10 {
			c := r.client(1 << 16)
			if clients = append(clients, c); i%2 == 0 {
				c.live(plain)
			} else {
				c.live(other)
			}
		}
		r.publish(room, strings.Split("abcdefghij", "")...)
		synctest.Wait()
		late := r.client(1 << 16)
		f, res := late.follow(room, 1, plain, session.Start{Resume: true, Cursor: stream.Cursor{Serial: 0}})
		if res.Reason != stream.Proven || res.Replay.Count() != 10 {
			t.Fatalf("%+v", res)
		}
		reads := r.store.reads.Load()
		f.Release()
		late.expect("1 a, 2 b, 3 c, 4 d, 5 e, 6 f, 7 g, 8 h, 9 i, 10 j, ended@10")
		if n := r.encoded.Load(); n != 20 {
			t.Errorf("10 entries for 2 encoders were encoded %d times", n)
		}
		if n := r.store.reads.Load() - reads; n != 0 {
			t.Errorf("a replay from a warm window read the store %d times", n)
		}
		for _, c := range clients {
			c.expect("1 a, 2 b, 3 c, 4 d, 5 e, 6 f, 7 g, 8 h, 9 i, 10 j")
		}
	})
}

// What gathers while a socket takes nothing goes out joined.
func TestJoinedFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(1 << 20)
		c.live(r.enc())
		c.sock.setRoom(0)
		for i := range 100 {
			r.publish(room, fmt.Sprint("m", i))
			synctest.Wait()
		}
		c.sock.mu.Lock()
		c.sock.writes = 0
		c.sock.mu.Unlock()
		c.sock.setRoom(-1)
		synctest.Wait()
		if n := len(c.lines()); n != 100 {
			t.Fatalf("%d lines", n)
		}
		c.sock.mu.Lock()
		defer c.sock.mu.Unlock()
		if c.sock.writes > 3 {
			t.Errorf("100 gathered frames took %d writes", c.sock.writes)
		}
	})
}

func TestPartialWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(1 << 12)
		c.sock.piece = 7
		c.live(r.enc())
		var want []string
		for i := range 200 {
			r.publish(room, fmt.Sprint("m", i))
			want = append(want, fmt.Sprintf("%d m%d", i+1, i))
		}
		c.expect(strings.Join(want, ", "))
	})
}

func TestEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		a, b := r.client(1<<16), r.client(1<<16)
		a.live(r.enc())
		b.live(r.enc())
		mine := func(s string, noEcho bool) stream.Entry {
			return stream.Entry{Kind: stream.Create, Data: text(s), Conn: fmt.Sprintf("%p", a), NoEcho: noEcho}
		}
		r.append(room, mine("one", true))
		r.append(room, mine("two", false))
		r.publish(room, "three")
		r.append(room, mine("four", true))
		r.hub.Ephemeral(room, mine("typing", true))
		a.expect("2 two, 3 three")
		b.expect("1 one, 2 two, 3 three, 4 four, 0 typing")
		// The position is past what was hidden: nothing of it comes back when the follower reads for itself.
		a.sock.setRoom(0)
		for i := range 100 {
			r.append(room, mine(strings.Repeat("x", 1000), i%2 == 0))
		}
		a.sock.setRoom(-1)
		synctest.Wait()
		if n := len(a.lines()); n != 2+50 {
			t.Errorf("a read %d lines", n)
		}
		if n := len(b.lines()); n != 5+100 {
			t.Errorf("b read %d lines", n)
		}
	})
}

// Of a turn that does not fit, what fits is queued; the rest is read again when the socket drains, and the follower is
// live again.
func TestBehindAndLiveAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: 50}})
		slow, other := r.client(2000), r.client(1<<20)
		slow.live(r.enc())
		other.live(r.enc())
		slow.sock.setRoom(300)
		var want []string
		for i := range 500 {
			r.publish(room, fmt.Sprint("m", i))
			want = append(want, fmt.Sprintf("%d m%d", i+1, i))
		}
		other.expect(strings.Join(want, ", "))
		if n := r.hub.Behind(); n != 1 {
			t.Errorf("behind: %d", n)
		}
		slow.out.Lock()
		if n := slow.out.Bytes(); n > 2000 {
			t.Errorf("the outbox holds %d bytes", n)
		}
		slow.out.Unlock()
		slow.sock.setRoom(-1)
		slow.expect(strings.Join(want, ", "))
		if n := r.hub.Behind(); n != 0 {
			t.Errorf("behind: %d", n)
		}
		reads := r.store.reads.Load()
		r.publish(room, "last")
		slow.expect(strings.Join(append(want, "501 last"), ", "))
		if n := r.store.reads.Load() - reads; n != 0 {
			t.Errorf("a live follower read the store %d times", n)
		}
	})
}

func TestEphemeral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		e := func(s string) stream.Entry { return stream.Entry{Kind: stream.Create, Data: text(s)} }
		r.hub.Ephemeral(room, e("nobody"))
		c := r.client(400)
		f, _ := c.follow(room, 1, r.enc(), session.Start{})
		r.hub.Ephemeral(room, e("too early"))
		synctest.Wait()
		if r.dropped.Load() != 1 {
			t.Errorf("an ephemeral entry before the release: dropped %d", r.dropped.Load())
		}
		c.say(line{Word: "subscribed"})
		f.Release()
		r.hub.Ephemeral(room, e("seen"))
		synctest.Wait()
		r.publish(room, "logged")
		c.expect("subscribed@0, 0 seen, 1 logged")
		c.sock.setRoom(0)
		for i := range 50 {
			r.hub.Ephemeral(room, e(fmt.Sprint("typing", i)))
			synctest.Wait()
		}
		if n := r.dropped.Load(); n < 30 {
			t.Errorf("a full outbox: dropped %d", n)
		}
		c.sock.setRoom(-1)
		r.publish(room, "more")
		synctest.Wait()
		lines := c.lines()
		if last := lines[len(lines)-1]; last.Serial != 2 || last.Data != "more" {
			t.Errorf("last line: %+v", last)
		}
		for _, l := range lines {
			if strings.HasPrefix(l.Data, "typing") && l.Serial != 0 {
				t.Errorf("an ephemeral entry has serial %d", l.Serial)
			}
		}
	})
}

// An ephemeral entry that was on its way when the last follower left is not kept for the next one.
func TestEphemeralIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(1 << 16)
		f := c.live(r.enc())
		f.Unfollow()
		other := r.client(1 << 16)
		g, _ := other.follow(room, 1, r.enc(), session.Start{})
		r.hub.Ephemeral(room, stream.Entry{Kind: stream.Create, Data: text("old")})
		g.Unfollow()
		synctest.Wait()
		late := r.client(1 << 16)
		late.live(r.enc())
		r.publish(room, "new")
		late.expect("1 new")
	})
}

// A filtered follower is told its position when enough has passed it by, or when it is nudged.
func TestPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(1 << 16)
		f := c.live(encoder{rig: r, skip: "no"})
		r.publish(room, "yes")
		f.Nudge()
		r.publish(room, "no", "no")
		synctest.Wait()
		f.Nudge()
		f.Nudge()
		c.expect("1 yes, position@3")
		for range 2499 {
			r.publish(room, "no")
		}
		c.expect("1 yes, position@3")
		r.publish(room, "no")
		c.expect("1 yes, position@3, position@2503")
	})
}

func TestOccupancy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(1 << 16)
		occupied := func() string {
			var all []string
			r.hub.Occupied("app", func(channel string, n int) bool {
				all = append(all, fmt.Sprint(channel, n))
				return true
			})
			return strings.Join(all, " ")
		}
		f := c.live(r.enc())
		g, _ := c.follow(stream.Ref{App: "other", Channel: "room"}, 2, r.enc(), session.Start{})
		h, _ := c.follow(stream.Ref{App: "app", Channel: "room", Log: stream.Presence}, 3, r.enc(), session.Start{})
		if got := occupied(); got != "room1" {
			t.Errorf("occupied: %q", got)
		}
		f.Unfollow()
		f.Unfollow()
		g.Unfollow()
		h.Unfollow()
		if got := occupied(); got != "" {
			t.Errorf("occupied: %q", got)
		}
	})
}
