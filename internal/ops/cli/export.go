package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/ops/control"
)

// exportCommand writes the entries of channels as NDJSON.
type exportCommand struct {
	reach    `embed:""`
	Channels []string `arg:"" optional:"" help:"Channels to export."`
	Prefix   string   `name:"prefix" help:"Also all channels whose names begin with this."`
	All      bool     `name:"all" help:"All channels of the app."`
	Output   string   `name:"output" short:"o" placeholder:"FILE" help:"Write to this file, which must not exist, instead of standard output."`
	JSON     bool     `name:"json" help:"Say at the end what was exported as a JSON object (on standard error, unless --output is given)."`
}

// Help shows examples.
func (exportCommand) Help() string {
	return "One JSON object a line: each entry of each channel, oldest first, as it was appended (changes and deletions too), after what retention has kept of older keys. " +
		"Over HTTP (--url): each message as it is visible now, without keys.\n\n" + examples(
		"continuo export news > news.ndjson", "one channel",
		"continuo export --prefix prices: -o prices.ndjson", "all channels with a prefix",
		"continuo export --all --data ./a | continuo import --data ./b", "all channels of one server into another")
}

// exported says what was done.
type exported struct {
	Channels int   `json:"channels"`
	Lines    int   `json:"lines"`
	Bytes    int64 `json:"bytes"`
}

// Run exports.
func (c *exportCommand) Run(env *Env) (err error) {
	if len(c.Channels) == 0 && c.Prefix == "" && !c.All {
		return errors.New("name the channels to export, or give --prefix or --all")
	}
	a, err := c.open(env.Context)
	if err != nil {
		return err
	}
	app, err := c.app(env.Context, a)
	if err != nil {
		return err
	}
	names, err := c.names(env.Context, a, app)
	if err != nil {
		return err
	}
	out, report := env.Stdout, env.Stderr
	if c.Output != "" {
		f, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s exists already: name another file, or remove it", c.Output)
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
		out, report = f, env.Stdout
	}
	var done exported
	m := newMeter(env)
	w := bufio.NewWriterSize(out, 64<<10)
	for _, name := range names {
		one := exporting{api: a, app: app, channel: name, out: w, done: &done, meter: m}
		if err := one.run(env.Context); err != nil {
			m.end()
			return fmt.Errorf("channel %s: %w", name, err)
		}
		done.Channels++
	}
	m.end()
	if err := w.Flush(); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(report).Encode(done)
	}
	_, err = fmt.Fprintf(report, "exported %s of %s, %s\n", count(done.Lines, "line"), count(done.Channels, "channel"), size(done.Bytes))
	return err
}

// names lists the channels to export, each once.
func (c *exportCommand) names(ctx context.Context, a *api, app string) ([]string, error) {
	names := slices.Clone(c.Channels)
	if !c.All && c.Prefix == "" {
		return names, nil
	}
	if !a.local() {
		counts, err := subscriptions(ctx, a, app, c.Prefix)
		if err != nil {
			return nil, err
		}
		return unique(append(names, slices.Sorted(maps.Keys(counts))...)), nil
	}
	for after := ""; ; {
		var page control.Channels
		if err := a.get(ctx, "/control/channels", url.Values{"app": {app}, "prefix": {c.Prefix}, "after": {after}}, &page); err != nil {
			return nil, err
		}
		for _, ch := range page.Channels {
			if ch.Entries > 0 || ch.Keys > 0 {
				names = append(names, ch.Channel)
			}
		}
		if after = page.Next; after == "" {
			return unique(names), nil
		}
	}
}

func unique(names []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(names, func(n string) bool {
		again := seen[n]
		seen[n] = true
		return again
	})
}

// exporting is one channel on its way out.
type exporting struct {
	api          *api
	app, channel string
	out          *bufio.Writer
	done         *exported
	meter        *meter
}

func (e *exporting) run(ctx context.Context) error {
	if e.api.local() {
		return e.entries(ctx)
	}
	h := history{api: e.api, app: e.app, channel: e.channel}
	return h.each(ctx, "oldest_first", 0, e.row)
}

// entries copies what the control socket sends.
func (e *exporting) entries(ctx context.Context) error {
	q := url.Values{"app": {e.app}, "channel": {e.channel}}
	res, err := e.api.do(ctx, http.MethodGet, "/control/export?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewReaderSize(res.Body, 64<<10)
	for {
		line, err := readLine(lines)
		if len(line) > 0 {
			var failed control.Failure
			if strings.HasPrefix(string(line[:min(len(line), 9)]), `{"error":`) && json.Unmarshal(line, &failed) == nil {
				return errors.New(failed.Error)
			}
			if err := e.write(line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the server ended before the export was whole: %w", err)
		}
	}
}

// row writes a row of the history as the message that it shows.
func (e *exporting) row(r historyRow) error {
	if r.deleted() {
		return nil
	}
	l := control.Line{Channel: e.channel, Serial: r.Serial, Time: r.Time, Kind: "create", Event: r.event(), Tags: r.Message.Tags}
	var text string
	if json.Unmarshal(r.Message.Data, &text) == nil {
		l.Text = &text
	} else {
		l.Data = r.Message.Data
	}
	line, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return e.write(line)
}

func (e *exporting) write(line []byte) error {
	e.done.Lines++
	e.done.Bytes += int64(len(line)) + 1
	e.meter.show("%s of %s, %s", count(e.done.Lines, "line"), count(e.done.Channels+1, "channel"), size(e.done.Bytes))
	if _, err := e.out.Write(line); err != nil {
		return err
	}
	return e.out.WriteByte('\n')
}
