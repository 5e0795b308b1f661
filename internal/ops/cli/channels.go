package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/continuo-rt/continuo/internal/ops/control"
)

// channelsCommand lists channels.
type channelsCommand struct {
	reach  `embed:""`
	Prefix string `name:"prefix" help:"Only channels whose names begin with this."`
	Limit  int    `name:"limit" short:"n" default:"1000" help:"At most so many; 0 lists all (${default})."`
	JSON   bool   `name:"json" help:"Print a JSON object."`
}

// Help shows examples.
func (channelsCommand) Help() string {
	return "Over the control socket all channels that have a log or subscribers are listed; over HTTP those that have subscribers.\n\n" + examples(
		"continuo channels", "every channel of the server that uses ./continuo-data",
		"continuo channels --prefix prices: --json | jq -r '.channels[].channel'", "names alone",
		"continuo channels --url https://rt.example.com --app shop --key shop-key --secret \"$SECRET\"", "those of a server elsewhere")
}

// Run prints them.
func (c *channelsCommand) Run(env *Env) error {
	a, err := c.open(env.Context)
	if err != nil {
		return err
	}
	var all control.Channels
	if a.local() {
		all, err = c.stored(env, a)
	} else {
		all, err = c.occupied(env, a)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env, all)
	}
	if len(all.Channels) == 0 {
		_, err := fmt.Fprintln(env.Stdout, "no channels")
		return err
	}
	rows := [][]string{{"CHANNEL", "SUBSCRIBERS", "ENTRIES", "SIZE", "HEAD", "NEWEST", "DURABILITY"}}
	for _, ch := range all.Channels {
		row := []string{ch.Channel, strconv.Itoa(ch.Subscribers), "", "", "", "", ""}
		if a.local() {
			row = []string{ch.Channel, strconv.Itoa(ch.Subscribers), strconv.FormatUint(ch.Entries, 10), size(ch.Bytes), strconv.FormatUint(ch.Head, 10), moment(ch.HeadTime), ch.Durability}
		}
		rows = append(rows, row)
	}
	if !a.local() {
		for i := range rows {
			rows[i] = rows[i][:2]
		}
	}
	if err := table(env.Stdout, "lrrrr", rows...); err != nil {
		return err
	}
	if all.Next != "" {
		_, err = fmt.Fprintf(env.Stderr, "there are more: --limit 0 lists all\n")
	}
	return err
}

// stored asks the control socket, page by page.
func (c *channelsCommand) stored(env *Env, a *api) (control.Channels, error) {
	all := control.Channels{Channels: []control.Channel{}}
	for after := ""; ; {
		q := url.Values{"prefix": {c.Prefix}, "after": {after}, "app": {c.App}}
		if c.Limit > 0 {
			q.Set("limit", strconv.Itoa(min(1000, c.Limit-len(all.Channels))))
		}
		var page control.Channels
		if err := a.get(env.Context, "/control/channels", q, &page); err != nil {
			return all, err
		}
		all.App, all.Next = page.App, page.Next
		all.Channels = append(all.Channels, page.Channels...)
		if page.Next == "" || c.Limit > 0 && len(all.Channels) >= c.Limit {
			return all, nil
		}
		after = page.Next
	}
}

// occupied asks the HTTP API.
func (c *channelsCommand) occupied(env *Env, a *api) (control.Channels, error) {
	app, err := c.app(env.Context, a)
	if err != nil {
		return control.Channels{}, err
	}
	counts, err := subscriptions(env.Context, a, app, c.Prefix)
	if err != nil {
		return control.Channels{}, err
	}
	all := control.Channels{App: app, Channels: []control.Channel{}}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if c.Limit > 0 && len(all.Channels) == c.Limit {
			all.Next = all.Channels[c.Limit-1].Channel
			break
		}
		all.Channels = append(all.Channels, control.Channel{Channel: name, Subscribers: counts[name]})
	}
	return all, nil
}

func subscriptions(ctx context.Context, a *api, app, prefix string) (map[string]int, error) {
	q := url.Values{"info": {"subscription_count"}}
	if prefix != "" {
		q.Set("filter_by_prefix", prefix)
	}
	var answer struct {
		Channels map[string]struct {
			Count *int `json:"subscription_count"`
		} `json:"channels"`
	}
	if err := a.get(ctx, "/apps/"+url.PathEscape(app)+"/channels", q, &answer); err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for name, ch := range answer.Channels {
		one := 1
		counts[name] = *cmp.Or(ch.Count, &one)
	}
	return counts, nil
}
