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
	"strconv"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
)

// publishCommand publishes one message, or one per line of standard input.
type publishCommand struct {
	remote  `embed:""`
	Channel string `arg:"" help:"Channel to publish into."`
	Event   string `arg:"" help:"Event name."`
	Data    string `arg:"" optional:"" help:"Data: JSON, or any other text. Default: {}."`
	Stdin   bool   `name:"stdin" help:"Publish each line of standard input as one message (NDJSON: a line that is JSON is sent as JSON, any other as text). Lines are retried through restarts of the server and are never published twice."`
	PutKey  string `name:"put" placeholder:"KEY" help:"Put this key: the message supersedes the key's previous one."`
	Resume  string `name:"run" placeholder:"ID" help:"With --stdin: name of this run. A run that was interrupted and is started again with the same name and input within the idempotency time repeats nothing."`
	Batch   int    `name:"batch" default:"10" help:"With --stdin: lines per request."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// Run publishes and says where the messages are.
func (c *publishCommand) Run(env *Env) error {
	p := &client.Publisher{Server: c.server()}
	if c.Stdin {
		if c.Data != "" || c.PutKey != "" {
			return errors.New("--stdin takes the data from standard input: leave DATA and --put out")
		}
		return c.stream(env, p)
	}
	data := c.Data
	if data == "" {
		data = "{}"
	}
	ctx, cancel := context.WithTimeout(env.Context, 15*time.Second)
	defer cancel()
	at, err := p.Publish(ctx, client.Message{Name: c.Event, Channel: c.Channel, Data: asJSON([]byte(data)), Key: c.PutKey, Idempotency: rand.Text()})
	if err != nil {
		return hint(err, c.URL)
	}
	if c.JSON {
		return printJSON(env, at[0])
	}
	_, err = fmt.Fprintf(env.Stdout, "%s: serial %d (%s)\n", c.Channel, at[0].Serial, at[0].EntryID)
	return err
}

// asJSON gives text that is JSON as it is, and any other as a JSON string.
func asJSON(text []byte) json.RawMessage {
	if json.Valid(text) {
		return bytes.Clone(text)
	}
	quoted, _ := json.Marshal(string(text))
	return quoted
}

// maxLine bounds a line of standard input.
const maxLine = 8 << 20

// stream publishes standard input line by line.
func (c *publishCommand) stream(env *Env, p *client.Publisher) error {
	run := c.Resume
	if run == "" {
		run = rand.Text()
	}
	report := newProgress(env, c.JSON)
	p.Waiting = func(err error, delay time.Duration) { report.waiting(err) }
	lines := bufio.NewReaderSize(env.Stdin, 64<<10)
	var batch []client.Message
	var line int
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		at, err := p.Publish(env.Context, batch...)
		if err != nil {
			return fmt.Errorf("lines %d to %d: %w", line-len(batch)+1, line, hint(err, c.URL))
		}
		report.published(len(batch), at[len(at)-1])
		batch = batch[:0]
		return nil
	}
	for {
		text, err := readLine(lines)
		if len(text) > 0 {
			line++
			batch = append(batch, client.Message{Name: c.Event, Channel: c.Channel, Data: asJSON(text), Idempotency: run + ":" + strconv.Itoa(line)})
		}
		// A full batch is sent, and a partial one as soon as the input pauses.
		if len(batch) >= c.Batch || err != nil || lines.Buffered() == 0 {
			if err := flush(); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return report.end()
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", line+1, err)
		}
	}
}

// readLine reads one line without its end.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimRight(line, "\r\n"), err
		}
	}
}

// progress tells how far a long publish is: on a terminal in one line that is rewritten, else now and then.
type progress struct {
	env     *Env
	json    bool
	live    bool
	start   time.Time
	told    time.Time
	count   int
	retries int
	last    client.Position
}

func newProgress(env *Env, asJSON bool) *progress {
	return &progress{env: env, json: asJSON, live: terminal(env.Stderr) && !asJSON, start: time.Now(), told: time.Now()}
}

func (p *progress) rate() float64 {
	return float64(p.count) / max(0.001, time.Since(p.start).Seconds())
}

func (p *progress) published(n int, at client.Position) {
	p.count += n
	p.last = at
	if every := time.Second; p.live && time.Since(p.told) > every/5 {
		p.told = time.Now()
		fmt.Fprintf(p.env.Stderr, "\r%d published, %.0f/s, at serial %d \x1b[K", p.count, p.rate(), at.Serial)
	} else if !p.live && time.Since(p.told) > 5*every {
		p.told = time.Now()
		fmt.Fprintf(p.env.Stderr, "%d published, %.0f/s\n", p.count, p.rate())
	}
}

func (p *progress) waiting(err error) {
	p.retries++
	if p.live {
		fmt.Fprintf(p.env.Stderr, "\r%d published, waiting for the server: %v \x1b[K", p.count, err)
	} else if p.retries == 1 {
		fmt.Fprintf(p.env.Stderr, "waiting for the server: %v\n", err)
	}
}

func (p *progress) end() error {
	if p.live {
		fmt.Fprint(p.env.Stderr, "\r\x1b[K")
	}
	if p.json {
		return printJSON(p.env, struct {
			Published int             `json:"published"`
			Seconds   float64         `json:"seconds"`
			PerSecond float64         `json:"per_second"`
			Retries   int             `json:"retries"`
			Last      client.Position `json:"last"`
		}{p.count, time.Since(p.start).Seconds(), p.rate(), p.retries, p.last})
	}
	_, err := fmt.Fprintf(p.env.Stdout, "%d published in %.1f s (%.0f/s), %d retries, last serial %d\n",
		p.count, time.Since(p.start).Seconds(), p.rate(), p.retries, p.last.Serial)
	return err
}
