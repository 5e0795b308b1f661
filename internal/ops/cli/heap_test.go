package cli

import "testing"

func TestHeap(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		name    string
		now     heap
		before  heap
		percent int
		idle    bool
	}{
		{"at the start", heap{allocated: mb}, heap{}, 1600, false},
		{"small and busy", heap{live: 4 * mb, objects: 20 * mb, allocated: 90 * mb}, heap{allocated: 40 * mb}, 1600, false},
		{"as large as the room", heap{live: 64 * mb, objects: 60 * mb, allocated: 90 * mb}, heap{allocated: 40 * mb}, 100, false},
		{"many connections", heap{live: 20 * mb, objects: 60 * mb, allocated: 90 * mb, routines: 2048}, heap{allocated: 40 * mb}, 480, false},
		{"very many", heap{live: 64 * mb, objects: 90 * mb, allocated: 90 * mb, routines: 1e6}, heap{allocated: 40 * mb}, 200, false},
		{"large", heap{live: 900 * mb, objects: 901 * mb, allocated: 9000 * mb}, heap{allocated: 9000 * mb}, 100, false},
		{"quiet with garbage", heap{live: 50 * mb, objects: 59 * mb, allocated: 500 * mb}, heap{allocated: 500 * mb}, 128, true},
		{"quiet with free spans", heap{live: 50 * mb, objects: 49 * mb, free: 9 * mb, allocated: 500 * mb}, heap{allocated: 500 * mb}, 128, true},
		{"quiet and tidy", heap{live: 50 * mb, objects: 51 * mb, free: 2 * mb, allocated: 500 * mb}, heap{allocated: 500 * mb}, 128, false},
	} {
		if got := c.now.percent(); got != c.percent {
			t.Errorf("%s: %d %%, want %d", c.name, got, c.percent)
		}
		if got := c.now.idleSince(c.before); got != c.idle {
			t.Errorf("%s: idle %t", c.name, got)
		}
	}
	if h := readHeap(); h.objects == 0 || h.allocated == 0 || h.routines == 0 {
		t.Errorf("the runtime says nothing: %+v", h)
	}
}
