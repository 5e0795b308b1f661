package v2

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// TestRaces lets clients come, resume, rewind and be cut at random while others publish, trim and mutate. In the end
// every client has seen every event after its first position, once and in order, or was told where it lost the thread.
// Replay one with RACE_SEED=n.
func TestRaces(t *testing.T) {
	seeds := 24
	if testing.Short() {
		seeds = 8
	}
	list := make([]uint64, seeds)
	for i := range list {
		list[i] = uint64(i + 1)
	}
	if s, err := strconv.ParseUint(os.Getenv("RACE_SEED"), 10, 64); err == nil {
		list = []uint64{s}
	}
	for _, seed := range list {
		engine := engines[seed%2]
		t.Run(fmt.Sprintf("seed %d on %s", seed, engine), func(t *testing.T) { race(t, engine, seed) })
	}
}

const (
	raceEvents  = 400
	raceClients = 4
)

var raceChannels = []string{"a", "b", "private-c"}

func race(t *testing.T, engine string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, seed))
	s := newServer(t, setup{engine: engine, hot: []int{0, 4, 32}[rng.IntN(3)], outbox: []int{2 << 10, 64 << 10}[rng.IntN(2)]})
	var publishing sync.WaitGroup
	for i, channel := range raceChannels {
		s.publish(channel, 5)
		publishing.Go(func() { publishAll(s, channel, rand.New(rand.NewPCG(seed, uint64(100+i)))) })
	}
	done := make(chan struct{})
	go func() {
		publishing.Wait()
		close(done)
	}()
	t.Cleanup(publishing.Wait)
	for i := range raceClients {
		t.Run(fmt.Sprint("client ", i), func(t *testing.T) {
			t.Parallel()
			r := &racer{client: s.client(t), rng: rand.New(rand.NewPCG(seed, uint64(200+i))), done: done}
			r.order = []string{"subscribe first", "resume first"}[i%2]
			if i >= 2 {
				r.rewind, r.ids = []string{"3", `{"seconds":60}`}[i%2], map[string]bool{}
			}
			r.run()
		})
	}
}

// publishAll appends the rest of a channel's events, now and then in batches.
func publishAll(s *server, channel string, rng *rand.Rand) {
	for n := uint64(6); n <= raceEvents; {
		if rng.IntN(4) == 0 {
			k := min(rng.IntN(20)+1, int(raceEvents-n)+1)
			s.batch(channel, int(n), k, "")
			n += uint64(k)
		} else {
			s.event(channel, "e", strconv.FormatUint(n, 10))
			n++
		}
		for range rng.IntN(200) {
			runtime.Gosched()
		}
	}
}

// racer is a client that is cut at random.
type racer struct {
	*client
	rng  *rand.Rand
	done chan struct{} // closed when nothing more is published
}

func (r *racer) run() {
	r.connect(raceChannels...)
	first := map[string]uint64{}
	placed := "sockudo_internal:subscription_succeeded"
	if r.rewind != "" {
		placed = "sockudo:rewind_complete"
	}
	for len(first) < len(raceChannels) { // the first connection is read until every channel is placed
		if f := r.next(); f.Event == placed {
			first[f.Channel] = *f.Serial
		}
	}
	for published := false; !published; {
		for range r.rng.IntN(60) {
			if r.complete() {
				break
			}
			r.next()
		}
		select {
		case <-r.done:
			published = true
		default:
		}
		r.cut()
		r.connect(raceChannels...)
	}
	for !r.complete() {
		r.next()
	}
	for _, channel := range raceChannels {
		r.unpad(channel)
		if r.rewind != "" { // it begins before the first position
			first[channel] = firstNumber(r.seen[channel]) - 1
		}
		r.sees(channel, numbers(first[channel]+1, raceEvents))
	}
	r.cut()
}

func firstNumber(texts []string) uint64 {
	n, _ := strconv.ParseUint(texts[0], 10, 64)
	return n
}

// complete reports whether the client stands at the end of every channel.
func (r *racer) complete() bool {
	for _, channel := range raceChannels {
		if r.positions[channel].Serial != uint64(raceEvents) {
			return false
		}
	}
	return true
}

// TestResetsAndTrimsInFlight resets and trims a channel while clients come and go. Whoever loses the thread is told so;
// between two such moments nobody misses anything or sees it twice.
func TestResetsAndTrimsInFlight(t *testing.T) {
	each(t, func(t *testing.T, engine string) {
		for seed := range uint64(5) {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { cutInFlight(t, engine, seed) })
		}
	})
}

func cutInFlight(t *testing.T, engine string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	s := newServer(t, setup{engine: engine, hot: 8, outbox: 2 << 10})
	s.event("a", "e", "0")
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	publishing.Go(func() {
		cuts := rand.New(rand.NewPCG(seed, 8))
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			s.event("a", "e", strconv.Itoa(n))
			switch cuts.IntN(40) {
			case 0:
				s.cut("a", stream.Reset, 0)
			case 1:
				s.cut("a", stream.Purge, s.bounds("a").Head)
			case 2, 3:
				s.cut("a", stream.Trim, s.bounds("a").Head-min(4, s.bounds("a").Retained()))
			}
		}
	})
	c := &follower{client: s.client(t)}
	for end := time.Now().Add(400 * time.Millisecond); time.Now().Before(end); {
		c.order = []string{"subscribe first", "resume first"}[rng.IntN(2)]
		c.connect("a")
		for range rng.IntN(80) + 3 {
			c.judge(c.read())
		}
		c.cut()
	}
	close(stop)
	publishing.Wait()
	c.connect("a")
	for last := s.event("a", "e", "last"); c.positions["a"].Serial != last; {
		c.judge(c.read())
	}
}

// follower checks as it reads: every event continues the client's position, unless the client was told otherwise.
type follower struct{ *client }

func (c *follower) judge(f frame) {
	c.Helper()
	at, placed := c.positions["a"]
	isEvent := f.Event == "e"
	c.take(&f)
	if !isEvent || !placed {
		return
	}
	if from, _ := at.Serial.(uint64); at.Stream != f.Stream || *f.Serial != from+1 {
		c.Fatalf("the event %s follows the position %+v", f.raw, at)
	}
}
