// Package limit counts what clients may do, by token buckets, windows and quotas that are told what time it is.
//
// All of them are small values without locks: whoever owns one (a connection, an app) guards it. Times are durations
// since any fixed origin, best a monotonic one; a time that runs backwards never allows more.
package limit

import (
	"math"
	"time"
)

// Rate is how fast a bucket refills and how much it holds. The zero Rate is unlimited.
type Rate struct {
	every time.Duration // one token per this time; 0 = unlimited
	burst int64         // tokens in a full bucket
}

// NewRate allows n events per span, and burst at once (0: n). n or span of 0 or less is unlimited. A rate of more than
// one event per nanosecond is unlimited too.
func NewRate(n int, per time.Duration, burst int) Rate {
	if n <= 0 || per <= 0 || int64(n) > int64(per) {
		return Rate{}
	}
	if burst <= 0 {
		burst = n
	}
	every := per / time.Duration(n)
	return Rate{every: every, burst: min(int64(burst), int64(math.MaxInt64/4)/int64(every))}
}

// PerSecond allows n events per second and n at once; 0 or less is unlimited.
func PerSecond(n int) Rate { return NewRate(n, time.Second, n) }

// Unlimited reports whether the rate limits nothing.
func (r Rate) Unlimited() bool { return r.every == 0 }

// Burst is how many events a full bucket allows at once.
func (r Rate) Burst() int { return int(r.burst) }

// Bucket is a token bucket in eight bytes: it remembers only when it will be full again. The zero Bucket is full.
type Bucket struct {
	full time.Duration
}

// Take takes n tokens, or none: then retry is how long to wait until they are there. More than a full bucket holds can
// never be had: retry is negative.
func (b *Bucket) Take(r Rate, n int, now time.Duration) (ok bool, retry time.Duration) {
	if r.Unlimited() || n <= 0 {
		return true, 0
	}
	if int64(n) > r.burst {
		return false, -1
	}
	full := max(b.full, now) + time.Duration(n)*r.every
	if wait := full - now - time.Duration(r.burst)*r.every; wait > 0 {
		return false, wait
	}
	b.full = full
	return true, 0
}

// Left is how many tokens could be taken at once.
func (b *Bucket) Left(r Rate, now time.Duration) int {
	if r.Unlimited() {
		return math.MaxInt
	}
	missing := (max(b.full, now) - now + r.every - 1) / r.every
	return int(max(0, r.burst-int64(missing)))
}

// Reset is how long it takes, without further takes, until the bucket is full.
func (b *Bucket) Reset(now time.Duration) time.Duration { return max(0, b.full-now) }
