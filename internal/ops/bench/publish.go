package bench

import (
	"context"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/report"
)

// Publish is publishing without subscribers: each connection sends the next message when the last was answered.
type Publish struct {
	Connections int
	Channels    int
	Duration    time.Duration
	Count       int // messages in all, 0 for as many as the duration allows
	Warmup      time.Duration
}

// Run measures it.
func (p Publish) Run(ctx context.Context, t Target) (report.Result, error) {
	t = t.withDefaults()
	r := t.result("publish")
	r.Set("connections", p.Connections)
	r.Set("channels", p.Channels)
	if p.Count > 0 {
		r.Set("messages", report.Number(float64(p.Count)))
	}
	if err := positive(p.Connections, p.Channels, int(p.Duration)); err != nil {
		return r, err
	}
	p.Connections = min(p.Connections, p.Channels) // a lane has one publisher
	tally := newTally()
	press, err := newPress(ctx, t, tally, p.Connections, p.Channels, true)
	if err != nil {
		return r, err
	}
	defer press.close()
	pick := Live{Channels: max(p.Channels, 2), Publishers: p.Connections}.pick(t)
	if p.Channels == 1 {
		pick = Live{Channels: 1, Publishers: 1}.pick(t)
	}
	if p.Warmup > 0 && p.Count == 0 {
		t.Progress("warming up for %v", p.Warmup)
		if err := press.loop(ctx, p.Warmup, 0, pick); err != nil {
			return r, err
		}
	}
	before := press.published.Load()
	m, err := t.meter()
	if err != nil {
		return r, err
	}
	t.Progress("publishing over %d connections for %v at most", p.Connections, p.Duration)
	tally.begin()
	if err := press.loop(ctx, p.Duration, p.Count, pick); err != nil {
		return r, err
	}
	s, err := m.read()
	if err != nil {
		return r, err
	}
	n := float64(press.published.Load() - before)
	r.Add("publishes", n, "", "")
	r.Add("publishes per second", n/s.wall.Seconds(), "/s", report.More)
	if s.known {
		r.Add("server CPU per publish", s.server.CPU.Seconds()/n*1e6, "µs", report.Less)
		r.Add("server RSS gained", float64(s.server.RSS)/(1<<20), "MiB", "")
	}
	r.Latency("publish answered", &press.answer)
	press.add(&r)
	s.add(&r)
	if p.Count > 0 && s.known {
		r.Add("server RSS at the end", float64(s.total.RSS)/(1<<20), "MiB", report.Less)
	}
	if p.Count > 0 && int(n) < p.Count {
		r.Warn("only %s of %s messages were published in %v", report.Number(n), report.Number(float64(p.Count)), p.Duration)
	}
	return r, nil
}
