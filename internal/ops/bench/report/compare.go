package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Compare prints the results side by side: a block for each case, a column for each target in order of appearance, and
// behind them the ratio of the first target to each other one. Of several results for the same case and target it shows
// the median of each figure.
func Compare(w io.Writer, all []Result) error {
	var cases []string
	by := map[string][]Result{}
	for _, r := range median(all) {
		group, seen := by[r.Case]
		if !seen {
			cases = append(cases, r.Case)
		}
		by[r.Case] = append(group, r)
	}
	var b strings.Builder
	for i, name := range cases {
		if i > 0 {
			b.WriteByte('\n')
		}
		block(&b, name, by[name])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// median joins the results that have case and target in common.
func median(all []Result) []Result {
	type id struct{ target, name string }
	var order []id
	by := map[id][]Result{}
	for _, r := range all {
		k := id{r.Target, r.Case}
		if by[k] == nil {
			order = append(order, k)
		}
		by[k] = append(by[k], r)
	}
	joined := make([]Result, 0, len(order))
	for _, k := range order {
		rounds := by[k]
		one := rounds[0]
		one.Figures = slices.Clone(one.Figures)
		for i, f := range one.Figures {
			var values []float64
			for _, r := range rounds {
				if other, ok := r.Figure(f.Name); ok {
					values = append(values, other.Value)
				}
			}
			slices.Sort(values)
			n := len(values)
			one.Figures[i].Value = (values[(n-1)/2] + values[n/2]) / 2
		}
		for i, r := range rounds[1:] {
			for _, text := range r.Warnings {
				one.Warnings = append(slices.Clip(one.Warnings), fmt.Sprintf("round %d: %s", i+2, text))
			}
		}
		joined = append(joined, one)
	}
	return joined
}

func block(b *strings.Builder, name string, group []Result) {
	b.WriteString(name)
	if s := shared(group); s != "" {
		b.WriteString(" (" + s + ")")
	}
	b.WriteByte('\n')
	head := []string{""}
	for _, r := range group {
		head = append(head, r.Target)
	}
	for _, r := range group[1:] {
		head = append(head, group[0].Target+" : "+r.Target)
	}
	rows := [][]string{append(head, "")}
	for _, figure := range compared(group) {
		rows = append(rows, row(figure, group))
	}
	grid(b, rows)
	for _, r := range group {
		if r.Storage != "" {
			fmt.Fprintf(b, "  %s: %s\n", r.Target, r.Storage)
		}
	}
	for _, r := range group {
		for _, text := range r.Warnings {
			fmt.Fprintf(b, "  ! %s: %s\n", r.Target, text)
		}
	}
}

// shared lists the settings that all of a group have alike.
func shared(group []Result) string {
	var same []string
	for _, s := range group[0].Settings {
		everywhere := true
		for _, r := range group[1:] {
			everywhere = everywhere && slices.Contains(r.Settings, s)
		}
		if everywhere {
			same = append(same, s.Name+" "+s.Value)
		}
	}
	return strings.Join(same, ", ")
}

// compared lists the figures worth a row, in order of appearance: those with a direction, but not counts of faults that
// nobody has.
func compared(group []Result) []Figure {
	var list []Figure
	for _, r := range group {
		for _, f := range r.Figures {
			known := slices.ContainsFunc(list, func(o Figure) bool { return o.Name == f.Name })
			if f.Better != "" && !known {
				list = append(list, f)
			}
		}
	}
	return slices.DeleteFunc(list, func(f Figure) bool {
		return !slices.ContainsFunc(group, func(r Result) bool {
			v, _ := r.Figure(f.Name)
			return v.Value != 0
		})
	})
}

func row(f Figure, group []Result) []string {
	cells := []string{f.Name}
	first, has := group[0].Figure(f.Name)
	for _, r := range group {
		if v, ok := r.Figure(f.Name); ok {
			cells = append(cells, Number(v.Value))
		} else {
			cells = append(cells, "-")
		}
	}
	for _, r := range group[1:] {
		v, ok := r.Figure(f.Name)
		if !ok || !has || v.Value == 0 {
			cells = append(cells, "-")
			continue
		}
		cells = append(cells, fmt.Sprintf("%.2f", first.Value/v.Value))
	}
	unit := f.Unit
	if f.Better == More {
		unit = strings.TrimSpace(unit + " (more is better)")
	}
	return append(cells, unit)
}
