package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/driver"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
)

// Loaded is fan-out of one channel as fast as it goes: a fixed number of messages is under way at any time, and the next is
// published when one has reached every subscriber.
type Loaded struct {
	Subscribers int
	InFlight    int
	Publishers  int // connections that the messages under way share
	Duration    time.Duration
	Warmup      time.Duration
}

// Run measures it.
func (l Loaded) Run(ctx context.Context, t Target) (report.Result, error) {
	t = t.withDefaults()
	r := t.result("fan-out-loaded")
	r.Set("subscribers", l.Subscribers)
	r.Set("in flight", l.InFlight)
	r.Set("publishers", l.Publishers)
	if err := positive(l.Subscribers, l.InFlight, l.Publishers, int(l.Duration)); err != nil {
		return r, err
	}
	tally := newTally()
	tally.lanes = make([]lane, l.InFlight)
	for i := range tally.lanes {
		tally.lanes[i].done = make(chan struct{}, 1)
	}
	subs := make([]driver.Sub, l.Subscribers)
	for i := range subs {
		subs[i].Channel = t.channel(0)
	}
	swarm := newSwarm(t, tally, subs, func(int) (uint32, int) { return 0, l.InFlight })
	t.Progress("connecting %d subscribers", len(subs))
	if err := swarm.open(ctx); err != nil {
		return r, err
	}
	defer swarm.close()
	press, err := newPress(ctx, t, tally, min(l.Publishers, l.InFlight), l.InFlight, false)
	if err != nil {
		return r, err
	}
	defer press.close()
	return r, l.measure(ctx, t, &r, swarm, press)
}

func (l Loaded) measure(ctx context.Context, t Target, r *report.Result, swarm *swarm, press *press) error {
	tally := swarm.tally
	t.Progress("warming up for %v", l.Warmup)
	if err := l.drive(ctx, t, press, l.Warmup, nil); err != nil {
		return err
	}
	m, err := t.meter()
	if err != nil {
		return err
	}
	t.Progress("keeping %d messages under way for %v", l.InFlight, l.Duration)
	tally.begin()
	warm := press.published.Load()
	var stalled atomic.Uint64
	if err := l.drive(ctx, t, press, l.Duration, &stalled); err != nil {
		return err
	}
	s, err := m.read()
	if err != nil {
		return err
	}
	published := press.published.Load() - warm
	r.Add("publishes", float64(published), "", "")
	tally.add(r, s, published*uint64(l.Subscribers))
	throughput := float64(tally.delivered.Load()) / s.wall.Seconds()
	r.Add("deliveries per second, loaded", throughput, "/s", report.More)
	if n := stalled.Load(); n > 0 {
		r.Warn("%d times a message did not reach every subscriber within %v", n, t.Patience)
	}
	press.add(r)
	s.add(r)
	return swarm.health()
}

// drive runs one goroutine for each lane. It returns when every lane's last message has arrived everywhere, or has not
// within the target's patience.
func (l Loaded) drive(ctx context.Context, t Target, p *press, d time.Duration, stalled *atomic.Uint64) error {
	end := time.Now().Add(d)
	channel := t.channel(0)
	var wg sync.WaitGroup
	for i := range p.tally.lanes {
		wg.Go(func() {
			timer := time.NewTimer(t.Patience)
			defer timer.Stop()
			lane := &p.tally.lanes[i]
			for time.Now().Before(end) && p.health() == nil && ctx.Err() == nil {
				select {
				case <-lane.done: // of a message that was given up
				default:
				}
				lane.left.Store(int64(l.Subscribers))
				if !p.publish(ctx, i%len(p.pubs), channel, i) {
					continue
				}
				timer.Reset(t.Patience)
				select {
				case <-lane.done:
				case <-ctx.Done():
					return
				case <-timer.C:
					if stalled != nil {
						stalled.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := p.health(); err != nil {
		return err
	}
	return ctx.Err()
}
