package season

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestSameSeedSameSeason(t *testing.T) {
	a, b, c := New(7), New(7), New(8)
	differs := false
	for range 10_000 {
		x, y, z := a.Next(), b.Next(), c.Next()
		if x.At != y.At || x.Key != y.Key || x.Channel != y.Channel || x.Delete != y.Delete || !bytes.Equal(x.Data, y.Data) {
			t.Fatalf("%+v\n%+v", x, y)
		}
		differs = differs || !bytes.Equal(x.Data, z.Data)
	}
	if !differs {
		t.Error("another seed gave the same season")
	}
}

// The season is a fixture of other tests and of examples: that it changes must not go unnoticed.
func TestGolden(t *testing.T) {
	s, h := New(1), sha256.New()
	for range 10_000 {
		e := s.Next()
		fmt.Fprintf(h, "%d %s %s %v %s\n", e.At, e.Channel, e.Key, e.Delete, e.Data)
	}
	const want = "22c9dd5f2b5e8b40"
	if got := fmt.Sprintf("%x", h.Sum(nil)[:8]); got != want {
		t.Errorf("the first 10,000 events of seed 1 hash to %s, not to %s", got, want)
	}
}

type payload struct {
	SportID, TournamentID int
	FixtureID             string
	Seq                   uint64
	Status                string
	Home                  any
}

func TestEventsMakeSense(t *testing.T) {
	s := New(3)
	var at time.Duration
	seq := map[string]uint64{}
	live := map[string]map[string]bool{Fixtures: {}, Scores: {}, Odds: {}}
	most, deleted := 0, 0
	for range 30_000 {
		e := s.Next()
		if e.At < at {
			t.Fatalf("time runs backwards at %+v", e)
		}
		at = e.At
		keys := live[e.Channel]
		if keys == nil {
			t.Fatalf("%+v", e)
		}
		if e.Delete {
			if !keys[e.Key] {
				t.Fatalf("%+v was not there", e)
			}
			delete(keys, e.Key)
			deleted++
			continue
		}
		keys[e.Key] = true
		most = max(most, len(keys))
		var p payload
		if err := json.Unmarshal(e.Data, &p); err != nil {
			t.Fatalf("%v in %s", err, e.Data)
		}
		if seq[e.Channel]++; p.Seq != seq[e.Channel] || p.SportID == 0 || p.TournamentID == 0 || p.FixtureID == "" || p.Home == nil {
			t.Fatalf("%+v", p)
		}
	}
	if most > 100 || deleted == 0 || seq[Scores] == 0 || seq[Odds] < 10*seq[Scores]/2 {
		t.Errorf("%d keys at most, %d deleted, %v", most, deleted, seq)
	}
}

// On every match day every team plays once, and after a round everyone has met everyone.
func TestEveryoneMeets(t *testing.T) {
	s := New(1)
	met := map[string]int{}
	for range len(sports[0].teams) - 1 {
		seen := map[string]bool{}
		for _, m := range s.draw() {
			if m.tournament != sports[0].tournament {
				continue
			}
			if seen[m.home] || seen[m.away] {
				t.Fatalf("%s or %s plays twice", m.home, m.away)
			}
			seen[m.home], seen[m.away] = true, true
			met[min(m.home, m.away)+max(m.home, m.away)]++
		}
		s.day++
	}
	if n := len(sports[0].teams); len(met) != n*(n-1)/2 {
		t.Errorf("%d pairs met", len(met))
	}
}
