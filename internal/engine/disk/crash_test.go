package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// TestCrashes runs writers against a store whose process is killed, or whose power fails, at random moments, and whose
// disk fails now and then. Afterwards every append that was answered must be there exactly once, and every serial that
// anybody saw must hold what it held. Replay with CRASH_SEED=n go test -run TestCrashes.
func TestCrashes(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6}
	if s, err := strconv.ParseUint(os.Getenv("CRASH_SEED"), 10, 64); err == nil {
		seeds = []uint64{s}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { newCrashWorld(t, seed).run() })
	}
}

// crashWorld knows what was promised.
type crashWorld struct {
	*testing.T
	rng  *rand.Rand
	refs []stream.Ref

	mu       sync.Mutex // held while the disk is cloned: what was noted before is stable
	seen     map[stream.Ref]map[uint64]string
	acked    map[stream.Ref]map[string]uint64 // payload → serial; 0 for an early answer
	floor    map[stream.Ref]uint64
	next     atomic.Int64
	reopened atomic.Int64
	faulty   *faultyFS
	store    *Store
}

func newCrashWorld(t *testing.T, seed uint64) *crashWorld {
	w := &crashWorld{T: t, rng: rand.New(rand.NewPCG(seed, seed)), refs: channels(6), seen: map[stream.Ref]map[uint64]string{},
		acked: map[stream.Ref]map[string]uint64{}, floor: map[stream.Ref]uint64{}}
	for _, ref := range w.refs {
		w.seen[ref], w.acked[ref] = map[uint64]string{}, map[string]uint64{}
	}
	return w
}

// rules make every second channel an interval channel; one is trimmed all the time.
func (w *crashWorld) rules(ref stream.Ref) stream.Rules {
	r := stream.Rules{}
	if ref.Channel[len(ref.Channel)-1]%2 == 1 {
		r.Durability = stream.Interval
	}
	if ref == w.refs[0] {
		r.Retention.Entries = 40
	}
	return r
}

func (w *crashWorld) open(mem *vfs.MemFS) {
	w.Helper()
	faulty, fs := newFaultyFS(mem)
	w.faulty = faulty
	w.store = openT(w, "data", Options{FS: fs, Rules: w.rules, IntervalEvery: time.Millisecond, SweepEvery: -1, MemTableBytes: 256 << 10,
		Events: Events{Reopened: func(ReopenedInfo) { w.reopened.Add(1) }}})
	w.store.Watch(func(a stream.Advance) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if faulty.dead.Load() {
			return
		}
		for _, e := range a.Entries {
			w.saw(a.Ref, e)
		}
		w.floor[a.Ref] = max(w.floor[a.Ref], a.Bounds.Floor)
	})
}

func (w *crashWorld) saw(ref stream.Ref, e *stream.Entry) {
	payload := string(e.Data.Bytes)
	if was, ok := w.seen[ref][e.Serial]; ok && was != payload {
		w.Errorf("%v: serial %d was %q and is %q", ref, e.Serial, was, payload)
	}
	w.seen[ref][e.Serial] = payload
}

func (w *crashWorld) run() {
	w.open(vfs.NewCrashableMem())
	for range 12 {
		crash := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() { w.write(w.store, w.faulty, crash, uint64(i)) })
		}
		wg.Go(func() { w.fail(crash) })
		wait(w.rng.IntN(60_000))
		unsynced := []int{0, 0, 50, 100}[w.rng.IntN(4)]
		w.mu.Lock()
		clone := w.faulty.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: w.rng})
		w.faulty.dead.Store(true)
		w.mu.Unlock()
		close(crash)
		w.store.Close() // fails: this process is dead
		wg.Wait()
		w.open(clone)
		w.check()
		if w.Failed() {
			break
		}
	}
	if err := w.store.Close(); err != nil {
		w.Error(err)
	}
	acked := 0
	for _, a := range w.acked {
		acked += len(a)
	}
	w.Logf("%d appends were answered, the store was reopened %d times", acked, w.reopened.Load())
}

// wait lets the writers run for some microseconds.
func wait(us int) {
	timer := time.NewTimer(time.Duration(us) * time.Microsecond)
	<-timer.C
}

// write appends until the crash, again with the same idempotency key while the outcome is unknown.
func (w *crashWorld) write(s *Store, f *faultyFS, crash <-chan struct{}, id uint64) {
	rng := rand.New(rand.NewPCG(id, uint64(w.next.Load())))
	for {
		ref := w.refs[rng.IntN(len(w.refs))]
		payload := fmt.Sprint("payload ", w.next.Add(1))
		early := w.rules(ref).Durability == stream.Interval && rng.IntN(2) == 0
		op := stream.Op{Ref: ref, Early: early, Receipt: &stream.Receipt{Key: payload, TTL: time.Hour},
			Entry: stream.Entry{Kind: stream.Create, Data: stream.Data{Type: stream.Text, Bytes: []byte(payload)}}}
		for {
			select {
			case <-crash:
				return
			default:
			}
			r, err := s.Append(w.Context(), []stream.Op{op})
			if err != nil && fault.KindOf(err) != fault.Unavailable {
				w.Errorf("append: %v", err)
				return
			}
			if err == nil && (r[0].Outcome == stream.Applied || r[0].Outcome == stream.Duplicate) {
				w.note(f, ref, payload, r[0])
				break
			}
		}
	}
}

func (w *crashWorld) note(f *faultyFS, ref stream.Ref, payload string, r stream.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.dead.Load() {
		return
	}
	if r.Entry.Serial > 0 {
		w.acked[ref][payload] = r.Entry.Serial
		if was, ok := w.seen[ref][r.Entry.Serial]; ok && was != payload {
			w.Errorf("%v: serial %d holds %q and was given to %q", ref, r.Entry.Serial, was, payload)
		}
	}
}

// fail makes a write or sync fail now and then.
func (w *crashWorld) fail(crash <-chan struct{}) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-crash:
			return
		case <-tick.C:
			if n%8 == 7 {
				w.faulty.fail.Store(&errInjected)
			}
		}
	}
}

// check compares the store with what was promised.
func (w *crashWorld) check() {
	for _, ref := range w.refs {
		p, err := w.store.Read(context.Background(), stream.Query{Ref: ref, Limit: 1 << 30})
		if err != nil {
			w.Fatal(err)
		}
		if uint64(len(p.Entries)) != p.Bounds.Retained() {
			w.Errorf("%v: %d entries in (%d, %d]", ref, len(p.Entries), p.Bounds.Floor, p.Bounds.Head)
		}
		w.mu.Lock()
		at, last := map[string]uint64{}, uint64(0)
		for _, e := range p.Entries {
			payload := string(e.Data.Bytes)
			if at[payload] != 0 {
				w.Errorf("%v: %q is there twice, at %d and %d", ref, payload, at[payload], e.Serial)
			}
			at[payload] = e.Serial
			w.saw(ref, e)
		}
		for serial := range w.seen[ref] {
			last = max(last, serial)
		}
		if p.Bounds.Head < last {
			w.Errorf("%v: the head is %d; %d was visible", ref, p.Bounds.Head, last)
		}
		if p.Bounds.Floor < w.floor[ref] {
			w.Errorf("%v: the floor is %d; it was %d", ref, p.Bounds.Floor, w.floor[ref])
		}
		for payload, serial := range w.acked[ref] {
			if serial > p.Bounds.Floor && at[payload] != serial {
				w.Errorf("%v: %q was answered with serial %d and is at %d", ref, payload, serial, at[payload])
			}
		}
		w.mu.Unlock()
	}
}
