package sim

import (
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// TestRoomsAreJudged proves that faults are found by what clients of the rooms protocol see, too.
func TestRoomsAreJudged(t *testing.T) {
	for name, plant := range map[string]planted{
		"never saw": {watch: func(a *stream.Advance) {
			for i, e := range a.Entries {
				if every(9, e) {
					c := *e
					c.Kind = stream.Annotate // without an annotation nobody is shown it
					a.Entries[i] = &c
				}
			}
		}},
		"where": {read: func(_ stream.Query, p *stream.Page) {
			p.Entries = renumbered(p.Entries, func(e *stream.Entry) bool { return every(7, e) })
		}},
		"without a reason": {read: func(q stream.Query, p *stream.Page) {
			if q.HasWitness && p.Bounds.Head > 10 {
				p.Bounds.Stream += "x"
			}
		}},
	} {
		found := false
		for seed := uint64(1); seed <= 20 && !found; seed++ {
			r := live(t, Options{Seed: seed, Wrap: func(s stream.Store) stream.Store {
				p := plant
				p.Store = s
				return p
			}})
			for _, v := range r.Violations {
				found = found || strings.Contains(v, "rooms client") && strings.Contains(v, name)
			}
		}
		if !found {
			t.Errorf("no rooms client complained: %q", name)
		}
	}
}
