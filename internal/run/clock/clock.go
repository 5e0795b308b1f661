// Package clock gives the time that entries are stamped with: the wall clock, held to the monotonic one.
package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// A forward jump of the wall clock of more than this against the monotonic clock is not believed at once …
const maxJump = 5 * time.Second

// … but adopted when it has lasted this long.
const adoptAfter = time.Minute

// Options of a Clock. The zero value uses the machine's clocks.
type Options struct {
	Wall func() time.Time // time.Now
	// Mono is the monotonic time since some moment.
	Mono func() time.Duration
	// Jump is told once of every forward jump.
	Jump func(by time.Duration)
}

// Clock gives unix ms. It never runs faster than the monotonic clock by more than a jump that has lasted for a minute,
// so that one bad step of the wall clock does not push the times of entries, which never run backwards, into the
// future. Now may be called concurrently.
type Clock struct {
	opts   Options
	offset atomic.Int64 // wall minus monotonic, ns, as last believed
	since  atomic.Int64 // monotonic ns at which a jump was first seen, 0 none
}

// New makes a clock that believes the wall clock as it is now.
func New(o Options) *Clock {
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Mono == nil {
		start := time.Now()
		o.Mono = func() time.Duration { return time.Since(start) }
	}
	c := &Clock{opts: o}
	c.offset.Store(o.Wall().UnixNano() - int64(o.Mono()))
	return c
}

// Now is the time in unix ms.
func (c *Clock) Now() int64 {
	return (c.offset.Load() + int64(c.opts.Mono())) / int64(time.Millisecond)
}

// Check compares the clocks once: small steps and steps backwards are adopted at once, a large step forward when it
// has lasted for a minute.
func (c *Clock) Check() {
	mono := int64(c.opts.Mono())
	offset := c.opts.Wall().UnixNano() - mono
	ahead := time.Duration(offset - c.offset.Load())
	if ahead <= maxJump {
		c.since.Store(0)
		c.offset.Store(offset)
		return
	}
	first := c.since.Load()
	switch {
	case first == 0:
		c.since.Store(max(1, mono))
		if c.opts.Jump != nil {
			c.opts.Jump(ahead)
		}
	case time.Duration(mono-first) >= adoptAfter:
		c.since.Store(0)
		c.offset.Store(offset)
	}
}

// Run checks every second until ctx ends.
func (c *Clock) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			c.Check()
		}
	}
}
