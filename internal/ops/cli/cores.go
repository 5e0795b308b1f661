package cli

import (
	"os"
	"runtime"
)

// leastCores is how many goroutines may run at once at least, however few processors there are.
const leastCores = 4

// useCores lets a server on one or two processors go on while its disk is busy. A goroutine that waits in fsync holds
// its place among GOMAXPROCS until the runtime's monitor takes it away, up to 10 ms later; with a single place nothing
// else runs meanwhile. Pinned to one processor, 16 connections publishing durably got 1,900–3,200 answers per second
// with GOMAXPROCS=1 (p99 40–150 ms) and 8,300–13,100 with 2 to 8 (p99 7–12 ms), three runs of 4 s each. With one
// committer 2, 3 and 4 measure the same, on one processor and on two; four leave room for more committers, and for
// flushes and compactions, which wait for the disk as well. Whoever sets GOMAXPROCS knows better.
func useCores() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < leastCores {
		runtime.GOMAXPROCS(leastCores)
	}
}
