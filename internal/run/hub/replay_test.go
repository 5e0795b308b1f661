package hub_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

func resume(serial uint64) session.Start {
	return session.Start{Resume: true, Cursor: stream.Cursor{Serial: serial}}
}

func numbered(from, to int) string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprintf("%d m%d", i, i))
	}
	return strings.Join(all, ", ")
}

func (r *rig) publishNumbered(from, to int) {
	for i := from; i <= to; i++ {
		r.publish(room, fmt.Sprint("m", i))
	}
}

// The replay ends at the attach serial, whatever was published meanwhile, from the store as from the window.
func TestReplayEndsAtAttachSerial(t *testing.T) {
	for _, warm := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, hub.Options{})
			if warm {
				r.client(1 << 16).live(r.enc())
			}
			r.publishNumbered(1, 20)
			c := r.client(1 << 16)
			f, res := c.follow(room, 1, r.enc(), resume(15))
			if res.Reason != stream.Proven || res.Replay.From() != 15 || res.Replay.To() != 20 || res.Bounds.Head != 20 {
				t.Fatalf("%+v", res)
			}
			r.publishNumbered(21, 23)
			c.expect("")
			f.Release()
			c.expect(numbered(16, 20) + ", ended@20, " + numbered(21, 23))
			r.publishNumbered(24, 24)
			c.expect(numbered(16, 20) + ", ended@20, " + numbered(21, 24))
		})
	}
}

func TestResumeOfNothingMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publishNumbered(1, 3)
		c := r.client(1 << 16)
		f, res := c.follow(room, 1, r.enc(), resume(3))
		if res.Reason != stream.Proven || res.Replay.Count() != 0 {
			t.Fatalf("%+v", res)
		}
		f.Release()
		r.publishNumbered(4, 4)
		c.expect("4 m4")
	})
}

func TestRefusedStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.client(1 << 16).live(r.enc())
		r.publishNumbered(1, 10)
		r.cut(stream.Cut{Kind: stream.Trim, Through: 4})
		synctest.Wait()
		for _, test := range []struct {
			name  string
			start session.Start
			want  stream.Reason
		}{
			{"at the floor", resume(4), stream.Proven},
			{"below the floor", resume(3), stream.PositionExpired},
			{"beyond the head", resume(11), stream.PositionAhead},
			{"another stream", session.Start{Resume: true, Cursor: stream.Cursor{Stream: "x", Serial: 5}}, stream.StreamReset},
			{"window", session.Start{Resume: true, Cursor: stream.Cursor{Serial: 5}, Limits: stream.Window{Entries: 4}}, stream.WindowExceeded},
			{"another time", session.Start{Resume: true, Cursor: stream.Cursor{Serial: 5, Time: 1, Timed: true}}, stream.PositionAhead},
			{"no log", session.Start{Resume: true, Unlogged: true}, stream.NotLogged},
		} {
			c := r.client(1 << 16)
			f, res := c.follow(room, 1, r.enc(), test.start)
			if res.Reason != test.want || res.Err != nil || res.Bounds.Head != 10 {
				t.Errorf("%s: %v, want %v (%+v)", test.name, res.Reason, test.want, res)
			}
			f.Unfollow()
		}
		if n := r.refused.Load(); n != 6 {
			t.Errorf("%d refusals were counted", n)
		}
	})
}

// A client may present a position that this node's watch has not told of yet: the store is asked before it is refused.
func TestResumeAheadOfTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		first := r.client(1 << 16)
		first.live(r.enc())
		r.publishNumbered(1, 1)
		tell := r.store.mute()
		r.publishNumbered(2, 3)
		c := r.client(1 << 16)
		f, res := c.follow(room, 1, r.enc(), resume(2))
		if res.Reason != stream.Proven {
			t.Errorf("a cursor below the store's head was refused: %v", res.Reason)
		}
		f.Release()
		c.expect("3 m3, ended@3")
		tell()
		r.publishNumbered(4, 4)
		c.expect("3 m3, ended@3, 4 m4")
		first.expect("1 m1, 2 m2, 3 m3, 4 m4")
	})
}

// A long replay is read in pages, at the pace of the socket.
func TestLongReplayAtThePaceOfTheSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: 10}})
		r.client(1 << 20).live(r.enc())
		r.publishNumbered(1, 3000)
		c := r.client(4000)
		c.sock.setRoom(0)
		f, _ := c.follow(room, 1, r.enc(), resume(0))
		reads := r.store.reads.Load()
		f.Release()
		synctest.Wait()
		if n := r.store.reads.Load() - reads; n > 2 {
			t.Errorf("%d pages were read for a socket that takes nothing", n)
		}
		for i := range 20 {
			c.sock.setRoom(997)
			synctest.Wait()
			r.publish(room, fmt.Sprint("m", 3001+i))
		}
		c.sock.setRoom(-1)
		c.expect(numbered(1, 3000) + ", ended@3000, " + numbered(3001, 3020))
	})
}

func TestRewind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publishNumbered(1, 5)
		r.append(room, stream.Entry{Kind: stream.Update, Message: 4, Set: stream.FieldData, Data: text("changed")})
		c := r.client(1 << 16)
		f, res := c.follow(room, 1, r.enc(), session.Start{RewindCount: 3})
		if res.Rewound != (session.Rewound{Rows: 3}) {
			t.Errorf("%+v", res.Rewound)
		}
		r.append(room, stream.Entry{Kind: stream.Update, Message: 4, Set: stream.FieldData, Data: text("later")})
		f.Release()
		c.expect("(3 m3), (4 changed), (5 m5), ended@6, 7 later")
	})
}

// Together with a resume, the rows are folded at the cursor and the replay shows what came after it as it was.
func TestRewindAndReplayAreOnePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publishNumbered(1, 5)
		r.append(room, stream.Entry{Kind: stream.Append, Message: 5, Data: text("+a")})
		r.append(room, stream.Entry{Kind: stream.Append, Message: 5, Data: text("+b")})
		r.publish(room, "m8")
		c := r.client(1 << 16)
		start := resume(6)
		start.RewindCount = 4
		f, res := c.follow(room, 1, r.enc(), start)
		if res.Rewound != (session.Rewound{Rows: 2}) { // two of the four are the replay's
			t.Errorf("%+v", res.Rewound)
		}
		f.Release()
		c.expect("(4 m4), (5 m5+a), 7 +b, 8 m8, ended@8")
		r.publish(room, "m9")
		c.expect("(4 m4), (5 m5+a), 7 +b, 8 m8, ended@8, 9 m9")
	})
}

func TestRewindLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publishNumbered(1, 150)
		follow := func(s session.Start) session.Rewound {
			f, res := r.client(1<<16).follow(room, 1, r.enc(), s)
			if f != nil {
				f.Unfollow()
			}
			return res.Rewound
		}
		if got := follow(session.Start{RewindCount: 200}); got != (session.Rewound{Rows: 100, Limited: true}) {
			t.Errorf("more than the limit: %+v", got)
		}
		r.cut(stream.Cut{Kind: stream.Trim, Through: 120})
		if got := follow(session.Start{RewindCount: 50}); got != (session.Rewound{Rows: 30, Truncated: true}) {
			t.Errorf("more than is retained: %+v", got)
		}
		if got := follow(session.Start{RewindCount: 30}); got != (session.Rewound{Rows: 30}) {
			t.Errorf("all that is retained: %+v", got)
		}
		time.Sleep(time.Minute)
		r.publishNumbered(151, 153)
		if got := follow(session.Start{RewindMS: 30_000}); got != (session.Rewound{Rows: 3}) {
			t.Errorf("by time: %+v", got)
		}
		if got := follow(session.Start{RewindMS: 3_600_000}); got != (session.Rewound{Rows: 33, Truncated: true}) {
			t.Errorf("by time beyond what is retained: %+v", got)
		}
		if got := follow(session.Start{RewindCount: 5, Unlogged: true}); got.Rows != 0 {
			t.Errorf("a channel that is no longer logged: %+v", got)
		}
	})
}

func TestRewindThroughASmallOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publishNumbered(1, 100)
		c := r.client(500)
		c.sock.setRoom(0)
		f, _ := c.follow(room, 1, r.enc(), session.Start{RewindCount: 100})
		f.Release()
		synctest.Wait()
		for range 50 {
			c.sock.setRoom(100)
			synctest.Wait()
		}
		c.sock.setRoom(-1)
		synctest.Wait()
		lines := c.lines()
		for i, l := range lines[:100] {
			if l.Serial != uint64(i+1) || !l.Rewound {
				t.Fatalf("line %d: %+v", i, l)
			}
		}
		if len(lines) != 101 || lines[100].Word != "ended" {
			t.Errorf("%d lines", len(lines))
		}
	})
}

// A rewind of much is read page by page, as the socket takes it: what is trimmed meanwhile is left out, and a reset ends it.
func TestRewindIsReadInPages(t *testing.T) {
	big := strings.Repeat("x", 20<<10)
	for name, c := range map[string]struct {
		cut  stream.Cut
		rows uint64 // in all; 0: the position is lost
	}{
		"nothing happens": {rows: 50},
		"a trim":          {cut: stream.Cut{Kind: stream.Trim, Through: 40}, rows: 13},
		"a reset":         {cut: stream.Cut{Kind: stream.Reset}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: 1}})
				for range 50 {
					r.publish(room, big)
				}
				cl := r.client(24 << 10)
				cl.sock.setRoom(0)
				f, res := cl.follow(room, 1, r.enc(), session.Start{RewindCount: 50})
				if res.Rewound.Rows != 50 {
					t.Fatalf("%+v", res.Rewound)
				}
				f.Release()
				synctest.Wait()
				if c.cut.Kind != 0 {
					r.cut(c.cut)
				}
				cl.sock.setRoom(-1)
				synctest.Wait()
				lines := cl.lines()
				last := lines[len(lines)-1]
				if c.rows == 0 {
					if last.Word != "lost" || last.Reason != "stream_reset" {
						t.Errorf("%d lines, the last %+v", len(lines), last)
					}
					return
				}
				if last.Word != "ended" || len(lines) != int(c.rows)+1 || lines[len(lines)-2].Serial != 50 {
					t.Errorf("%d lines, the last of word %q", len(lines), last.Word)
				}
			})
		})
	}
}

// A subscription that was sent nothing since its release can be moved back; afterwards it is Dirty.
func TestRefollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publishNumbered(1, 5)
		c := r.client(1 << 16)
		f := c.live(r.enc())
		synctest.Wait()
		res := f.Refollow(context.Background(), resume(2))
		if res.Dirty || res.Reason != stream.Proven || res.Replay.Count() != 3 {
			t.Fatalf("%+v", res)
		}
		r.publishNumbered(6, 6)
		c.expect("")
		f.Release()
		c.expect("3 m3, 4 m4, 5 m5, ended@5, 6 m6")
		if res := f.Refollow(context.Background(), resume(2)); !res.Dirty {
			t.Errorf("after entries were sent: %+v", res)
		}
		r.publishNumbered(7, 7)
		c.expect("3 m3, 4 m4, 5 m5, ended@5, 6 m6, 7 m7")
	})
}

// A channel whose entries are all filtered away is not dirty, and neither is a held one.
func TestRefollowOfAFilteredFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(1 << 16)
		f := c.live(encoder{rig: r, skip: "m2"})
		r.publishNumbered(1, 1)
		synctest.Wait()
		g, _ := c.follow(stream.Ref{App: "app", Channel: "held"}, 2, r.enc(), session.Start{})
		if res := g.Refollow(context.Background(), session.Start{}); res.Dirty {
			t.Errorf("held: %+v", res)
		}
		if res := f.Refollow(context.Background(), resume(0)); !res.Dirty {
			t.Errorf("sent one: %+v", res)
		}
		h := r.client(1 << 16).live(encoder{rig: r, skip: "m2"})
		r.publishNumbered(2, 2)
		synctest.Wait()
		if res := h.Refollow(context.Background(), resume(0)); res.Dirty || res.Replay.Count() != 2 {
			t.Errorf("sent none: %+v", res)
		}
	})
}

func TestMutationsWithStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		full, plain := encoder{rig: r, variant: "full", states: true}, r.enc()
		c, d := r.client(1<<16), r.client(1<<16)
		r.publish(room, "early")
		c.live(full)
		d.live(plain)
		steps := []stream.Entry{
			{Kind: stream.Append, Message: 1, Data: text(" bird")},
			{Kind: stream.Create, Data: text("two")},
			{Kind: stream.Append, Message: 3, Data: text("!")},
			{Kind: stream.Append, Message: 1, Data: text("s")},
			{Kind: stream.Update, Message: 3, Set: stream.FieldData, Data: text("new")},
			{Kind: stream.Put, Key: "k", Data: text("put")},
			{Kind: stream.Append, Key: "k", Data: text("+")},
			{Kind: stream.Delete, Message: 1, Clear: stream.FieldData},
		}
		for _, e := range steps {
			r.append(room, e)
			synctest.Wait()
		}
		want := "2  bird=early bird, 3 two, 4 !=two!, 5 s=early birds, 6 new=new, 7 put, 8 +=put+, 9 "
		c.expect(want)
		d.expect("2  bird, 3 two, 4 !, 5 s, 6 new, 7 put, 8 +, 9 ")
		if n := r.store.reads.Load(); n > 5 { // two attaches, and one for each message
			t.Errorf("the states took %d reads", n)
		}
		// From the window, the same; from the store, the same.
		for _, entries := range []int{1024, 1} {
			q := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: entries}})
			q.client(1 << 16).live(q.enc())
			q.publish(room, "early")
			for _, e := range steps {
				q.append(room, e)
			}
			late := q.client(1 << 16)
			f, _ := late.follow(room, 1, encoder{rig: q, variant: "full", states: true}, resume(1))
			f.Release()
			late.expect(want + ", ended@9")
		}
	})
}

// For whole payloads, consecutive appends of one message in a page are sent as the last alone.
func TestWholePayloadsCollapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publish(room, "a", "b")
		for _, s := range []string{"1", "2", "3"} {
			r.append(room, stream.Entry{Kind: stream.Append, Message: 1, Data: text(s)})
		}
		r.append(room, stream.Entry{Kind: stream.Append, Message: 2, Data: text("4")})
		r.append(room, stream.Entry{Kind: stream.Append, Message: 2, Data: text("5")})
		c := r.client(1 << 16)
		f, _ := c.follow(room, 1, encoder{rig: r, states: true, whole: true}, resume(0))
		f.Release()
		c.expect("1 a, 2 b, 5 3=a123, 7 5=b45, ended@7")
		r.append(room, stream.Entry{Kind: stream.Append, Message: 2, Data: text("6")})
		c.expect("1 a, 2 b, 5 3=a123, 7 5=b45, ended@7, 8 6=b456")
	})
}
