// Package demo plays a made-up feed into a running server.
package demo

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
	"github.com/continuo-rt/continuo/internal/ops/demo/season"
)

// Options of Play.
type Options struct {
	Publisher *client.Publisher
	Seed      uint64
	// Speed is how many seconds of the season pass in a second; Rate, if set, publishes so many events a second instead,
	// whatever their times.
	Speed float64
	Rate  float64
	// Run names this run: its events have idempotency keys made from it.
	Run string
	// Batch is how many events a request may carry.
	Batch int
	// Events ends the demo after so many; 0 plays on.
	Events int
	// Told is called after each request; nil: nobody asks.
	Told func(Progress)
}

// Progress says how far a demo is.
type Progress struct {
	Events int
	Season time.Duration // how far the season has come
	Behind time.Duration // how late the last event was
}

// Play publishes a season until ctx ends, in order: an event is sent when all before it have been acknowledged.
func Play(ctx context.Context, o Options) (Progress, error) {
	p := player{Options: o, began: time.Now()}
	s := season.New(o.Seed)
	for n := 0; o.Events == 0 || n < o.Events; n++ {
		e := s.Next()
		due := p.due(n, e.At)
		full := len(p.batch) > 0 && (e.Delete || len(p.batch) >= max(1, o.Batch) || time.Until(due) > 0)
		if full {
			if err := p.flush(ctx); err != nil {
				return p.told, err
			}
		}
		if !wait(ctx, due) {
			return p.told, p.flush(context.WithoutCancel(ctx))
		}
		p.late = max(0, time.Since(due))
		if e.Delete {
			if err := o.Publisher.Delete(ctx, e.Channel, e.Key); err != nil {
				return p.told, fmt.Errorf("delete %s of %s: %w", e.Key, e.Channel, err)
			}
			p.count(1, e.At)
			continue
		}
		p.batch = append(p.batch, client.Message{Name: "UPDATE", Channel: e.Channel, Key: e.Key, Data: e.Data, Idempotency: o.Run + ":" + strconv.Itoa(n)})
		p.at = e.At
	}
	return p.told, p.flush(ctx)
}

type player struct {
	Options
	began time.Time
	batch []client.Message
	at    time.Duration // of the newest event of the batch
	late  time.Duration
	told  Progress
}

// due is when an event is to be published.
func (p *player) due(n int, at time.Duration) time.Time {
	if p.Rate > 0 {
		return p.began.Add(time.Duration(float64(n) / p.Rate * float64(time.Second)))
	}
	return p.began.Add(time.Duration(float64(at) / p.Speed))
}

func (p *player) flush(ctx context.Context) error {
	if len(p.batch) == 0 {
		return nil
	}
	if _, err := p.Publisher.Publish(ctx, p.batch...); err != nil {
		return fmt.Errorf("publish %d events: %w", len(p.batch), err)
	}
	n := len(p.batch)
	p.batch = p.batch[:0]
	p.count(n, p.at)
	return nil
}

func (p *player) count(n int, at time.Duration) {
	p.told.Events += n
	p.told.Season, p.told.Behind = at, p.late
	if p.Told != nil {
		p.Told(p.told)
	}
}

// wait returns false when ctx ends first.
func wait(ctx context.Context, until time.Time) bool {
	d := time.Until(until)
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
