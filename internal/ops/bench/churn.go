package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/driver"
	"github.com/continuo-rt/continuo/internal/ops/bench/hist"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
	"github.com/continuo-rt/continuo/internal/ops/bench/sock"
	"github.com/continuo-rt/continuo/internal/ops/bench/stamp"
)

// Churn is clients that connect, subscribe and leave again, without end, while others stay. With a channel prefix of
// "presence-" (Pusher protocol) those who stay are told of every join and leave.
type Churn struct {
	Workers   int // clients coming and going at the same time
	Residents int // clients that stay
	Channels  int
	Duration  time.Duration
	Count     int // joins in all, 0 for as many as the duration allows
}

// Run measures it.
func (c Churn) Run(ctx context.Context, t Target) (report.Result, error) {
	t = t.withDefaults()
	r := t.result("churn")
	r.Set("workers", c.Workers)
	r.Set("residents", c.Residents)
	r.Set("channels", c.Channels)
	if err := positive(c.Workers, c.Channels, int(c.Duration)); err != nil {
		return r, err
	}
	subs := make([]driver.Sub, c.Residents)
	for i := range subs {
		subs[i].Channel = t.channel(i % c.Channels)
	}
	swarm := newSwarm(t, newTally(), subs, func(int) (uint32, int) { return 0, 0 })
	if c.Residents > 0 {
		t.Progress("connecting %d residents", c.Residents)
		if err := swarm.open(ctx); err != nil {
			return r, err
		}
		defer swarm.close()
	}
	m, err := t.meter()
	if err != nil {
		return r, err
	}
	t.Progress("%d clients come and go for %v", c.Workers, c.Duration)
	var j joins
	c.drive(ctx, t, &j)
	s, err := m.read()
	if err != nil {
		return r, err
	}
	n := float64(j.done.Load())
	r.Add("joins", n, "", "")
	r.Add("joins per second", n/s.wall.Seconds(), "/s", report.More)
	if s.known {
		r.Add("server CPU per join and leave", s.server.CPU.Seconds()*1000/n, "ms", report.Less)
		r.Add("server RSS gained", float64(s.server.RSS)/(1<<20), "MiB", "")
	}
	r.Latency("connect to subscribed", &j.latency)
	r.Add("failed joins", float64(j.failed.Load()), "", report.Less)
	if failed := j.failed.Load(); failed > 0 {
		r.Warn("%d joins failed, the first with: %s", failed, *j.reason.Load())
	}
	s.add(&r)
	if err := ctx.Err(); err != nil {
		return r, err
	}
	return r, swarm.health()
}

// joins is what the workers of a run count together.
type joins struct {
	next    atomic.Int64
	done    atomic.Uint64
	failed  atomic.Uint64
	reason  atomic.Pointer[string]
	latency hist.Histogram
}

func (c Churn) drive(ctx context.Context, t Target, j *joins) {
	end := time.Now().Add(c.Duration)
	var wg sync.WaitGroup
	for range c.Workers {
		wg.Go(func() {
			for ctx.Err() == nil && time.Now().Before(end) && j.failed.Load() < maxFailures {
				i := int(j.next.Add(1)) - 1
				if c.Count > 0 && i >= c.Count {
					return
				}
				sub := driver.Sub{Channel: t.channel(i % c.Channels), Index: c.Residents + i}
				took, err := visit(ctx, t, sub)
				if err != nil {
					if ctx.Err() == nil {
						j.failed.Add(1)
						text := err.Error()
						j.reason.CompareAndSwap(nil, &text)
					}
					continue
				}
				j.latency.Record(took)
				j.done.Add(1)
			}
		})
	}
	wg.Wait()
}

// visit is one client that comes, subscribes and goes. It returns how long it took until the subscription stood.
func visit(ctx context.Context, t Target, sub driver.Sub) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	start := time.Now()
	r := t.Protocol.Request(sub)
	const rotate = 100 // spread over source addresses early: a port rests for a while after each close
	r.Local = sock.SourceAddress(t.Address, sub.Index*rotate)
	conn, err := sock.Dial(ctx, r)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Drop() })
	defer stop()
	g := &guest{}
	session := t.Protocol.Session(sub, g)
	send := func(payload []byte) error { return conn.Write(t.Protocol.Op(), payload) }
	if err := session.Start(send); err != nil {
		return 0, err
	}
	for !g.ready {
		if err := conn.Read(func(payload []byte) error { return session.Feed(payload, send) }); err != nil {
			return 0, fmt.Errorf("before the subscription stood: %w", err)
		}
	}
	return time.Since(start), nil
}

// guest is the sink of a client that only wants to have been there.
type guest struct{ ready bool }

func (g *guest) Ready()              { g.ready = true }
func (g *guest) Message(stamp.Stamp) {}
