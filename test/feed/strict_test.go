package feed

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
)

var seed = flag.Uint64("feed.seed", 0, "seed of the moments; 0 picks one")

// groups is how many values the filtered field has.
const groups = 4

// world is a server, its publishers and its viewers, and what all viewers have seen together.
type world struct {
	*testing.T
	server *server
	ctx    context.Context

	mu        sync.Mutex
	payloads  map[string]map[uint64]uint64 // epoch and channel → serial → n
	published map[string]*atomic.Uint64    // newest n that was acknowledged
	newest    map[string]map[string]uint64 // viewer → channel → newest n seen
	cuts      int                          // connections that the viewers have cut
	moved     *sync.Cond                   // something was published, seen or cut
	failures  atomic.Int64
}

func (w *world) fail(format string, args ...any) {
	if w.failures.Add(1) < 20 {
		w.Errorf(format, args...)
	}
}

// note demands that every viewer sees the same payload at the same serial.
func (w *world) note(epoch, channel string, serial, n uint64) {
	channel = epoch + " " + channel
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.payloads[channel] == nil {
		w.payloads[channel] = map[uint64]uint64{}
	}
	if before, ok := w.payloads[channel][serial]; ok && before != n {
		w.fail("serial %d of %s held %d and now %d", serial, channel, before, n)
	}
	w.payloads[channel][serial] = n
}

// maxLag is how far the slowest viewer may be behind the publisher of its channel.
const maxLag = 3000

// lag is how far the slowest viewer of a channel is behind; w.mu is held.
func (w *world) lag(channel string) uint64 {
	most := uint64(0)
	for _, seen := range w.newest {
		if n, ok := seen[channel]; ok {
			most = max(most, w.published[channel].Load()-min(n, w.published[channel].Load()))
		}
	}
	return most
}

// publishing numbers payloads of one channel until stop, at the pace of the slowest viewer.
func (w *world) publishing(channel string, keyed bool, stop <-chan struct{}) {
	for n := uint64(1); ; {
		w.wait(time.Second, func() bool { return w.lag(channel) < maxLag })
		var batch []client.Message
		for range 1 + n%7 {
			m := client.Message{Name: "UPDATE", Channel: channel, Data: fmt.Appendf(nil, `{"n":%d,"group":%d}`, n, n%groups), Idempotency: fmt.Sprint(channel, n)}
			if keyed {
				m.Key = fmt.Sprint("k", n%50)
			}
			batch = append(batch, m)
			n++
		}
		select {
		case <-stop:
			return
		case <-w.ctx.Done():
			return
		default:
		}
		w.server.publish(w.ctx, batch...)
		if w.ctx.Err() == nil {
			w.published[channel].Store(n - 1)
		}
		w.moved.Broadcast()
	}
}

func TestStrictViewers(t *testing.T) {
	t.Run("disk", func(t *testing.T) { strict(t, "disk", 12) })
	t.Run("memory", func(t *testing.T) { strict(t, "memory", 0) })
	t.Run("memory that forgets", func(t *testing.T) { strict(t, "memory", 6) })
}

// strict runs the viewers until they have cut so many connections, while the server is killed now and then. A memory
// engine that is killed has a new epoch.
func strict(t *testing.T, engine string, kills int) {
	goal := 130
	if testing.Short() {
		goal, kills = 60, min(kills, 3)
	}
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("replay the moments with: go test ./test/feed -run 'TestStrictViewers' -feed.seed=%d", s)
	random := rand.New(rand.NewPCG(s, 1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := &world{T: t, server: start(t, engine), ctx: ctx, payloads: map[string]map[uint64]uint64{}, newest: map[string]map[string]uint64{},
		published: map[string]*atomic.Uint64{"plain": {}, "keyed": {}, "brief": {}}}
	w.moved = sync.NewCond(&w.mu)
	stop := make(chan struct{})
	var publishers, following sync.WaitGroup
	for channel := range w.published {
		publishers.Go(func() { w.publishing(channel, channel == "keyed", stop) })
	}
	viewers := w.viewers(s, engine == "memory" && kills > 0)
	for _, v := range viewers {
		following.Go(func() { v.run(ctx) })
	}
	until := func(cuts int) {
		if !w.wait(5*time.Minute, func() bool { return w.cuts >= cuts }) {
			t.Errorf("only %d connections were cut of %d", w.cuts, cuts)
		}
	}
	part := goal / (kills + 1)
	for i := range kills {
		until(i*part + part/2 + random.IntN(part))
		w.server.kill()
		w.server.start()
	}
	until(goal)
	close(stop)
	publishers.Wait()
	if !w.wait(time.Minute, func() bool { return w.caughtUp(viewers) }) {
		t.Errorf("the viewers have not seen everything: %v", w.newest)
	}
	cancel()
	following.Wait()
	var cuts, resumes, frames, refused int
	for _, v := range viewers {
		cuts, resumes, frames, refused = cuts+v.cuts, resumes+v.resumes, frames+v.frames, refused+v.refused
	}
	if resumes == 0 {
		t.Error("nobody resumed")
	}
	t.Logf("summary: feed on %s: %d viewers, %d frames, %d connections cut by the client, %d kills, %d resumes, %d times told to take a snapshot (of the short log, or of a memory that was killed), nothing missed, doubled or out of order",
		engine, len(viewers), frames, cuts, kills, resumes, refused)
}

func (w *world) viewers(s uint64, mayReset bool) []*viewer {
	var all []*viewer
	add := func(name string, v viewer) {
		v.name, v.url, v.fail, v.mayReset = name, w.server.url, w.fail, mayReset
		v.random = rand.New(rand.NewPCG(s, uint64(len(all)+2)))
		v.seen = w.note
		v.cut = func() {
			w.mu.Lock()
			w.cuts++
			w.mu.Unlock()
			w.moved.Broadcast()
		}
		v.progress = func(channel string, n uint64) {
			w.mu.Lock()
			if w.newest[name] == nil {
				w.newest[name] = map[string]uint64{}
			}
			w.newest[name][channel] = n
			w.mu.Unlock()
			w.moved.Broadcast()
		}
		all = append(all, &v)
	}
	both := []string{"plain", "keyed"}
	add("json", viewer{key: "all-channels", channels: both, follows: both, group: -1})
	add("binary", viewer{key: "all-channels", channels: both, follows: both, binary: true, group: -1})
	add("named by the key", viewer{key: "named-channels", follows: both, group: -1})
	add("filtered", viewer{key: "all-channels", channels: both, follows: both, group: 1})
	add("filtered binary", viewer{key: "all-channels", channels: both, follows: both, group: 3, binary: true})
	add("of a short log", viewer{key: "all-channels", channels: []string{"brief"}, follows: []string{"brief"}, group: -1, lossy: true})
	return all
}

// wait waits until done, which is asked with w.mu held, or for a time. It reports whether it is done.
func (w *world) wait(d time.Duration, done func() bool) bool {
	over := false
	end := time.AfterFunc(d, func() {
		w.mu.Lock()
		over = true
		w.mu.Unlock()
		w.moved.Broadcast()
	})
	defer end.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !over && !done() {
		w.moved.Wait()
	}
	return done()
}

// caughtUp reports whether every viewer has seen the newest payload that is meant for it; w.mu is held.
func (w *world) caughtUp(viewers []*viewer) bool {
	for _, v := range viewers {
		if v.lossy {
			continue // where it was told to take a snapshot, the newest payload may be in that
		}
		for _, channel := range v.follows {
			want := w.published[channel].Load()
			for v.group >= 0 && want%groups != uint64(v.group) {
				want--
			}
			if w.newest[v.name][channel] != want {
				return false
			}
		}
	}
	return true
}
