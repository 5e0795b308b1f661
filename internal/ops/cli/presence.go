package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
)

// presenceCommand prints who is, or was, in a presence channel.
type presenceCommand struct {
	remote  `embed:""`
	Channel string `arg:"" help:"Presence channel."`
	At      string `name:"at" placeholder:"WHEN" help:"As of then: a serial, a time (2030-01-31T12:00:00Z) or how long ago (10m)."`
	History bool   `name:"history" help:"Print who came and went, and why, instead of who is there."`
	Follow  bool   `name:"follow" short:"f" help:"Go on: print who comes and goes."`
	JSON    bool   `name:"json" help:"Print JSON; of transitions one object per line."`
}

// Run prints members or transitions.
func (c *presenceCommand) Run(env *Env) error {
	at, err := momentOf(c.At, time.Now())
	if err != nil {
		return err
	}
	if c.Follow && c.At != "" {
		return errors.New("--follow goes on from now: leave --at out")
	}
	p := &client.Presence{Server: c.server(), Channel: c.Channel, Waiting: func(err error, _ time.Duration) {
		fmt.Fprintf(env.Stderr, "waiting for the server: %v\n", err)
	}}
	var after client.Cursor
	if c.History {
		after, err = p.History(env.Context, at, func(t client.Transition) error { return c.transition(env, t) })
	} else {
		after, err = c.members(env, p, at)
	}
	if err == nil && c.Follow {
		err = p.Follow(env.Context, after, func(t client.Transition) error { return c.transition(env, t) }, func() {
			fmt.Fprintln(env.Stderr, "# the history was reset")
		})
	}
	if err != nil {
		return hint(err, c.URL)
	}
	return nil
}

// momentOf reads --at: digits are a serial, a duration is that long ago, anything else a time.
func momentOf(s string, now time.Time) (m client.Moment, err error) {
	if s == "" {
		return m, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		m.Serial = &n
		return m, nil
	}
	var at time.Time
	if d, err := time.ParseDuration(s); err == nil {
		at = now.Add(-d.Abs())
	} else if at, err = time.Parse(time.RFC3339, s); err != nil {
		if at, err = time.ParseInLocation("2006-01-02T15:04:05", s, time.Local); err != nil {
			return m, fmt.Errorf("--at %s: expected a serial (42), a time (2030-01-31T12:00:00Z) or how long ago (10m)", s)
		}
	}
	ms := at.UnixMilli()
	m.Time = &ms
	return m, nil
}

func (c *presenceCommand) members(env *Env, p *client.Presence, at client.Moment) (client.Cursor, error) {
	ctx, cancel := context.WithTimeout(env.Context, 15*time.Second)
	defer cancel()
	m, err := p.Members(ctx, at)
	if err != nil {
		return client.Cursor{}, err
	}
	after := client.Cursor{Stream: m.Continuity.Stream, Serial: m.Serial}
	if m.Continuity.Degraded {
		fmt.Fprintln(env.Stderr, "# the log could not be written for a while: the history misses transitions")
	}
	if c.JSON {
		return after, printJSON(env, m)
	}
	w := tabwriter.NewWriter(env.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "USER\tSINCE\tLAST\tINFO")
	for _, one := range m.Members {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", one.User, clock(one.Time), one.Event, one.Info)
	}
	fmt.Fprintf(w, "%d members at serial %d\n", m.Count, m.Serial)
	return after, w.Flush()
}

func (c *presenceCommand) transition(env *Env, t client.Transition) error {
	if c.JSON {
		out := json.NewEncoder(env.Stdout)
		out.SetEscapeHTML(false)
		return out.Encode(t)
	}
	conn := ""
	if t.Connection != nil {
		conn = *t.Connection
	}
	seen := ""
	if t.Observed > 0 {
		seen = " last seen " + clock(t.Observed)
	}
	_, err := fmt.Fprintf(env.Stdout, "%d %s %s %s (%s %s)%s\n", t.Serial, clock(t.Time), t.Event, t.User, t.Cause, conn, seen)
	return err
}

// clock shows a time in unix ms.
func clock(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02T15:04:05.000Z07:00") }
