package hub_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

// rolling is the test's face for subscribers that take appends joined.
type rolling struct {
	encoder
	wait time.Duration
}

func (r rolling) Rollup() time.Duration { return r.wait }

const wait = 40 * time.Millisecond

func (r *rig) rolling() rolling { return rolling{r.enc(), wait} }

// grow appends fragments to the message that began at a serial.
func (r *rig) grow(serial uint64, fragments ...string) {
	r.t.Helper()
	for _, s := range fragments {
		r.append(room, stream.Entry{Kind: stream.Append, Message: serial, Data: text(s)})
	}
}

func TestRollup(t *testing.T) {
	for name, c := range map[string]struct {
		play func(r *rig)
		want string
	}{
		"appends become one": {func(r *rig) { r.grow(1, "a", "b", "c") }, "4 abc"},
		"they wait no longer than they may": {func(r *rig) {
			r.grow(1, "a", "b")
			<-time.After(wait + time.Millisecond) // of the fake clock
			r.grow(1, "c")
		}, "3 ab, 4 c"},
		"anything else ends the waiting": {func(r *rig) {
			r.grow(1, "a", "b")
			r.publish(room, "new")
			r.grow(1, "c")
		}, "3 ab, 4 new, 5 c"},
		"each message by itself": {func(r *rig) {
			r.publish(room, "other")
			r.grow(1, "a", "b")
			r.grow(2, "x", "y")
			r.grow(1, "c")
		}, "2 other, 4 ab, 6 xy, 7 c"},
		"what is not logged does not wait": {func(r *rig) {
			r.grow(1, "a")
			synctest.Wait()
			r.hub.Ephemeral(room, stream.Entry{Data: text("typing")})
			synctest.Wait()
			r.grow(1, "b")
		}, "0 typing, 3 ab"},
		"a reset takes what waits": {func(r *rig) {
			r.grow(1, "a")
			r.cut(stream.Cut{Kind: stream.Reset})
		}, "lost:stream_reset@3"},
		"an echo that is not wanted is no part": {func(r *rig) {
			r.grow(1, "a")
			r.append(room, stream.Entry{Kind: stream.Append, Message: 1, Data: text("b"), Conn: "somebody", NoEcho: true})
			r.grow(1, "c")
		}, "2 a, 3 b, 4 c"},
	} {
		t.Run(name, func(t *testing.T) {
			bothRead(t, func(r *rig) session.Encoder { return r.rolling() }, c.play, c.want)
		})
	}
}

// bothRead expects what two live clients of an encoder have read, when all that may wait has come.
func bothRead(t *testing.T, enc func(*rig) session.Encoder, play func(*rig), want string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publish(room, "born")
		one, two := r.client(1<<16), r.client(1<<16)
		one.live(enc(r))
		two.live(enc(r))
		play(r)
		time.Sleep(2 * wait)
		one.expect(want)
		two.expect(want)
		if n := r.hub.Behind(); n != 0 {
			t.Errorf("behind: %d", n)
		}
	})
}

// A follower that comes while appends wait, one that is full and one that reads from the log get each fragment once.
func TestRollupLosesNothing(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				r := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: 8}})
				r.publish(room, "-")
				var clients []*client
				var from []int
				whole := ""
				for step := range 120 {
					switch rng.IntN(8) {
					case 0:
						c := r.client([]int{64, 1 << 16}[rng.IntN(2)])
						c.live(r.rolling())
						clients, from = append(clients, c), append(from, len(whole))
					case 1:
						time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
					case 2:
						synctest.Wait()
					case 3:
						if len(clients) > 0 {
							clients[rng.IntN(len(clients))].sock.setRoom([]int{0, 30, -1}[rng.IntN(3)])
						}
					default:
						s := string(rune('a' + step%26))
						r.grow(1, s)
						whole += s
					}
					if rng.IntN(3) == 0 {
						synctest.Wait()
					}
				}
				for _, c := range clients {
					c.sock.setRoom(-1)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				for i, c := range clients {
					got := ""
					for _, l := range c.lines() {
						got += l.Data
					}
					if got != whole[from[i]:] {
						t.Errorf("a client read\n\t%s\nwant\n\t%s", got, whole[from[i]:])
					}
				}
			})
		})
	}
}

var _ session.Encoder = rolling{}
