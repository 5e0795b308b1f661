package presence

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

func TestNet(t *testing.T) {
	m := Member{Conns: []Conn{{ID: "c"}}}
	makes := map[byte]*stream.Entry{ // added, none, updated, removed
		'a': entry(1, stream.Put, 1, "u", m, false), 'n': entry(1, stream.Put, 2, "u", m, false),
		'u': entry(1, stream.Put, 2, "u", m, true), 'r': entry(1, stream.Delete, 3, "u", m, false),
		'A': entry(1, stream.Put, 1, "u", m, false), 'R': entry(1, stream.Delete, 3, "u", m, false), // quiet ones
	}
	makes['A'].Event, makes['R'].Event = Quiet, Quiet
	for page, want := range map[string]string{
		"": "", "n": ".", "a": "a", "r": "r", "u": "u", "ar": "..", "anr": "...", "aur": "...", "au": "au", "auu": "a.u", "uu": ".u", "ur": ".r",
		"ra": "ra", "urau": ".rau", "rara": "..ra", "rar": "..r", "arar": "....", "ara": "..a", "ran": "ra.",
		"A": ".", "Ar": ".r", "aR": "a.", "aRar": "....", "rA": "r.",
	} {
		entries := make([]*stream.Entry, len(page))
		for i := range page {
			entries[i] = makes[page[i]]
		}
		got := []byte(page)
		for i, keep := range Net(entries) {
			if !keep {
				got[i] = '.'
			}
		}
		if string(got) != want {
			t.Errorf("%s: %s, want %s", page, got, want)
		}
	}
}

// Whoever sees only the net difference of each page ends with the same members as who sees everything.
func TestNetEndsAlike(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		all, net, here := map[string]string{}, map[string]string{}, map[string]uint32{}
		for range 10 {
			var page []*stream.Entry
			for range r.IntN(12) {
				page = append(page, random(r, here))
			}
			for i, keep := range Net(page) {
				show(all, page[i])
				if keep {
					show(net, page[i])
				}
			}
			if !maps.Equal(all, net) {
				t.Fatalf("seed %d: %v, want %v", seed, net, all)
			}
		}
	}
}

func random(r *rand.Rand, here map[string]uint32) *stream.Entry {
	user := fmt.Sprint("u", r.IntN(3))
	m := Member{Info: fmt.Append(nil, r.IntN(1000)), Conns: []Conn{{ID: "c"}}}
	if here[user] > 0 && r.IntN(3) == 0 {
		delete(here, user)
		return entry(1, stream.Delete, 1, user, Member{}, false)
	}
	here[user]++
	e := entry(1, stream.Put, here[user], user, m, here[user] > 1)
	return e
}

func show(members map[string]string, e *stream.Entry) {
	switch m, _ := Of(e.Key, e.Data); ChangeOf(e) {
	case Added, Updated:
		members[e.Key] = string(m.Info)
	case Removed:
		delete(members, e.Key)
	}
}
