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
	roomForGarbage = 64 << 20
	// roomForEach is more of it for each goroutine, up to mostRoom: a collection has to look through all of their stacks.
	// With 5,000 connections it keeps the others waiting for 45 to 90 ms, which was often enough to be their p99.
	roomForEach = 16 << 10
	mostRoom    = 128 << 20
	// leastHeap is what GOGC=100 lets the heap grow to, if nothing is alive; the runtime multiplies it by GOGC as well.
	leastHeap = 4 << 20
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
	live      uint64 // what the last collection found alive …
	roots     uint64 // … and where it began to look: stacks and globals, which the runtime counts with it
	objects   uint64 // what is alive or was not collected yet
	free      uint64 // what is kept for later
	allocated uint64 // since the process began
	routines  uint64 // goroutines, of which each connection has one
}

func readHeap() heap {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/sched/goroutines:goroutines"}}
	metrics.Read(s)
	n := func(i int) uint64 { return s[i].Value.Uint64() }
	return heap{live: n(0), roots: n(1) + n(2), objects: n(3), free: n(4), allocated: n(5), routines: n(6)}
}

// percent is what GOGC should be: as much garbage as there is alive (gc-guide: heap, stacks and globals), but not less than
// the room for it.
func (h heap) percent() int {
	live := max(h.live+h.roots, leastHeap)
	return int(100 * max(live, min(roomForGarbage+h.routines*roomForEach, mostRoom)) / live)
}

// idleSince reports whether next to nothing was allocated since before and there is memory worth returning.
func (h heap) idleSince(before heap) bool {
	garbage := h.free
	if h.objects > h.live {
		garbage += h.objects - h.live
	}
	return before.allocated > 0 && h.allocated-before.allocated < quietBytes && garbage > worthReturning
}
