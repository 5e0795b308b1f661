package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
)

// keysCommand groups what is done with API keys of the feed.
type keysCommand struct {
	Create keysCreateCommand `cmd:"" help:"Make an API key. Its secret is shown this once."`
	List   keysListCommand   `cmd:"" help:"List the API keys of an app."`
	Revoke keysRevokeCommand `cmd:"" help:"Revoke an API key and close its connections."`
}

// keysCreateCommand makes a key.
type keysCreateCommand struct {
	remote      `embed:""`
	Channels    []string `arg:"" help:"Channels that the key is entitled to: names, or patterns with * (quote them)."`
	ID          string   `name:"id" help:"Id of the key. Default: a random one."`
	Label       string   `name:"label" help:"What the client is called: its userId. Default: the id."`
	Filters     []string `name:"filter" sep:"none" placeholder:"FIELD=V,…" help:"Confine a login field to these values. Repeatable."`
	Connections int      `name:"connections" help:"Connections at once; 0 is unlimited."`
	Access      []string `name:"access" sep:"none" placeholder:"FLAG=BOOL" help:"Flag shown in login_ok. Repeatable."`
	Expires     string   `name:"expires" placeholder:"WHEN" help:"When the key ends: a duration from now (720h, 30d) or a time (2030-01-31 or 2030-01-31T12:00:00Z)."`
	JSON        bool     `name:"json" help:"Print JSON."`
}

// Run makes the key and prints what its client presents.
func (c *keysCreateCommand) Run(env *Env) error {
	k := client.FeedKey{ID: c.ID, Label: c.Label, Channels: c.Channels, Connections: c.Connections}
	var err error
	if k.Filters, err = filtersOf(c.Filters); err != nil {
		return err
	}
	if k.Access, err = flagsOf(c.Access); err != nil {
		return err
	}
	if c.Expires != "" {
		at, err := when(c.Expires, time.Now())
		if err != nil {
			return err
		}
		k.ExpiresAt = at.UnixMilli()
	}
	return c.with(env, func(ctx context.Context, keys *client.FeedKeys) error {
		made, err := keys.Create(ctx, k)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(env, made)
		}
		fmt.Fprintf(env.Stderr, "API key %s of app %s, entitled to %s. Keep it now: it is not shown again.\n", made.ID, c.App, strings.Join(made.Channels, ", "))
		_, err = fmt.Fprintln(env.Stdout, made.APIKey)
		return err
	})
}

// keysListCommand lists keys.
type keysListCommand struct {
	remote `embed:""`
	JSON   bool `name:"json" help:"Print JSON."`
}

// Run prints a table of the keys.
func (c *keysListCommand) Run(env *Env) error {
	return c.with(env, func(ctx context.Context, keys *client.FeedKeys) error {
		list, err := keys.List(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(env, list)
		}
		w := tabwriter.NewWriter(env.Stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tLABEL\tSTATE\tCHANNELS\tFILTERS\tCONNECTIONS\tFROM")
		for _, k := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Label, stateOf(&k, time.Now()), strings.Join(k.Channels, ","), showFilters(k.Filters),
				map[bool]string{true: "unlimited", false: strconv.Itoa(k.Connections)}[k.Connections == 0], map[bool]string{true: "configuration", false: "store"}[k.Configured])
		}
		return w.Flush()
	})
}

// keysRevokeCommand revokes keys.
type keysRevokeCommand struct {
	remote `embed:""`
	IDs    []string `arg:"" help:"Ids of the keys."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

// Run revokes one key after the other and says what became of each.
func (c *keysRevokeCommand) Run(env *Env) error {
	return c.with(env, func(ctx context.Context, keys *client.FeedKeys) error {
		var failed []error
		for _, id := range c.IDs {
			k, err := keys.Revoke(ctx, id)
			switch {
			case err != nil:
				failed = append(failed, fmt.Errorf("%s: %w", id, err))
			case c.JSON:
				failed = append(failed, printJSON(env, k))
			default:
				fmt.Fprintf(env.Stdout, "%s is revoked; its connections are closed\n", k.ID)
			}
		}
		return errors.Join(failed...)
	})
}

// with calls the server, and explains where it is not.
func (r *remote) with(env *Env, do func(ctx context.Context, keys *client.FeedKeys) error) error {
	ctx, cancel := context.WithTimeout(env.Context, 15*time.Second)
	defer cancel()
	err := do(ctx, &client.FeedKeys{Server: r.server()})
	if err == nil {
		return nil
	}
	return hint(err, r.URL)
}

func filtersOf(list []string) (map[string][]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	filters := map[string][]string{}
	for _, one := range list {
		field, values, ok := strings.Cut(one, "=")
		if !ok || field == "" || values == "" {
			return nil, fmt.Errorf("--filter %s: expected FIELD=VALUE,VALUE", one)
		}
		filters[field] = append(filters[field], strings.Split(values, ",")...)
	}
	return filters, nil
}

func flagsOf(list []string) (map[string]bool, error) {
	if len(list) == 0 {
		return nil, nil
	}
	flags := map[string]bool{}
	for _, one := range list {
		flag, value, ok := strings.Cut(one, "=")
		on, err := strconv.ParseBool(value)
		if !ok || flag == "" || err != nil {
			return nil, fmt.Errorf("--access %s: expected FLAG=true or FLAG=false", one)
		}
		flags[flag] = on
	}
	return flags, nil
}

// when reads a time that is given from now, as a day or in full.
func when(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 {
			return now.AddDate(0, 0, n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil && at.After(now) {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--expires %s: expected a duration like 720h or 30d, or a time to come like 2030-01-31", text)
}

func stateOf(k *client.FeedKey, now time.Time) string {
	switch {
	case k.Revoked:
		return "revoked"
	case k.ExpiresAt == 0:
		return "good"
	case k.ExpiresAt <= now.UnixMilli():
		return "expired"
	}
	return "good until " + time.UnixMilli(k.ExpiresAt).UTC().Format(time.RFC3339)
}

func showFilters(filters map[string][]string) string {
	if len(filters) == 0 {
		return "-"
	}
	var parts []string
	for _, field := range slices.Sorted(maps.Keys(filters)) {
		parts = append(parts, field+"="+strings.Join(filters[field], ","))
	}
	return strings.Join(parts, " ")
}
