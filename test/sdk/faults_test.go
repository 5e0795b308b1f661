package sdk

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	continuo "github.com/continuo-rt/continuo/sdk/go"
	"github.com/continuo-rt/continuo/test/sdk/fault"
)

var (
	seeds = flag.Int("sdk.seeds", 24, "how many seeds of faults are tried")
	first = flag.Uint64("sdk.seed", 1, "the first seed")
)

// fast is a clock of which 25 seconds pass in one, so that half-open connections are found out in little more than that.
type fast struct{ began time.Time }

const faster = 25

// Now implements continuo.Clock.
func (f fast) Now() time.Time { return f.began.Add(faster * time.Since(f.began)) }

// AfterFunc implements continuo.Clock.
func (f fast) AfterFunc(d time.Duration, do func()) (stop func()) {
	t := time.AfterFunc(d/faster, do)
	return func() { t.Stop() }
}

// follower is a client that writes down what it was handed. The board guards it.
type follower struct {
	name   string
	client *continuo.Client
	room   *continuo.Room
	board  *board
	ids    []int64  // of the events, as they were handed over
	texts  []string // of the messages
	states map[string]int
}

func follow(b *board, p *fault.Proxy, name, token, room string) *follower {
	f := &follower{name: name, board: b, states: map[string]int{}}
	f.client = continuo.New("http://"+p.Addr(), continuo.Options{
		Token:   func(context.Context) (string, error) { return token, nil },
		Clock:   fast{time.Now()},
		OnState: func(s continuo.State) { b.do(func() { f.states[s.State]++ }) },
	})
	f.room = f.client.Room(room)
	f.room.OnEvent(func(_ context.Context, e *continuo.Event) error {
		b.do(func() {
			if e.EventID > 0 {
				f.ids = append(f.ids, e.EventID)
			}
			if e.Text != nil {
				f.texts = append(f.texts, *e.Text)
			}
		})
		return nil
	})
	return f
}

// reach waits until so many events were handed over.
func (f *follower) reach(ctx context.Context, events int) error {
	return f.board.until(ctx, func() error {
		if len(f.ids) < events {
			return fmt.Errorf("%s was handed %d events of %d; its states: %v, now %+v", f.name, len(f.ids), events, f.states, f.client.State())
		}
		return nil
	})
}

const writers, sends = 3, 40

// TestThroughFaults lets clients write and read through connections that drop, break in the middle of frames, stay half open and
// crawl, while the server is killed, too. Every event is handed over once and in order, and every send is in the log once,
// at the position that its answer named.
func TestThroughFaults(t *testing.T) {
	n := *seeds
	if testing.Short() {
		n = 6
	}
	s := serve(t, plainConfig)
	kills := killer(t, s)
	var all sync.WaitGroup
	var mu sync.Mutex
	faults, total := map[string]int{}, struct{ connections, events int }{}
	places := make(chan struct{}, 6)
	for i := range n {
		seed := *first + uint64(i)
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			p := proxy(t, s.address, seed)
			followers, err := throughFaults(t, p, seed)
			if err != nil {
				t.Errorf("seed %d (go test ./test/sdk -run %s -sdk.seeds 1 -sdk.seed %d): %v", seed, t.Name(), seed, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for kind, count := range p.Stats().Faults {
				faults[kind] += count
			}
			for _, f := range followers {
				total.connections += f.states["connected"]
				total.events += len(f.ids)
			}
		})
	}
	all.Wait()
	t.Logf("summary: Go client through faults: %d seeds, %d kills of the server, %d connections (%v), %d events handed over, none missing, none twice",
		n, kills(), total.connections, faults, total.events)
}

// killer kills the server a few times, until the test ends or is told how often.
func killer(t testing.TB, s *server) (stop func() (kills int)) {
	ctx, cancel := context.WithCancel(t.Context())
	kills, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(800 * time.Millisecond)
		defer tick.Stop()
		for kills < 8 {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			kills++
			s.end(syscall.SIGKILL)
			if err := s.run(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	stop = func() int {
		cancel()
		<-done
		return kills
	}
	t.Cleanup(func() { stop() })
	return stop
}

func throughFaults(t testing.TB, p *fault.Proxy, seed uint64) (all []*follower, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	b, room := newBoard(), fmt.Sprint("faults-", seed)
	for i := range writers {
		name := fmt.Sprint("user-", i)
		f := follow(b, p, name, bearer(t, name), room)
		defer func() { _ = f.client.Close(ctx) }()
		f.client.Connect()
		if err := f.room.Join(ctx, continuo.Join{}); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	p.Faults(true)
	p.Cut()
	var sending sync.WaitGroup
	answers, failed := make([]map[string]int64, writers), make([]error, writers)
	for i, f := range all {
		sending.Go(func() { answers[i], failed[i] = f.write(ctx) })
	}
	want := writers * sends
	for _, part := range []int{want * 3 / 4, want} {
		for _, f := range all {
			if err := f.reach(ctx, part); err != nil {
				return all, err
			}
		}
		p.Heal() // the rest without faults, so that a run always ends
	}
	sending.Wait()
	written := map[string]int64{}
	for i, a := range answers {
		if failed[i] != nil {
			return all, failed[i]
		}
		maps.Copy(written, a)
	}
	for _, f := range all {
		if err := f.check(written); err != nil {
			return all, err
		}
	}
	return all, nil
}

// write sends its texts, and gives the positions that the answers named.
func (f *follower) write(ctx context.Context) (map[string]int64, error) {
	at := map[string]int64{}
	for k := range sends {
		text := fmt.Sprintf("%s %d %s", f.name, k, strings.Repeat("x", k*17%400))
		got, err := f.room.Send(ctx, continuo.Send{Text: text})
		if err != nil {
			return at, fmt.Errorf("%s: send %d: %w", f.name, k, err)
		}
		at[text] = got.EventID
	}
	return at, nil
}

// check compares what was handed over with what was sent.
func (f *follower) check(written map[string]int64) error {
	f.board.mu.Lock()
	defer f.board.mu.Unlock()
	for i, id := range f.ids {
		if id != int64(i+1) {
			return fmt.Errorf("%s: event %d is the %dth", f.name, id, i+1)
		}
	}
	if len(f.texts) != len(written) {
		return fmt.Errorf("%s: %d messages, %d were sent", f.name, len(f.texts), len(written))
	}
	for i, text := range f.texts {
		if written[text] != int64(i+1) {
			return fmt.Errorf("%s: %.20q is event %d, its sender was told %d", f.name, text, i+1, written[text])
		}
	}
	if f.states["stopped"] > 0 {
		return fmt.Errorf("%s stopped: %v", f.name, f.states)
	}
	return nil
}
