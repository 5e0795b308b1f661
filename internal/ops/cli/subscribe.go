package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
)

// subscribeCommand prints what is published, and resumes after every disconnect.
type subscribeCommand struct {
	remote   `embed:""`
	Channels []string `arg:"" help:"Channels to follow."`
	Rewind   int      `name:"rewind" placeholder:"N" help:"Print the newest N messages of each channel first."`
	From     string   `name:"from" placeholder:"[STREAM:]SERIAL" help:"Continue after this position. Without the stream's id, a history that was reset meanwhile is not noticed."`
	File     string   `name:"cursor-file" placeholder:"FILE" help:"Keep the positions in a file, and continue from them the next time."`
	Count    int      `name:"count" short:"n" placeholder:"N" help:"Stop after N messages."`
	JSON     bool     `name:"json" help:"Print each message, and each change of the connection, as one JSON object per line."`
}

// Run follows until the process is asked to stop.
func (c *subscribeCommand) Run(env *Env) error {
	out := json.NewEncoder(env.Stdout)
	out.SetEscapeHTML(false)
	seen := 0
	s := &client.Subscriber{URL: c.URL, Key: c.Key, Channels: c.Channels, Rewind: c.Rewind}
	kept, err := c.begin(s)
	if err != nil {
		return err
	}
	s.Event = func(e client.Event) error {
		seen++
		if c.JSON {
			return out.Encode(e)
		}
		_, err := fmt.Fprintf(env.Stdout, "%s %s %s %s\n", position(e), e.Channel, e.Event, e.Data)
		return err
	}
	s.Moved = func() error {
		err := kept.save(s.Cursors)
		if err == nil && c.Count > 0 && seen >= c.Count {
			err = errEnough
		}
		return err
	}
	s.State = func(st client.State) {
		if c.JSON {
			_ = json.NewEncoder(env.Stderr).Encode(st)
			return
		}
		fmt.Fprintln(env.Stderr, describe(st))
	}
	err = s.Run(env.Context)
	if failed := kept.flush(s.Cursors); failed != nil {
		return failed
	}
	if err != nil && !errors.Is(err, errEnough) {
		return hint(err, c.URL)
	}
	return nil
}

// begin finds out where to start: at the positions of the file, else at the one that was asked for.
func (c *subscribeCommand) begin(s *client.Subscriber) (*cursorFile, error) {
	kept := &cursorFile{path: c.File}
	cursors, err := kept.load()
	if err != nil {
		return nil, err
	}
	s.Cursors = cursors
	if c.From == "" {
		return kept, nil
	}
	from, err := parseCursor(c.From)
	if err != nil {
		return nil, err
	}
	for _, name := range c.Channels {
		if _, known := cursors[name]; !known {
			cursors[name] = from
		}
	}
	return kept, nil
}

// parseCursor reads SERIAL or STREAM:SERIAL.
func parseCursor(text string) (client.Cursor, error) {
	var c client.Cursor
	serial := text
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		c.Stream, serial = text[:i], text[i+1:]
	}
	n, err := strconv.ParseUint(serial, 10, 64)
	if err != nil || strings.HasPrefix(text, ":") {
		return c, fmt.Errorf("--from %q is no position: give SERIAL, or STREAM:SERIAL as --json shows them", text)
	}
	c.Serial = n
	return c, nil
}

var errEnough = errors.New("enough")

func position(e client.Event) string {
	if e.Serial == 0 {
		return "-"
	}
	return fmt.Sprint(e.Serial)
}

// describe says in a line what happened to the connection.
func describe(st client.State) string {
	switch st.State {
	case "connected":
		if st.Reason != "" {
			return "# connected, resuming " + st.Reason
		}
		return "# connected"
	case "resumed":
		return fmt.Sprintf("# resumed: %d missed messages replayed", st.Missed)
	case "disconnected":
		return fmt.Sprintf("# disconnected (%s), again in %s", st.Reason, st.Retry.Round(10*time.Millisecond))
	case "lost":
		return fmt.Sprintf("# %s: cannot be resumed (%s); going on live, take a snapshot", st.Channel, st.Reason)
	}
	return "# " + strings.TrimSpace(st.State+" "+st.Channel)
}

// hint says what to do about an error of the network or of credentials.
func hint(err error, target string) error {
	var refused *client.Error
	var dial *net.OpError
	var bad *url.Error
	switch {
	case errors.As(err, &refused) && refused.Status == 401:
		return fmt.Errorf("%w; give --app, --key and --secret (or CONTINUO_APP_ID, CONTINUO_APP_KEY, CONTINUO_APP_SECRET)", err)
	case errors.As(err, &dial), errors.As(err, &bad):
		return fmt.Errorf("%w; is a server running at %s? Start one with: continuo serve", err, target)
	}
	return err
}
