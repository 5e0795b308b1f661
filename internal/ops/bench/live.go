package bench

import (
	"context"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/driver"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
)

// Live is delivery at a steady rate: every channel has subscribers, and messages go round the channels.
type Live struct {
	Channels    int
	Subscribers int // of each channel
	Publishers  int
	Rate        float64 // publishes per second, all channels together
	Duration    time.Duration
	Warmup      time.Duration // the same load before anything is measured
}

// Run measures it.
func (l Live) Run(ctx context.Context, t Target) (report.Result, error) {
	t = t.withDefaults()
	workload := "fan-out"
	if l.Channels > 1 {
		workload = "channels"
	}
	r := t.result(workload)
	r.Set("channels", l.Channels)
	r.Set("subscribers each", l.Subscribers)
	r.Set("publishes", report.Number(l.Rate)+"/s")
	r.Set("publishers", l.Publishers)
	if err := positive(l.Channels, l.Subscribers, l.Publishers, int(l.Rate), int(l.Duration)); err != nil {
		return r, err
	}
	l.Publishers = min(l.Publishers, l.lanes())
	tally := newTally()
	subs := make([]driver.Sub, l.Channels*l.Subscribers)
	for i := range subs {
		subs[i].Channel = t.channel(i / l.Subscribers)
	}
	swarm := newSwarm(t, tally, subs, func(i int) (uint32, int) {
		if l.Channels == 1 {
			return 0, l.lanes()
		}
		return uint32(i / l.Subscribers), 1
	})
	t.Progress("connecting %d subscribers", len(subs))
	if err := swarm.open(ctx); err != nil {
		return r, err
	}
	defer swarm.close()
	press, err := newPress(ctx, t, tally, l.Publishers, l.lanes(), false)
	if err != nil {
		return r, err
	}
	defer press.close()
	return r, l.measure(ctx, t, &r, swarm, press)
}

// lanes is one for each publisher when all share a channel, else one for each channel.
func (l Live) lanes() int {
	if l.Channels == 1 {
		return l.Publishers
	}
	return l.Channels
}

func (l Live) pick(t Target) func(w, k int) (string, int) {
	if l.Channels == 1 {
		only := t.channel(0)
		return func(w, _ int) (string, int) { return only, w }
	}
	names := make([]string, l.Channels)
	for i := range names {
		names[i] = t.channel(i)
	}
	return func(w, k int) (string, int) {
		mine := (l.Channels - w + l.Publishers - 1) / l.Publishers // channels w, w+P, w+2P …
		i := k%mine*l.Publishers + w
		return names[i], i
	}
}

func (l Live) measure(ctx context.Context, t Target, r *report.Result, swarm *swarm, press *press) error {
	pick := l.pick(t)
	tally := swarm.tally
	t.Progress("warming up for %v", l.Warmup)
	if err := press.rate(ctx, l.Rate, l.Warmup, pick); err != nil {
		return err
	}
	tally.settled(ctx, press.published.Load()*uint64(l.Subscribers), t.Patience)
	warm := press.published.Load()
	m, err := t.meter()
	if err != nil {
		return err
	}
	t.Progress("publishing %s/s for %v", report.Number(l.Rate), l.Duration)
	tally.begin()
	if err := press.rate(ctx, l.Rate, l.Duration, pick); err != nil {
		return err
	}
	wall := time.Since(m.began)
	tally.settled(ctx, press.published.Load()*uint64(l.Subscribers), t.Patience)
	s, err := m.read()
	if err != nil {
		return err
	}
	s.wall = min(s.wall, wall+time.Second) // waiting for lost messages is no part of the throughput
	published := press.published.Load() - warm
	r.Add("publishes", float64(published), "", "")
	tally.add(r, s, published*uint64(l.Subscribers))
	r.Add("publish answered p50", press.answer.Quantile(0.5).Seconds()*1000, "ms", "")  // of those that are answered:
	r.Add("publish answered p99", press.answer.Quantile(0.99).Seconds()*1000, "ms", "") // not comparable between protocols
	press.add(r)
	s.add(r)
	if achieved := float64(published) / wall.Seconds(); achieved < 0.95*l.Rate {
		r.Warn("only %s publishes/s were reached", report.Number(achieved))
	}
	return swarm.health()
}

// add notes publishes that failed.
func (p *press) add(r *report.Result) {
	r.Add("publish errors", float64(p.failed.Load()), "", report.Less)
	if n := p.failed.Load(); n > 0 {
		r.Warn("%d publishes failed, the first with: %s", n, *p.reason.Load())
	}
}
