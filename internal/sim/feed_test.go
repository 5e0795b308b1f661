package sim

import (
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// TestFeedIsJudged proves that faults are found by what clients of the feed see, too.
func TestFeedIsJudged(t *testing.T) {
	for name, plant := range map[string]planted{
		"never saw": {watch: func(a *stream.Advance) {
			for i, e := range a.Entries {
				if every(9, e) {
					c := *e
					c.Kind = stream.Annotate // no protocol shows it
					a.Entries[i] = &c
				}
			}
		}},
		"without a reason": {read: func(q stream.Query, p *stream.Page) {
			if q.HasWitness {
				p.Witness.At.Time++
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
				found = found || strings.Contains(v, "feed client") && strings.Contains(v, name)
			}
		}
		if !found {
			t.Errorf("nobody of the feed complained: %q", name)
		}
	}
}

func TestNewest(t *testing.T) {
	for text, want := range map[string]payload{
		"0|1|false|xxx":                    {0, 1, false},
		"0|1|false|2|7|false|xx":           {2, 7, false},
		"0|1|false|xx1|3|false|12|4|true|": {12, 4, true},
	} {
		if p, ok := newest(text); !ok || p != want {
			t.Errorf("%s: %+v, %v", text, p, ok)
		}
	}
	for _, text := range []string{"", "x", "1|2|3|x", "0|1|false|xy"} {
		if p, ok := newest(text); ok {
			t.Errorf("%s: %+v", text, p)
		}
	}
}
