package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// The colours of text on a terminal.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
)

// paint colours a text if w is a terminal and the environment does not object (https://no-color.org).
func paint(w io.Writer, colour, text string) string {
	if text == "" || !terminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// table prints rows in columns; the first row is the heading. Columns in right are aligned to the right.
func table(w io.Writer, right string, rows ...[]string) error {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			switch {
			case i < len(right) && right[i] == 'r':
				b.WriteString(pad + cell)
			case i < len(row)-1:
				b.WriteString(cell + pad)
			default:
				b.WriteString(cell)
			}
			if i < len(row)-1 {
				b.WriteString("  ")
			}
		}
		line := b.String()
		if n == 0 {
			line = paint(w, bold, line)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// facts prints names and values in two columns.
func facts(w io.Writer, pairs ...string) error {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		width = max(width, len(pairs[i]))
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", width, pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// size writes a number of bytes as people read it.
func size[T int | int64 | uint64](n T) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1024, 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[u])
}

// moment writes a time in ms as a date, empty for 0.
func moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// meter tells how far a long command is: on a terminal in one line that is rewritten, else now and then.
type meter struct {
	env  *Env
	live bool
	told time.Time
	last string
}

// meterEvery is how often a line is printed where it cannot be rewritten.
const meterEvery = 5 * time.Second

func newMeter(env *Env) *meter { return &meter{env: env, live: terminal(env.Stderr), told: time.Now()} }

func (m *meter) show(format string, args ...any) {
	every := meterEvery
	if m.live {
		every = 100 * time.Millisecond
	}
	m.last = fmt.Sprintf(format, args...)
	if time.Since(m.told) < every {
		return
	}
	m.told = time.Now()
	if m.live {
		fmt.Fprintf(m.env.Stderr, "\r%s\x1b[K", m.last)
		return
	}
	fmt.Fprintln(m.env.Stderr, m.last)
}

// end takes the line away.
func (m *meter) end() {
	if m.live {
		fmt.Fprint(m.env.Stderr, "\r\x1b[K")
	}
}
