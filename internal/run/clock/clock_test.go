package clock

import (
	"testing"
	"time"
)

func TestJumps(t *testing.T) {
	wall := time.UnixMilli(1_000_000)
	var mono time.Duration
	var jumps []time.Duration
	c := New(Options{Wall: func() time.Time { return wall }, Mono: func() time.Duration { return mono },
		Jump: func(by time.Duration) { jumps = append(jumps, by) }})
	step := func(w, m time.Duration) int64 {
		wall, mono = wall.Add(w), mono+m
		c.Check()
		return c.Now()
	}
	for _, one := range []struct {
		name       string
		wall, mono time.Duration
		want       int64
		jumps      int
	}{
		{"in step", time.Second, time.Second, 1_001_000, 0},
		{"a small step forward is adopted", 3 * time.Second, time.Second, 1_004_000, 0},
		{"a step backwards is adopted", -2 * time.Second, 0, 1_002_000, 0},
		{"a large step is reported and not adopted", time.Hour, time.Second, 1_003_000, 1},
		{"nor 59 s later", 59 * time.Second, 59 * time.Second, 1_062_000, 1},
		{"but after a minute", time.Second, time.Second, 1_062_000 + 3_600_000, 1},
		{"and then it is in step", time.Second, time.Second, 1_063_000 + 3_600_000, 1},
	} {
		got := step(one.wall, one.mono)
		if got < one.want-1000 || got > one.want+1000 {
			t.Errorf("%s: now %d, want about %d", one.name, got, one.want)
		}
		if len(jumps) != one.jumps {
			t.Errorf("%s: %d jumps reported, want %d", one.name, len(jumps), one.jumps)
		}
	}
}
