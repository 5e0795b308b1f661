package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/driver"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
)

// Hop is what joining and leaving costs those who have nothing to do with it. Connected clients receive messages at a
// steady rate; in every second round each of them also hops from one further channel to another. Rounds of both kinds
// alternate, so that a machine that is busy with other things is so for both.
type Hop struct {
	Channels    int     // that messages go to
	Subscribers int     // of each
	Rate        float64 // publishes per second, all channels together
	Hops        float64 // per second, of all clients together: each is a join and a leave
	Rounds      int     // of each kind
	Round       time.Duration
}

// hopped is how many channels the clients hop among.
const hopped = 1000

// Run measures it.
func (h Hop) Run(ctx context.Context, t Target) (report.Result, error) {
	t = t.withDefaults()
	r := t.result("hop")
	r.Set("clients", h.Channels*h.Subscribers)
	r.Set("publishes", report.Number(h.Rate)+"/s")
	r.Set("hops", report.Number(h.Hops)+"/s")
	r.Set("rounds", h.Rounds)
	live := Live{Channels: h.Channels, Subscribers: h.Subscribers, Publishers: min(4, h.Channels), Rate: h.Rate}
	if err := positive(h.Channels-1, h.Subscribers, int(h.Rate), int(h.Hops), h.Rounds, int(h.Round)); err != nil {
		return r, err
	}
	if _, ok := t.Protocol.Session(driver.Sub{}, nil).(driver.Joiner); !ok {
		return r, fmt.Errorf("clients of %s cannot hop", t.Protocol.Name())
	}
	tally := newTally()
	subs := make([]driver.Sub, h.Channels*h.Subscribers)
	for i := range subs {
		subs[i].Channel = t.channel(i / h.Subscribers)
	}
	swarm := newSwarm(t, tally, subs, func(i int) (uint32, int) { return uint32(i / h.Subscribers), 1 })
	t.Progress("connecting %d clients", len(subs))
	if err := swarm.open(ctx); err != nil {
		return r, err
	}
	defer swarm.close()
	press, err := newPress(ctx, t, tally, live.Publishers, live.lanes(), false)
	if err != nil {
		return r, err
	}
	defer press.close()
	return r, h.measure(ctx, t, &r, swarm, press, live.pick(t))
}

func (h Hop) measure(ctx context.Context, t Target, r *report.Result, swarm *swarm, press *press, pick func(w, k int) (string, int)) error {
	m, err := t.meter()
	if err != nil {
		return err
	}
	var quiet, busy []time.Duration
	hops, spent := 0, time.Duration(0)
	t.Progress("%d rounds of each kind, %v each", h.Rounds, h.Round)
	swarm.tally.begin()
	for round := range 2*h.Rounds + 1 {
		hopping := round%2 == 0 && round > 0
		var wg sync.WaitGroup
		began := time.Now()
		if hopping {
			wg.Go(func() { hops += h.hop(ctx, t, swarm) })
		}
		err := press.rate(ctx, h.Rate, h.Round, pick)
		wg.Wait()
		if err != nil {
			return err
		}
		swarm.tally.settled(ctx, press.published.Load()*uint64(h.Subscribers), t.Patience)
		p99 := swarm.tally.latency.Quantile(0.99)
		switch swarm.tally.latency.Reset(); {
		case round == 0: // warms up
		case hopping:
			busy, spent = append(busy, p99), spent+time.Since(began)
		default:
			quiet = append(quiet, p99)
		}
	}
	s, err := m.read()
	if err != nil {
		return err
	}
	for since := time.Now(); swarm.joined.Load() < uint64(hops) && time.Since(since) < t.Patience; {
		if err := settle(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	slices.Sort(quiet)
	slices.Sort(busy)
	q, b := quiet[len(quiet)/2], busy[len(busy)/2]
	r.Add("hops per second", float64(hops)/spent.Seconds(), "/s", report.More)
	r.Add("joins answered", float64(swarm.joined.Load()), "", "")
	r.Add("p99 while nobody hops, median of rounds", q.Seconds()*1000, "ms", report.Less)
	r.Add("p99 while clients hop, median of rounds", b.Seconds()*1000, "ms", report.Less)
	r.Add("ratio of the two", float64(b)/float64(q), "", report.Less)
	swarm.tally.faults(r)
	press.add(r)
	s.add(r)
	if missed := uint64(hops) - swarm.joined.Load(); missed > 0 {
		r.Warn("%d joins were not answered", missed)
	}
	return swarm.health()
}

// hop makes the clients hop for a round, evenly, and says how often one did.
func (h Hop) hop(ctx context.Context, t Target, swarm *swarm) (hops int) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := time.Now()
	interval := time.Duration(float64(time.Second) / h.Hops)
	for total := int(h.Round / interval); hops < total; hops++ {
		// In steps of a millisecond: the timer is not finer, and a late step catches up.
		if due := start.Add(time.Duration(hops) * interval); !waitUntil(ctx, timer, due.Truncate(time.Millisecond)) {
			return hops
		}
		m := swarm.members[hops%len(swarm.members)]
		to := m.session.(driver.Joiner)
		if m.at != "" && m.op(to.Leave(m.at)) != nil {
			return hops
		}
		m.at = t.Prefix + "hop-" + fmt.Sprint(hops%hopped)
		if m.op(to.Join(m.at)) != nil {
			return hops
		}
	}
	return hops
}
