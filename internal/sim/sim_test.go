package sim

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	oneSeed = flag.Uint64("sim.seed", 0, "run this seed alone")
	seeds   = flag.Int("sim.seeds", 100, "run so many seeds")
	from    = flag.Uint64("sim.from", 1, "begin with this seed")
)

// TestSeeds lets worlds live, and none may break a promise.
func TestSeeds(t *testing.T) {
	first, n := *from, *seeds
	switch {
	case *oneSeed > 0:
		first, n = *oneSeed, 1
	case testing.Short():
		n = min(n, 20)
	}
	var mu sync.Mutex
	var sum Counts
	violations := 0
	t.Run("seed", func(t *testing.T) {
		for seed := first; seed < first+uint64(n); seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				r := live(t, Options{Seed: seed})
				mu.Lock()
				defer mu.Unlock()
				sum.add(r.Counts)
				violations += len(r.Violations)
				for _, v := range r.Violations {
					t.Error(v)
				}
				if t.Failed() {
					t.Logf("replay with: go test ./internal/sim -run TestSeeds -sim.seed=%d", seed)
				}
			})
		}
	})
	t.Logf("%+v", sum)
	fmt.Printf("summary: sim: %d seeds, %d publishes, %d resumes (%d refused), %d violations\n", n, sum.Publishes, sum.Resumes, sum.Refused, violations)
}

// live runs a world in a bubble of its own.
func live(t *testing.T, o Options) (r Report) {
	synctest.Test(t, func(*testing.T) { r = Run(o) })
	return r
}
