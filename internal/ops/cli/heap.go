package cli

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// roomForGarbage is how much may gather before it is collected, however little is alive. By the runtime's own rule
	// (as much as is alive) a server with few connections, which holds 4 MB, collected 29 times a second while it answered
	// 11,000 publishes: a fifth of its processor time.
	roomForGarbage = 32 << 20
	// quietBytes is how much a server that has nothing to do allocates in a second at most.
	quietBytes = 256 << 10
	// worthReturning is how much memory the system is given back when all is quiet; less stays for the next burst.
	worthReturning = 8 << 20
)

// keepHeap collects garbage rarely while the heap is small, and gives memory back when a burst is over (ten thousand
// connections that were just made, say), until it is stopped. Whoever sets GOGC or GOMEMLIMIT knows better.
func keepHeap(ctx context.Context) (stop func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { watchHeap(ctx) })
	return func() { cancel(); keeping.Wait() }
}

// measuringMemory is how much a client that measures others may take before it collects garbage.
const measuringMemory = 1 << 30

// spareCollections keeps such a client from collecting, until it is restored: with thousands of connections each collection
// keeps it for some 50 ms from taking what has arrived.
func spareCollections() (restore func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(measuringMemory)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

func watchHeap(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before heap
	for percent := 100; ; {
		now := readHeap()
		if p := now.percent(); p < percent*9/10 || p > percent*11/10 {
			percent = p
			debug.SetGCPercent(percent)
		}
		if now.idleSince(before) {
			debug.FreeOSMemory()
		}
		before = now
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// heap is what the runtime says about its memory, in bytes.
type heap struct {
	live      uint64 // what the last collection found alive
	objects   uint64 // what is alive or was not collected yet
	free      uint64 // what is kept for later
	allocated uint64 // since the process began
}

func readHeap() heap {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return heap{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64(), s[3].Value.Uint64()}
}

// percent is what GOGC should be: as much garbage as there is alive, but not less than the room for it.
func (h heap) percent() int {
	live := max(h.live, 1<<20)
	return int(100 * max(live, roomForGarbage) / live)
}

// idleSince reports whether next to nothing was allocated since before and there is memory worth returning.
func (h heap) idleSince(before heap) bool {
	garbage := h.free
	if h.objects > h.live {
		garbage += h.objects - h.live
	}
	return before.allocated > 0 && h.allocated-before.allocated < quietBytes && garbage > worthReturning
}
