package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/driver"
	"github.com/continuo-rt/continuo/internal/ops/bench/hist"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
	"github.com/continuo-rt/continuo/internal/ops/bench/stamp"
)

// Storm is what follows a network failure: every client was cut off, messages were published meanwhile, and now all come
// back at once, each with its cursor, to get what it missed.
type Storm struct {
	Clients  int
	Channels int           // that the clients are spread over
	Missed   int           // messages on each channel while nobody was connected
	Settle   time.Duration // between the cut and the publishes, and again before the storm
}

// Run measures it.
func (st Storm) Run(ctx context.Context, t Target) (report.Result, error) {
	t = t.withDefaults()
	r := t.result("storm")
	r.Set("clients", st.Clients)
	r.Set("channels", st.Channels)
	r.Set("missed by each", st.Missed)
	if err := positive(st.Clients, st.Channels, st.Missed); err != nil {
		return r, err
	}
	if !t.Protocol.Recovers() {
		return r, fmt.Errorf("protocol %s has no recovery to measure", t.Protocol.Name())
	}
	tally := newTally()
	subs := make([]driver.Sub, st.Clients)
	for i := range subs {
		subs[i] = driver.Sub{Channel: t.channel(i % st.Channels), Track: true}
	}
	swarm := newSwarm(t, tally, subs, func(i int) (uint32, int) { return uint32(i % st.Channels), 1 })
	press, err := newPress(ctx, t, tally, 1, st.Channels, true)
	if err != nil {
		return r, err
	}
	defer press.close()
	if err := st.prepare(ctx, t, swarm, press); err != nil {
		return r, err
	}
	return r, st.measure(ctx, t, &r, swarm, press)
}

// publish sends n messages to every channel.
func (st Storm) publish(ctx context.Context, t Target, p *press, n int) error {
	for range n {
		for c := range st.Channels {
			p.publish(ctx, 0, t.channel(c), c)
			if err := errors.Join(p.health(), ctx.Err()); err != nil {
				return err
			}
		}
	}
	if n := p.failed.Load(); n > 0 {
		return fmt.Errorf("%d publishes failed, the first with: %s", n, *p.reason.Load())
	}
	return nil
}

// prepare connects everyone, shows each one message so that it has a cursor, cuts all off and publishes what they miss.
func (st Storm) prepare(ctx context.Context, t Target, swarm *swarm, p *press) error {
	t.Progress("connecting %d subscribers", st.Clients)
	if err := swarm.open(ctx); err != nil {
		return err
	}
	err := st.publish(ctx, t, p, 1)
	arrived := err == nil && swarm.tally.settled(ctx, uint64(st.Clients), t.Patience)
	swarm.close()
	if err != nil {
		return err
	}
	if !arrived {
		return fmt.Errorf("the first message reached %d of %d clients", swarm.tally.all.Load(), st.Clients)
	}
	for _, m := range swarm.members {
		m.sub.From = m.session.Cursor()
		m.sub.Track = false
	}
	if err := settle(ctx, st.Settle); err != nil {
		return err
	}
	t.Progress("publishing %d messages to %d channels while nobody is connected", st.Missed, st.Channels)
	if err := st.publish(ctx, t, p, st.Missed); err != nil {
		return err
	}
	return settle(ctx, st.Settle)
}

func (st Storm) measure(ctx context.Context, t Target, r *report.Result, swarm *swarm, p *press) error {
	var whole hist.Histogram // from a client's first byte to its last missed message
	var complete atomic.Int64
	for i, m := range swarm.members {
		lane := uint32(i % st.Channels)
		m.onMark = func(m *member, _ stamp.Stamp) {
			if m.track.Seen(lane) == uint32(1+st.Missed) {
				whole.Record(time.Since(m.dialled))
				complete.Add(1)
			}
		}
	}
	m, err := t.meter()
	if err != nil {
		return err
	}
	t.Progress("%d clients come back", st.Clients)
	if err := swarm.open(ctx); err != nil {
		return err
	}
	defer swarm.close()
	expected := uint64(st.Clients) * uint64(1+st.Missed)
	arrived := swarm.tally.settled(ctx, expected, t.Patience)
	s, err := m.read()
	if err != nil {
		return err
	}
	recovered := float64(swarm.tally.all.Load()) - float64(st.Clients)
	r.Add("recovered messages", recovered, "", "")
	r.Add("clients complete", float64(complete.Load()), "", report.More)
	if !arrived {
		r.Warn("%d of %d clients did not get all they had missed", int64(st.Clients)-complete.Load(), st.Clients)
		s.wall -= t.Patience
	}
	r.Add("time until all were complete", s.wall.Seconds(), "s", report.Less)
	if s.known {
		r.Add("server CPU", s.server.CPU.Seconds(), "s", report.Less)
		r.Add("server CPU per recovered message", s.server.CPU.Seconds()/recovered*1e6, "µs", report.Less)
		r.Add("server RSS", float64(s.total.RSS)/(1<<20), "MiB", "")
	}
	r.Latency("connect to complete", &whole)
	swarm.tally.faults(r)
	p.add(r)
	return swarm.health()
}
