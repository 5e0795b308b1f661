// Package report holds what a benchmark run measured: printed as an aligned table, kept as JSON, compared side by side.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/ops/bench/hist"
)

// Better says in which direction a figure improves.
type Better string

// The directions. Figures without one are context and are not compared.
const (
	Less Better = "less"
	More Better = "more"
)

// Figure is one number with its unit.
type Figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit,omitempty"`
	Better Better  `json:"better,omitempty"`
}

// Setting is one choice under which the figures were taken.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Result is one run of one workload against one server.
type Result struct {
	Target   string    `json:"target"`            // name of what was measured, a column of a comparison
	Case     string    `json:"case"`              // name of what was asked of it, a group of rows of a comparison
	Protocol string    `json:"protocol"`          // wire protocol that was spoken
	Storage  string    `json:"storage,omitempty"` // what an acknowledgement means there, in words of whoever ran it
	Settings []Setting `json:"settings"`
	Figures  []Figure  `json:"figures"`
	Warnings []string  `json:"warnings,omitempty"` // reasons to doubt the figures
}

// Set notes a setting.
func (r *Result) Set(name string, value any) {
	r.Settings = append(r.Settings, Setting{name, fmt.Sprint(value)})
}

// Add notes a figure.
func (r *Result) Add(name string, value float64, unit string, better Better) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return // a quotient of nothing is no figure, and JSON has no word for it
	}
	r.Figures = append(r.Figures, Figure{name, value, unit, better})
}

// Warn notes a reason to doubt the figures.
func (r *Result) Warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// Latency notes the percentiles of a histogram in milliseconds, each named with the prefix.
func (r *Result) Latency(prefix string, h *hist.Histogram) {
	if h.Count() == 0 {
		return
	}
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}} {
		r.Add(prefix+" "+q.name, ms(h.Quantile(q.at)), "ms", Less)
	}
	r.Add(prefix+" max", ms(h.Max()), "ms", "")
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Figure finds a figure by name.
func (r *Result) Figure(name string) (Figure, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			return f, true
		}
	}
	return Figure{}, false
}

// Write prints the result for a reader.
func (r *Result) Write(w io.Writer) error {
	head := fmt.Sprintf("%s: %s over %s", r.Target, r.Case, r.Protocol)
	if r.Storage != "" {
		head += " (" + r.Storage + ")"
	}
	settings := make([]string, len(r.Settings))
	for i, s := range r.Settings {
		settings[i] = s.Name + " " + s.Value
	}
	rows := make([][]string, len(r.Figures))
	for i, f := range r.Figures {
		rows[i] = []string{f.Name, Number(f.Value), f.Unit}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", head, strings.Join(settings, ", "))
	grid(&b, rows)
	for _, text := range r.Warnings {
		fmt.Fprintf(&b, "! %s\n", text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON prints the result as one line of JSON.
func (r *Result) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// Read takes results as WriteJSON wrote them, one a line.
func Read(r io.Reader) ([]Result, error) {
	var all []Result
	for d := json.NewDecoder(r); ; {
		var one Result
		switch err := d.Decode(&one); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("result %d: %w", len(all)+1, err)
		}
		all = append(all, one)
	}
}

// Number prints a value with three significant digits or, above a thousand, whole with grouped thousands.
func Number(v float64) string {
	abs := math.Abs(v)
	switch {
	case abs == math.Trunc(abs) && abs < 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 1000:
		return group(strconv.FormatFloat(v, 'f', 0, 64))
	case abs >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case abs >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

func group(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// grid prints rows with their first column to the left and the others to the right, but a last column of units to the left.
func grid(b *strings.Builder, rows [][]string) {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			switch {
			case i == 0:
				line.WriteString("  " + cell + pad)
			case i == len(row)-1:
				line.WriteString("  " + cell)
			default:
				line.WriteString("  " + pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
