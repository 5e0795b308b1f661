// Command streaming writes an answer token by token, as a language model does, while four readers follow it: one from the
// start, one that joins late, one that loses its connection, and one that wants the whole text each time. In the end all
// of them hold the same text. Start `continuo serve`, then run it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"
)

const answer = "A log is a list that only grows. Whoever knows how far it has read knows everything about what it has missed: " +
	"the entries after that place, and nothing else. So a reader that was gone asks for them, and a reader that is new " +
	"asks for the list folded into one text, and then both go on in the same way, as if they had never been away."

func main() {
	d := demo{out: os.Stdout}
	flag.StringVar(&d.api.url, "url", "http://127.0.0.1:6001", "address of the server")
	flag.StringVar(&d.api.app, "app", "app-id", "id of the app")
	flag.StringVar(&d.api.key, "key", "app-key", "key of the app")
	flag.StringVar(&d.api.secret, "secret", "app-secret", "its secret")
	flag.DurationVar(&d.pause, "pause", 30*time.Millisecond, "time between two tokens")
	flag.Parse()
	d.channel = fmt.Sprintf("answer-%d", rand.Uint32())
	if err := d.run(); err != nil {
		fmt.Fprintln(os.Stderr, "streaming:", err)
		os.Exit(1)
	}
}

// demo is one answer and its readers.
type demo struct {
	api     api
	channel string
	pause   time.Duration
	out     io.Writer
}

func (d *demo) run() error {
	first, late, shaky := d.reader("from the start"), d.reader("joins late"), d.reader("loses its connection")
	whole := d.reader("wants it whole")
	whole.full = true
	all := []*reader{first, shaky, whole, late}
	for _, r := range all[:3] {
		if err := r.connect(); err != nil {
			return err
		}
	}
	readers := gang{}
	for _, r := range all[:3] {
		readers.start(r)
		<-r.standing
	}
	tokens := strings.SplitAfter(answer, " ")
	err := d.write(tokens, map[int]func() error{
		len(tokens) / 3: func() error {
			fmt.Fprintf(d.out, "after %d of %d tokens: one reader joins, another loses its connection\n", len(tokens)/3, len(tokens))
			shaky.cut()
			if err := late.connect(); err != nil {
				return err
			}
			readers.start(late)
			return nil
		},
		2 * len(tokens) / 3: func() error {
			fmt.Fprintf(d.out, "after %d of %d tokens: the lost reader comes back\n", 2*len(tokens)/3, len(tokens))
			shaky.comeBack()
			return nil
		},
	})
	if err != nil {
		for _, r := range all {
			r.end()
		}
	}
	err = errors.Join(err, readers.wait())
	return errors.Join(err, d.compare(all))
}

// write publishes the beginning of the answer, appends the tokens to it, and says when it is done.
func (d *demo) write(tokens []string, at map[int]func() error) error {
	serial, err := d.api.publish(d.channel, "answer", "")
	if err != nil {
		return err
	}
	for i, token := range tokens {
		if err := d.api.append(d.channel, serial, token); err != nil {
			return err
		}
		if do := at[i+1]; do != nil {
			if err := do(); err != nil {
				return err
			}
		}
		time.Sleep(d.pause)
	}
	_, err = d.api.publish(d.channel, "done", "")
	return err
}

// compare shows what each reader holds.
func (d *demo) compare(all []*reader) error {
	for _, r := range all {
		verdict := "has all of it"
		if r.text != answer {
			verdict = fmt.Sprintf("HAS %q", r.text)
		}
		fmt.Fprintf(d.out, "%-21s %s: began with %d bytes, then %d fragments, of which %d were replayed\n", r.name, verdict, r.began, r.fragments, r.replayed)
		if r.text != answer {
			return fmt.Errorf("the reader that %s holds another text", r.name)
		}
	}
	fmt.Fprintf(d.out, "\n%s\n", answer)
	return nil
}

// gang runs readers and gathers their errors.
type gang struct {
	running sync.WaitGroup
	mu      sync.Mutex
	errs    []error
}

func (g *gang) start(r *reader) {
	g.running.Go(func() {
		if err := r.run(); err != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.errs = append(g.errs, fmt.Errorf("the reader that %s: %w", r.name, err))
		}
	})
}

func (g *gang) wait() error {
	g.running.Wait()
	return errors.Join(g.errs...)
}
