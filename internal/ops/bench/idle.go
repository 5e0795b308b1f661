package bench

import (
	"context"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/driver"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
)

// Idle is connections that do nothing, each with one subscription: what one of them costs.
type Idle struct {
	Connections int
	Channels    int           // that the connections are spread over
	Settle      time.Duration // after connecting, before memory is read: collectors and allocators get time to give back
}

// Run measures it.
func (i Idle) Run(ctx context.Context, t Target) (report.Result, error) {
	t = t.withDefaults()
	r := t.result("idle")
	r.Set("connections", i.Connections)
	r.Set("channels", i.Channels)
	if err := positive(i.Connections, i.Channels); err != nil {
		return r, err
	}
	i.Channels = min(i.Channels, i.Connections)
	tally := newTally()
	subs := make([]driver.Sub, i.Connections)
	for n := range subs {
		subs[n].Channel = t.channel(n % i.Channels)
	}
	swarm := newSwarm(t, tally, subs, func(n int) (uint32, int) { return uint32(n % i.Channels), 1 })
	m, err := t.meter()
	if err != nil {
		return r, err
	}
	t.Progress("connecting %d subscribers", i.Connections)
	if err := swarm.open(ctx); err != nil {
		return r, err
	}
	defer swarm.close()
	connected, err := m.read()
	if err != nil {
		return r, err
	}
	t.Progress("waiting %v", i.Settle)
	calm, err := t.meter()
	if err != nil {
		return r, err
	}
	if err := settle(ctx, i.Settle); err != nil {
		return r, err
	}
	s, err := calm.read()
	if err != nil {
		return r, err
	}
	n := float64(i.Connections)
	if s.known {
		r.Add("RSS per connection", float64(s.total.RSS-m.serverAt.RSS)/n/1024, "KiB", report.Less)
		r.Add("RSS per connection before settling", float64(connected.server.RSS)/n/1024, "KiB", "")
		r.Add("CPU per connect", connected.server.CPU.Seconds()*1000/n, "ms", report.Less)
	}
	r.Add("connects per second", n/connected.wall.Seconds(), "/s", "")
	s.add(&r)
	if err := i.probe(ctx, t, &r, tally); err != nil {
		return r, err
	}
	return r, swarm.health()
}

// probe proves that the connections still live: one message to each of up to 100 channels must reach its subscribers.
func (i Idle) probe(ctx context.Context, t Target, r *report.Result, tally *tally) error {
	press, err := newPress(ctx, t, tally, 1, i.Channels, true)
	if err != nil {
		return err
	}
	defer press.close()
	probed := min(i.Channels, 100)
	expected := uint64(0)
	for c := range probed {
		if !press.publish(ctx, 0, t.channel(c), c) {
			break
		}
		expected += uint64((i.Connections - c + i.Channels - 1) / i.Channels)
	}
	tally.settled(ctx, expected, t.Patience)
	press.add(r)
	tally.faults(r)
	if got := tally.all.Load(); got < expected {
		r.Warn("a probe reached %d of %d connections", got, expected)
	}
	return ctx.Err()
}
