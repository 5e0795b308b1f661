package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
	"github.com/continuo-rt/continuo/internal/ops/control"
)

// importCommand appends what an export holds.
type importCommand struct {
	reach   `embed:""`
	File    string `arg:"" optional:"" help:"File to import; without one, or with -, standard input."`
	Channel string `name:"channel" placeholder:"NAME" help:"Append everything to this channel, whatever the lines say."`
	Resume  string `name:"run" placeholder:"ID" help:"Name of this run. A run that was interrupted and is started again with the same name and input within the idempotency time repeats nothing."`
	JSON    bool   `name:"json" help:"Print a JSON object."`
}

// Help shows examples.
func (importCommand) Help() string {
	return "Entries get new serials and the time of the import. Changes find the messages that they are about, by key or by where their lines stood in the " +
		"file. Requests are repeated until their outcome is known; no line is appended twice. Over HTTP (--url) only messages and puts can be imported.\n\n" + examples(
		"continuo import news.ndjson", "what continuo export has written",
		"continuo import news.ndjson --channel news-copy", "under another name",
		"continuo export --all --data ./a | continuo import --data ./b", "all channels of one server into another")
}

// Run imports.
func (c *importCommand) Run(env *Env) error {
	in := env.Stdin
	if c.File != "" && c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	a, err := c.open(env.Context)
	if err != nil {
		return err
	}
	app, err := c.app(env.Context, a)
	if err != nil {
		return err
	}
	run := c.Resume
	if run == "" {
		run = rand.Text()
	}
	i := importing{api: a, app: app, run: run, channel: c.Channel, meter: newMeter(env), serials: map[string]map[uint64]uint64{},
		limit: control.MaxImportLines}
	if !a.local() {
		i.limit, i.remote = 10, &client.Publisher{Server: client.Server{URL: a.base, App: app, Key: c.Key, Secret: c.Secret}}
	}
	err = i.all(env.Context, in)
	i.meter.end()
	if err != nil {
		return fmt.Errorf("%w. %s done before; nothing is appended twice if it is started again within two minutes with: --run %s", err, count2(i.done.Lines, "line was", "lines were"), run)
	}
	if c.JSON {
		return printJSON(env, i.done)
	}
	_, err = fmt.Fprintf(env.Stdout, "imported %s: %d appended, %d there already, %d about messages that had ended\n", count(i.done.Lines, "line"),
		i.done.Lines-i.done.Duplicates-i.done.Skipped, i.done.Duplicates, i.done.Skipped)
	return err
}

// imported says what was done.
type imported struct {
	Lines      int `json:"lines"`
	Duplicates int `json:"duplicates"`
	Skipped    int `json:"skipped"`
}

// importing is an import on its way.
type importing struct {
	api     *api
	remote  *client.Publisher // nil: over the control socket
	app     string
	run     string
	channel string // instead of those of the lines
	limit   int    // lines per request
	meter   *meter
	done    imported

	batch []control.Line
	size  int
	last  int // number of the newest line in batch
	// serials has the new serial of each message without a key, by channel and old serial.
	serials map[string]map[uint64]uint64
}

// importBytes bounds a request.
const importBytes = 4 << 20

func (i *importing) all(ctx context.Context, in io.Reader) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	for number := 1; ; number++ {
		text, err := readLine(lines)
		if len(bytes.TrimSpace(text)) > 0 {
			if err := i.line(ctx, number, text); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return i.flush(ctx)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
}

// line takes one line into the batch.
func (i *importing) line(ctx context.Context, number int, text []byte) error {
	var l control.Line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return fmt.Errorf("line %d is not of an export: %w", number, err)
	}
	if i.channel != "" {
		l.Channel = i.channel
	}
	if target := l.Message; target != 0 && l.Key == "" && l.Kind != "create" {
		if i.pending(l.Channel, target) {
			if err := i.flush(ctx); err != nil {
				return err
			}
		}
		known, ok := i.serials[l.Channel][target]
		if !ok { // its message is not in the file: retention had ended it
			i.done.Lines++
			i.done.Skipped++
			return nil
		}
		l.Message = known
	}
	if len(i.batch) >= i.limit || i.size+len(text) > importBytes {
		if err := i.flush(ctx); err != nil {
			return err
		}
	}
	i.batch, i.size, i.last = append(i.batch, l), i.size+len(text), number
	return nil
}

// pending reports whether the message of an old serial waits in the batch.
func (i *importing) pending(channel string, serial uint64) bool {
	return slices.ContainsFunc(i.batch, func(l control.Line) bool { return l.Serial == serial && l.Channel == channel })
}

// flush appends the batch, and repeats it until the outcome is known.
func (i *importing) flush(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	var results []control.Imported
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, 2*time.Second) {
		var err error
		if results, err = i.post(ctx); err == nil {
			break
		}
		if !temporary(err) || ctx.Err() != nil {
			return fmt.Errorf("lines %d to %d: %w", i.last-len(i.batch)+1, i.last, err)
		}
		i.meter.show("%s, waiting for the server: %v", count(i.done.Lines, "line"), err)
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
	}
	for n, r := range results {
		l := &i.batch[n]
		if r.Error != "" {
			return fmt.Errorf("line %d: %s (%s)", i.last-len(i.batch)+1+n, r.Error, r.Code)
		}
		i.done.Lines++
		if r.Duplicate {
			i.done.Duplicates++
		}
		if r.Skipped != "" {
			i.done.Skipped++
		}
		if l.Kind == "create" && r.Serial != 0 {
			if i.serials[l.Channel] == nil {
				i.serials[l.Channel] = map[uint64]uint64{}
			}
			i.serials[l.Channel][l.Serial] = r.Serial
		}
	}
	i.batch, i.size = i.batch[:0], 0
	i.meter.show("%s", count(i.done.Lines, "line"))
	return nil
}

// errTemporary is wrapped by what a line was refused with for now.
var errTemporary = errors.New("the server could not append it now")

// temporary reports whether a repetition may help.
func temporary(err error) bool {
	var refused *client.Error
	if errors.As(err, &refused) {
		return refused.Status >= 500 || refused.Status == http.StatusTooManyRequests
	}
	var network *url.Error
	return errors.Is(err, errTemporary) || errors.As(err, &network)
}

// post sends the batch once.
func (i *importing) post(ctx context.Context) ([]control.Imported, error) {
	if i.remote != nil {
		return i.publish(ctx)
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	for _, l := range i.batch {
		if err := enc.Encode(l); err != nil {
			return nil, err
		}
	}
	var answer struct {
		Lines []control.Imported `json:"lines"`
	}
	q := url.Values{"app": {i.app}, "run": {i.run}}
	if err := i.api.call(ctx, http.MethodPost, "/control/import?"+q.Encode(), body.Bytes(), &answer); err != nil {
		return nil, err
	}
	for _, l := range answer.Lines {
		switch l.Code {
		case "outcome_unknown", "service_unavailable", "backpressure", "store_full":
			return nil, fmt.Errorf("%w: %s", errTemporary, l.Error)
		}
	}
	if n := len(answer.Lines); n > len(i.batch) || n < len(i.batch) && (n == 0 || answer.Lines[n-1].Error == "") {
		return nil, fmt.Errorf("the server answered %d of %d lines", n, len(i.batch))
	}
	return answer.Lines, nil
}

// publish sends the batch over the HTTP API, which retries by itself.
func (i *importing) publish(ctx context.Context) ([]control.Imported, error) {
	batch := make([]client.Message, len(i.batch))
	for n := range i.batch {
		l := &i.batch[n]
		if l.Kind != "create" && l.Kind != "put" {
			return nil, fmt.Errorf("a line of kind %s cannot be imported over HTTP: use the control socket (--data), or an export that was made over HTTP", l.Kind)
		}
		data := l.Data
		switch {
		case l.Base64 != nil:
			return nil, errors.New("binary data cannot be imported over HTTP: use the control socket (--data)")
		case l.Text != nil:
			data, _ = json.Marshal(*l.Text) // a string always can be
		case data == nil:
			data = json.RawMessage("null")
		}
		batch[n] = client.Message{Name: l.Event, Channel: l.Channel, Data: data, Key: l.Key, Tags: l.Tags, Extras: l.Extras,
			Idempotency: fmt.Sprintf("%s:%s:%d", i.run, l.Kind, l.Serial)}
	}
	at, err := i.remote.Publish(ctx, batch...)
	done := make([]control.Imported, len(at))
	for n := range at {
		done[n].Serial = at[n].Serial
	}
	return done, err
}
