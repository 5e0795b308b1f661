package limit

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestBucket(t *testing.T) {
	r := NewRate(10, time.Second, 3)
	var b Bucket
	for i, step := range []struct {
		at    time.Duration
		n     int
		ok    bool
		retry time.Duration
		left  int // afterwards
	}{
		{0, 1, true, 0, 2},
		{0, 2, true, 0, 0},
		{0, 1, false, 100 * ms, 0},
		{99 * ms, 1, false, 1 * ms, 0},
		{100 * ms, 1, true, 0, 0},
		{100 * ms, 3, false, 300 * ms, 0},
		{50 * ms, 1, false, 150 * ms, 0}, // time ran backwards
		{250 * ms, 1, true, 0, 0},
		{10 * time.Second, 3, true, 0, 0},
		{20 * time.Second, 4, false, -1, 3},
		{20 * time.Second, 0, true, 0, 3},
	} {
		ok, retry := b.Take(r, step.n, step.at)
		if ok != step.ok || retry != step.retry {
			t.Errorf("step %d: Take = %v, %v", i, ok, retry)
		}
		if left := b.Left(r, step.at); left != step.left {
			t.Errorf("step %d: Left = %d, want %d", i, left, step.left)
		}
	}
	if got := b.Reset(10 * time.Second); got != 300*ms {
		t.Errorf("Reset = %v", got)
	}
	if got := b.Reset(time.Hour); got != 0 {
		t.Errorf("Reset = %v", got)
	}
}

func TestRate(t *testing.T) {
	for _, r := range []Rate{{}, NewRate(0, time.Second, 5), NewRate(5, 0, 5), NewRate(-1, time.Second, 0), PerSecond(0), NewRate(math.MaxInt, time.Second, 1)} {
		if !r.Unlimited() {
			t.Errorf("%+v is limited", r)
		}
		var b Bucket
		if ok, _ := b.Take(r, math.MaxInt, 0); !ok || b != (Bucket{}) || b.Left(r, 0) != math.MaxInt {
			t.Errorf("%+v refused", r)
		}
	}
	if r := PerSecond(7); r.Burst() != 7 || r.every != time.Second/7 {
		t.Errorf("%+v", r)
	}
	r := NewRate(1, time.Hour, math.MaxInt)
	var b Bucket
	if ok, _ := b.Take(r, r.Burst(), time.Duration(math.MaxInt64/4)); !ok {
		t.Error("a huge burst overflowed")
	}
	if ok, retry := b.Take(r, 1, time.Duration(math.MaxInt64/4)); ok || retry <= 0 {
		t.Error("a huge burst overflowed")
	}
}

// TestBucketNeverOverallows draws random rates and times: whatever the takes, the tokens given out in any time since
// the start never exceed burst + elapsed / every, and a take that was told to wait succeeds after that wait.
func TestBucketNeverOverallows(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		r := NewRate(1+rnd.IntN(1000), time.Duration(1+rnd.IntN(5000))*ms, 1+rnd.IntN(50))
		var b Bucket
		var now, taken int64
		for range 500 {
			now += rnd.Int64N(int64(r.every) * 3)
			n := 1 + rnd.IntN(int(r.burst))
			left := b.Left(r, time.Duration(now))
			ok, retry := b.Take(r, n, time.Duration(now))
			if ok != (n <= left) {
				t.Fatalf("%+v: %d left, take %d: %v", r, left, n, ok)
			}
			if !ok {
				probe := b
				if ok, _ := probe.Take(r, n, time.Duration(now)+retry-1); ok {
					t.Fatalf("%+v: waiting %v was too long", r, retry)
				}
				probe = b
				if ok, _ := probe.Take(r, n, time.Duration(now)+retry); !ok {
					t.Fatalf("%+v: waiting %v was too short", r, retry)
				}
				continue
			}
			taken += int64(n)
			if taken > r.burst+now/int64(r.every) {
				t.Fatalf("%+v: %d taken in %v", r, taken, time.Duration(now))
			}
		}
	}
}

func TestWindow(t *testing.T) {
	var w Window
	for i, step := range []struct {
		at    time.Duration
		ok    bool
		retry time.Duration
	}{
		{0, true, 0},
		{500 * ms, true, 0},
		{999 * ms, false, 1 * ms},
		{-5 * ms, false, time.Second}, // time ran backwards
		{1000 * ms, true, 0},
		{1001 * ms, true, 0},
		{1002 * ms, false, 998 * ms},
		{9000 * ms, true, 0},
	} {
		if ok, retry := w.Allow(2, time.Second, step.at); ok != step.ok || retry != step.retry {
			t.Errorf("step %d: %v, %v", i, ok, retry)
		}
	}
	for range 100 {
		if ok, _ := w.Allow(0, time.Second, 0); !ok {
			t.Fatal("no limit refused")
		}
		if ok, _ := w.Allow(2, 0, 0); !ok {
			t.Fatal("no span refused")
		}
	}
	if ok, _ := w.Allow(1, time.Second, 9001*ms); ok {
		t.Error("a limit that was lowered is not kept")
	}
}

func TestQuota(t *testing.T) {
	var q Quota
	q.Give()
	for i, want := range []bool{true, true, false} {
		if q.Take(2) != want {
			t.Errorf("take %d: %v", i, !want)
		}
	}
	if q.Used() != 2 {
		t.Errorf("used %d", q.Used())
	}
	q.Give()
	if !q.Take(2) || q.Take(1) {
		t.Error("after giving back")
	}
	if !q.Take(0) || q.Used() != 3 {
		t.Error("an unlimited quota must still count")
	}
}

func BenchmarkTake(b *testing.B) {
	r := PerSecond(1000)
	var bucket Bucket
	var now time.Duration
	b.ReportAllocs()
	for b.Loop() {
		now += 900 * time.Microsecond
		bucket.Take(r, 1, now)
	}
}
