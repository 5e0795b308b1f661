package cli

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
	"github.com/continuo-rt/continuo/internal/ops/demo"
	"github.com/continuo-rt/continuo/internal/ops/demo/season"
)

// demoCommand groups the demonstrations.
type demoCommand struct {
	Feed demoFeedCommand `cmd:"" help:"Play a made-up sports season into a running server: channels fixtures, scores and odds."`
}

// demoFeedCommand plays a season.
type demoFeedCommand struct {
	remote `embed:""`
	Seed   uint64        `name:"seed" default:"1" help:"The same seed gives the same season."`
	Speed  float64       `name:"speed" default:"20" help:"Seconds of the season that pass in a second. 20 is about 60 events a second, on average."`
	Rate   float64       `name:"rate" help:"Publish so many events a second instead, whatever their times."`
	For    time.Duration `name:"for" help:"End after this time. Default: play on."`
	Events int           `name:"events" help:"End after so many events. Default: play on."`
	Batch  int           `name:"batch" default:"10" help:"Events per request."`
	Print  bool          `name:"print" help:"Print the events as JSON lines instead of publishing them (needs --events)."`
	JSON   bool          `name:"json" help:"Print JSON."`
}

// Run plays until it is told to stop.
func (c *demoFeedCommand) Run(env *Env) error {
	switch {
	case c.Print && c.Events <= 0:
		return errors.New("--print needs --events: a season has no end")
	case c.Print:
		return c.print(env)
	case c.Speed <= 0 && c.Rate <= 0:
		return errors.New("--speed must be above 0")
	}
	began := time.Now()
	live := terminal(env.Stderr) && !c.JSON
	told := began
	o := demo.Options{Seed: c.Seed, Speed: c.Speed, Rate: c.Rate, Run: rand.Text(), Batch: c.Batch, Events: c.Events,
		Publisher: &client.Publisher{Server: c.server(), Waiting: func(err error, _ time.Duration) { fmt.Fprintf(env.Stderr, "waiting for the server: %v\n", err) }},
		Told: func(p demo.Progress) {
			every := 5 * time.Second
			if live {
				every = 200 * time.Millisecond
			}
			if time.Since(told) < every || c.JSON {
				return
			}
			told = time.Now()
			end := "\n"
			if live {
				end = "\x1b[K\r"
			}
			fmt.Fprintf(env.Stderr, "%d events, %.0f/s, %s into the season%s", p.Events, float64(p.Events)/time.Since(began).Seconds(), p.Season.Truncate(time.Second), end)
		}}
	p, err := playFor(env, c.For, o)
	if err != nil && env.Context.Err() == nil {
		return hint(err, c.URL)
	}
	if c.JSON {
		return printJSON(env, map[string]any{"events": p.Events, "seconds": time.Since(began).Seconds(), "season_seconds": p.Season.Seconds()})
	}
	_, err = fmt.Fprintf(env.Stdout, "%d events in %s, %s of the season\n", p.Events, time.Since(began).Truncate(time.Millisecond), p.Season.Truncate(time.Second))
	return err
}

// print writes the events.
func (c *demoFeedCommand) print(env *Env) error {
	w := bufio.NewWriter(env.Stdout)
	e := json.NewEncoder(w)
	s := season.New(c.Seed)
	for range c.Events {
		next := s.Next()
		line := struct {
			At      int64           `json:"at_ms"`
			Channel string          `json:"channel"`
			Key     string          `json:"key"`
			Delete  bool            `json:"delete,omitempty"`
			Data    json.RawMessage `json:"data,omitempty"`
		}{next.At.Milliseconds(), next.Channel, next.Key, next.Delete, next.Data}
		if err := e.Encode(line); err != nil {
			return err
		}
	}
	return w.Flush()
}
