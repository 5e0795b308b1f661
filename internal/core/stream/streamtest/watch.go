package streamtest

import (
	"fmt"
	"sync"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

var watchTests = []test{
	{"watchers see every advance in order", nil, (*world).testWatch},
	{"watchers see cuts", nil, (*world).testWatchCuts},
	{"a watch that ended is not called", nil, (*world).testWatchStop},
}

// watched collects what a watcher is told.
type watched struct {
	mu    sync.Mutex
	heard map[stream.Ref][]stream.Advance
	ping  chan struct{}
	ended bool
	late  bool
}

func (w *world) watch() (*watched, func()) {
	o := &watched{heard: map[stream.Ref][]stream.Advance{}, ping: make(chan struct{}, 1)}
	stop := w.store.Watch(func(a stream.Advance) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.late = o.late || o.ended
		o.heard[a.Ref] = append(o.heard[a.Ref], a)
		select {
		case o.ping <- struct{}{}:
		default:
		}
	})
	return o, stop
}

// until waits until the newest advance of a stream has these bounds.
func (o *watched) until(w *world, ref stream.Ref, want stream.Bounds) []stream.Advance {
	w.Helper()
	for {
		o.mu.Lock()
		heard := o.heard[ref]
		o.mu.Unlock()
		if n := len(heard); n > 0 && heard[n-1].Bounds == want {
			return heard
		}
		wait(w, fmt.Sprintf("the advance to %+v", want), o.ping)
	}
}

// follow checks a stream's advances against each other, from bounds at the start of the watch on.
func (w *world) follow(from stream.Bounds, heard []stream.Advance) {
	w.Helper()
	at := from
	for i, a := range heard {
		b := a.Bounds
		switch {
		case a.Cut == stream.Reset:
			if b.Stream == at.Stream || b.Base != b.Head || b.Head != at.Head+1 || a.Entries != nil {
				w.Fatalf("advance %d is a reset from %+v to %+v", i, at, b)
			}
		case a.Cut != 0:
			if b.Stream != at.Stream || b.Head != at.Head || b.Floor <= at.Floor || a.Entries != nil {
				w.Fatalf("advance %d is cut %d from %+v to %+v", i, a.Cut, at, b)
			}
		case b.Stream != at.Stream || b.Floor != at.Floor || b.Head <= at.Head:
			w.Fatalf("advance %d goes from %+v to %+v without a cut", i, at, b)
		case a.Entries != nil:
			if uint64(len(a.Entries)) != b.Head-at.Head || a.Entries[0].Serial != at.Head+1 || a.Entries[len(a.Entries)-1].ID() != b.HeadID() {
				w.Fatalf("advance %d from %d to %d has serials %v", i, at.Head, b.Head, serials(a.Entries))
			}
		}
		at = b
	}
}

func (w *world) testWatch() {
	var refs []stream.Ref
	from := map[stream.Ref]stream.Bounds{}
	for i := range 3 {
		ref := stream.Ref{App: "app", Channel: fmt.Sprint(i)}
		w.policy(ref, stream.Retention{Entries: 20 * uint64(i)})
		refs = append(refs, ref)
		from[ref] = w.bounds(ref)
	}
	seen, stop := w.watch()
	defer stop()
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 40 {
				ops := []stream.Op{create(refs[i%3], "x"), create(refs[n%3], "y"), put(refs[i%3], "k", "z")}
				if _, err := w.store.Append(w.Context(), ops); err != nil {
					w.Errorf("append: %v", err)
				}
				if i%10 != 9 {
					continue
				}
				if _, err := w.store.Cut(w.Context(), stream.Cut{Ref: refs[n%3], Kind: stream.CutKind(1 + (n+i/10)%3), Through: uint64(i)}); err != nil {
					w.Errorf("cut: %v", err)
				}
			}
		})
	}
	wg.Wait()
	w.maintain()
	for _, ref := range refs {
		w.follow(from[ref], seen.until(w, ref, w.bounds(ref)))
	}
}

func (w *world) testWatchCuts() {
	w.applied(create(room, "a"), create(room, "b"), create(room, "c"))
	from := w.bounds(room)
	seen, stop := w.watch()
	defer stop()
	var kinds []stream.CutKind
	want := []stream.CutKind{stream.Trim, stream.Purge, 0, stream.Reset, 0, stream.Reset, 0}
	w.cut(room, stream.Trim, 1)
	w.cut(room, stream.Trim, 1) // does nothing and tells nobody
	w.cut(room, stream.Purge, 2)
	w.applied(create(room, "d"))
	w.cut(room, stream.Reset, 0)
	w.applied(create(room, "e"))
	w.class(room, stream.Interval)
	w.applied(create(room, "f"))
	heard := seen.until(w, room, w.bounds(room))
	w.follow(from, heard)
	for _, a := range heard {
		kinds = append(kinds, a.Cut)
	}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		w.Fatalf("watchers heard %v, want %v", kinds, want)
	}
}

func (w *world) testWatchStop() {
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := w.store.Append(w.Context(), []stream.Op{create(room, "x")}); err != nil {
				w.Errorf("append: %v", err)
				return
			}
		}
	})
	keep, stopKeep := w.watch()
	defer stopKeep()
	for range 20 {
		seen, stop := w.watch()
		wait(w, "an advance", seen.ping)
		stop()
		seen.mu.Lock()
		seen.ended = true
		seen.mu.Unlock()
		wait(w, "an advance for those who still watch", keep.ping)
		seen.mu.Lock()
		if seen.late {
			w.Error("a watcher was called after its watch had ended")
		}
		seen.mu.Unlock()
		stop() // again does nothing
	}
	close(done)
	wg.Wait()
}
