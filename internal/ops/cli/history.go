package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
)

// historyCommand prints what a channel's log holds.
type historyCommand struct {
	reach   `embed:""`
	Channel string `arg:"" help:"The channel."`
	Limit   int    `name:"limit" short:"n" default:"20" help:"The newest so many messages; 0 prints all (${default})."`
	From    uint64 `name:"from" placeholder:"SERIAL" help:"From this serial on."`
	To      uint64 `name:"to" placeholder:"SERIAL" help:"Up to this serial."`
	JSON    bool   `name:"json" help:"Print one JSON object per message and line."`
}

// Help shows examples.
func (historyCommand) Help() string {
	return "Messages are printed oldest first, as they are visible now: changed ones with their newest content.\n\n" + examples(
		"continuo history news", "the newest 20 messages",
		"continuo history news --limit 0 --json > news.ndjson", "everything that is kept",
		"continuo history news --from 4711", "from a position on")
}

// Run prints it.
func (c *historyCommand) Run(env *Env) error {
	a, err := c.open(env.Context)
	if err != nil {
		return err
	}
	app, err := c.app(env.Context, a)
	if err != nil {
		return err
	}
	h := history{api: a, app: app, channel: c.Channel, from: c.From, to: c.To}
	if c.Limit == 0 || c.From > 0 {
		return h.each(env.Context, "oldest_first", c.Limit, func(r historyRow) error { return c.print(env, r) })
	}
	var rows []historyRow
	if err := h.each(env.Context, "newest_first", c.Limit, func(r historyRow) error {
		rows = append(rows, r)
		return nil
	}); err != nil {
		return err
	}
	for _, r := range slices.Backward(rows) {
		if err := c.print(env, r); err != nil {
			return err
		}
	}
	return nil
}

func (c *historyCommand) print(env *Env, r historyRow) error {
	if c.JSON {
		var b bytes.Buffer
		if err := json.Compact(&b, r.raw); err != nil {
			return err
		}
		b.WriteByte('\n')
		_, err := env.Stdout.Write(b.Bytes())
		return err
	}
	note := ""
	if r.Message.Version.Number > 1 {
		note = fmt.Sprintf(" (version %d)", r.Message.Version.Number)
	}
	if r.deleted() {
		note = " (deleted)"
	}
	_, err := fmt.Fprintf(env.Stdout, "%d %s %s %s%s\n", r.Serial, paint(env.Stdout, faint, moment(r.Time)), r.event(), r.Message.Data, paint(env.Stdout, yellow, note))
	return err
}

// history reads the history of a channel over HTTP.
type history struct {
	api          *api
	app, channel string
	from, to     uint64
}

// historyRow is what commands need of a row.
type historyRow struct {
	Serial  uint64 `json:"serial"`
	Time    int64  `json:"published_at_ms"`
	Event   string `json:"event_name"`
	Message struct {
		Name    string          `json:"name"` // the logical event name of a message that has versions
		Data    json.RawMessage `json:"data"`
		Tags    json.RawMessage `json:"tags"`
		Key     string          `json:"key"`
		Action  string          `json:"action"`
		Version struct {
			Number int `json:"number"`
		} `json:"version"`
	} `json:"message"`
	raw json.RawMessage
}

// event is the name that the message was published with.
func (r *historyRow) event() string { return cmp.Or(r.Message.Name, r.Event) }

func (r *historyRow) deleted() bool { return r.Message.Action == "delete" }

// historyPage is how many rows are asked for at once; an app may allow fewer.
const historyPage = 100

// each calls f for up to limit rows; 0 is all of them.
func (h *history) each(ctx context.Context, direction string, limit int, f func(historyRow) error) error {
	q := url.Values{"direction": {direction}, "data": {"value"}}
	if h.from > 0 {
		q.Set("start_serial", strconv.FormatUint(h.from, 10))
	}
	if h.to > 0 {
		q.Set("end_serial", strconv.FormatUint(h.to, 10))
	}
	path := "/apps/" + url.PathEscape(h.app) + "/channels/" + url.PathEscape(h.channel) + "/history"
	for seen := 0; ; {
		n := historyPage
		if limit > 0 {
			n = min(n, limit-seen)
		}
		q.Set("limit", strconv.Itoa(n))
		var page struct {
			Items []json.RawMessage `json:"items"`
			More  bool              `json:"has_more"`
			Next  *string           `json:"next_cursor"`
		}
		if err := h.api.get(ctx, path, q, &page); err != nil {
			return err
		}
		for _, raw := range page.Items {
			var row historyRow
			if err := json.Unmarshal(raw, &row); err != nil {
				return fmt.Errorf("a row of the history was not understood: %w", err)
			}
			row.raw = raw
			if err := f(row); err != nil {
				return err
			}
			seen++
		}
		if !page.More || page.Next == nil || limit > 0 && seen >= limit {
			return nil
		}
		q.Set("cursor", *page.Next)
	}
}
