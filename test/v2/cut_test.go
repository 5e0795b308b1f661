package v2

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestCutAfterEveryFrame cuts a resuming connection after every single frame, and the connection after it once more,
// while others publish. In the end the client has seen every event once and in order, by nothing but its positions
// (with a rewind: and by the ids of the messages, since a rewind shows again what was seen).
func TestCutAfterEveryFrame(t *testing.T) {
	most := 14
	if testing.Short() {
		most = 9
	}
	each(t, func(t *testing.T, engine string) {
		for _, order := range []string{"subscribe first", "resume first"} {
			for _, rewind := range []string{"", "2"} {
				t.Run(order+rewind, func(t *testing.T) {
					s := newServer(t, setup{engine: engine})
					for first := range most {
						for second := range most {
							c := &cutter{client: s.client(t)}
							c.order, c.rewind = order, rewind
							if rewind != "" {
								c.ids = map[string]bool{}
							}
							c.play(fmt.Sprintf("a-%d-%d", first, second), fmt.Sprintf("private-b-%d-%d", first, second), first, second)
						}
					}
				})
			}
		}
	})
}

type cutter struct {
	*client
	heads map[string]uint64
}

// event publishes n events whose data are their serials.
func (c *cutter) event(channel string, n int) {
	for range n {
		c.server.event(channel, "e", fmt.Sprint(c.heads[channel]+1))
		c.heads[channel]++
	}
}

func (c *cutter) play(a, b string, cuts ...int) {
	c.Helper()
	c.heads = map[string]uint64{}
	c.event(a, 1)
	rewind := c.rewind
	c.rewind = ""
	c.connect(a, b)
	c.send("sockudo:ping", map[string]any{}) // nothing is resumed: the subscribes need not wait
	for range 2 {
		c.until("sockudo_internal:subscription_succeeded")
	}
	c.event(a, 3)
	c.event(b, 1)
	c.reach(a, 3)
	c.reach(b, 1)
	c.cut()
	c.rewind = rewind
	for _, n := range append(cuts, -1) {
		c.event(a, 2)
		c.connect(a, b)
		var publishing sync.WaitGroup
		heads := map[string]uint64{a: c.heads[a] + 2, b: c.heads[b] + 1}
		publishing.Go(func() {
			c.event(a, 2)
			c.event(b, 1)
		})
		for read := 0; read != n && !c.over(heads); read++ {
			c.next()
		}
		publishing.Wait()
		c.cut()
	}
	if len(c.failed) > 0 {
		c.Fatalf("cut after %v: refused with %s", cuts, c.failed[0].raw)
	}
	want := numbers(2, c.heads[a])
	if rewind != "" && len(c.seen[a]) > 0 && c.seen[a][0] == "1" {
		want = numbers(1, c.heads[a])
	}
	c.sees(a, want)
	c.sees(b, numbers(1, c.heads[b]))
}

// over reports whether a connection has nothing more to say: the resume is answered and the channels are at their heads.
func (c *cutter) over(heads map[string]uint64) bool {
	answered := 0
	for channel, head := range heads {
		if c.positions[channel].Serial != head {
			return false
		}
	}
	for _, f := range c.notices {
		if f.Event == "sockudo:resume_success" {
			answered += strings.Count(f.text(), `"replayed"`)
		}
	}
	return answered > 0
}
