package hub_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

// gathering is the test's face for subscribers to whom the newest of the entries that begin with "=" stands for those
// before it. It shows nothing of an entry that is "=" alone.
type gathering struct{ rolling }

func (gathering) Gathers(e *stream.Entry) bool { return strings.HasPrefix(string(e.Data.Bytes), "=") }

func (r *rig) gathering() gathering {
	g := gathering{r.rolling()}
	g.skip = "=-"
	return g
}

func TestGather(t *testing.T) {
	for name, c := range map[string]struct {
		play func(r *rig)
		want string
	}{
		"the newest stands for all":       {func(r *rig) { r.publish(room, "=1", "=2", "=3") }, "4 =3"},
		"the newest that is shown":        {func(r *rig) { r.publish(room, "=-", "=1", "=2", "=-") }, "4 =2"},
		"what is not shown does not wait": {func(r *rig) { r.publish(room, "=-", "a", "=-") }, "3 a"},
		"anything else ends the waiting":  {func(r *rig) { r.publish(room, "=1", "=2", "a", "=3") }, "3 =2, 4 a, 5 =3"},
		"a burst of many turns is one":    {func(r *rig) { r.many(1000) }, "1001 =1000"},
		"a reset takes what waits":        {func(r *rig) { r.publish(room, "=1"); r.cut(stream.Cut{Kind: stream.Reset}) }, "lost:stream_reset@3"},
		"an echo is no exception":         {func(r *rig) { r.echo("=1"); r.publish(room, "=2") }, "3 =2"},
		"they wait no longer than they may": {func(r *rig) {
			r.publish(room, "=1", "=2")
			<-time.After(wait + time.Millisecond) // of the fake clock
			r.publish(room, "=3")
		}, "3 =2, 4 =3"},
	} {
		t.Run(name, func(t *testing.T) {
			bothRead(t, func(r *rig) session.Encoder { return r.gathering() }, c.play, c.want)
		})
	}
}

// many publishes entries in turns of their own.
func (r *rig) many(n int) {
	for i := range n {
		r.publish(room, fmt.Sprint("=", i+1))
		if i%100 == 0 {
			synctest.Wait()
		}
	}
}

func (r *rig) echo(s string) {
	r.t.Helper()
	r.append(room, stream.Entry{Kind: stream.Create, Data: text(s), Conn: "somebody", NoEcho: true})
}

// Whoever follows from the middle of what waits is told what came of it, without reading the log.
func TestGatherFromTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.publish(room, "born")
		one, two := r.client(1<<16), r.client(1<<16)
		one.live(r.gathering())
		r.publish(room, "=1")
		synctest.Wait()
		two.live(r.gathering())
		r.publish(room, "=2")
		synctest.Wait()
		if got := words(append(one.lines(), two.lines()...)); got != "" {
			t.Errorf("nobody is told yet: %s", got)
		}
		reads := r.store.reads.Load()
		time.Sleep(2 * wait)
		one.expect("3 =2")
		two.expect("3 =2")
		if n := r.store.reads.Load() - reads; n != 0 {
			t.Errorf("the log was read %d times", n)
		}
	})
}

// Followers that come while something waits, that are full, or that read from the log end up knowing the newest.
func TestGatherTellsTheNewest(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 2))
				r := newRig(t, hub.Options{Window: hub.WindowLimits{Entries: 8}})
				r.publish(room, "-")
				var clients []*client
				for step := range 120 {
					switch rng.IntN(6) {
					case 0:
						c := r.client([]int{64, 1 << 16}[rng.IntN(2)])
						c.live(r.gathering())
						clients = append(clients, c)
					case 1:
						time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
					case 2:
						if len(clients) > 0 {
							clients[rng.IntN(len(clients))].sock.setRoom([]int{0, 30, -1}[rng.IntN(3)])
						}
					case 3:
						r.publish(room, "plain")
					default:
						r.publish(room, fmt.Sprint("=", step))
					}
					if rng.IntN(3) == 0 {
						synctest.Wait()
					}
				}
				last := r.publish(room, "plain", "=-", "=1", "=-", "=last").Entry.Serial
				for _, c := range clients {
					c.sock.setRoom(-1)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				for _, c := range clients {
					plain, before := 0, uint64(0)
					for _, l := range c.lines() {
						if l.Serial <= before {
							t.Errorf("a client read %d after %d", l.Serial, before)
						}
						if before = l.Serial; l.Data == "plain" {
							plain++
						}
					}
					if before != last || plain == 0 {
						t.Errorf("a client ended at %d, want %d, with %d others", before, last, plain)
					}
				}
			})
		})
	}
}
