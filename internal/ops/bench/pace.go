package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/driver"
	"github.com/continuo-rt/continuo/internal/ops/bench/hist"
	"github.com/continuo-rt/continuo/internal/ops/bench/stamp"
)

// press is a group of publishers, each with a connection and a goroutine of its own. A publisher owns its lanes, so that
// order within a lane is one the server has promised.
type press struct {
	target Target
	tally  *tally
	pubs   []driver.Publisher
	locks  []sync.Mutex // of each publisher, its scratch and its lanes
	seq    []uint32     // last seq of each lane
	buf    [][]byte     // scratch of each publisher

	answer    hist.Histogram // how long a publish took to be answered
	published atomic.Uint64
	failed    atomic.Uint64
	reason    atomic.Pointer[string]
}

func newPress(ctx context.Context, t Target, tally *tally, publishers, lanes int, acked bool) (*press, error) {
	p := &press{target: t, tally: tally, seq: make([]uint32, lanes), buf: make([][]byte, publishers),
		locks: make([]sync.Mutex, publishers)}
	for range publishers {
		pub, err := t.Protocol.Publisher(ctx, acked)
		if err != nil {
			p.close()
			return nil, fmt.Errorf("connecting a publisher: %w", err)
		}
		p.pubs = append(p.pubs, pub)
	}
	return p, nil
}

func (p *press) close() {
	for _, pub := range p.pubs {
		pub.Close()
	}
}

// publish sends the next message of a lane with publisher w, which must be the same for each message of a lane.
func (p *press) publish(ctx context.Context, w int, channel string, lane int) bool {
	p.locks[w].Lock()
	defer p.locks[w].Unlock()
	p.seq[lane]++
	at := p.tally.now()
	mark := stamp.Stamp{Lane: uint32(lane), Seq: p.seq[lane], Nano: at}
	p.buf[w] = stamp.Append(p.buf[w][:0], mark, p.target.Size)
	err := p.pubs[w].Publish(ctx, channel, p.buf[w])
	if err != nil {
		if ctx.Err() == nil {
			p.failed.Add(1)
			text := err.Error()
			p.reason.CompareAndSwap(nil, &text)
		}
		return false
	}
	p.published.Add(1)
	if at >= p.tally.since.Load() {
		p.answer.Record(time.Duration(p.tally.now() - at))
	}
	return true
}

// maxFailures ends a run in which nothing works; until then a failed publish is counted and the next one tried.
const maxFailures = 100

// health is an error once publishing is hopeless.
func (p *press) health() error {
	if n := p.failed.Load(); n >= maxFailures {
		return fmt.Errorf("%d publishes failed, the first with: %s", n, *p.reason.Load())
	}
	return nil
}

// rate publishes so many messages a second for as long as d, spread evenly over time and publishers. It keeps to the clock:
// when a server answers late, the messages that became due meanwhile follow at once, so that its delay is not hidden by a
// lower load. pick names the channel and lane of the k-th message of publisher w.
func (p *press) rate(ctx context.Context, perSecond float64, d time.Duration, pick func(w, k int) (channel string, lane int)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	interval := time.Duration(float64(time.Second) / perSecond)
	total := int(d / interval)
	var wg sync.WaitGroup
	for w := range p.pubs {
		wg.Go(func() {
			timer := time.NewTimer(0)
			defer timer.Stop()
			for k := 0; k*len(p.pubs)+w < total; k++ {
				due := start.Add(time.Duration(k*len(p.pubs)+w) * interval)
				if !waitUntil(ctx, timer, due) || time.Since(start) > d+p.target.Timeout || p.health() != nil {
					return
				}
				channel, lane := pick(w, k)
				p.publish(ctx, w, channel, lane)
			}
		})
	}
	wg.Wait()
	if err := p.health(); err != nil {
		return err
	}
	return ctx.Err()
}

// waitUntil returns at the given time, at once if it has passed, or with false when ctx ends.
func waitUntil(ctx context.Context, timer *time.Timer, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// loop publishes as fast as answers come, in every publisher, until the time or the number of messages is used up.
func (p *press) loop(ctx context.Context, d time.Duration, count int, pick func(w, k int) (channel string, lane int)) error {
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for w := range p.pubs {
		wg.Go(func() {
			for k := 0; count == 0 || k*len(p.pubs)+w < count; k++ {
				if ctx.Err() != nil || (k%16 == 0 && !time.Now().Before(end)) || p.health() != nil {
					return
				}
				channel, lane := pick(w, k)
				p.publish(ctx, w, channel, lane)
			}
		})
	}
	wg.Wait()
	if err := p.health(); err != nil {
		return err
	}
	return ctx.Err()
}
