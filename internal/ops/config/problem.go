package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration, and what to do about it.
type Problem struct {
	Source  string `json:"source"`         // the file, "CONTINUO_LISTEN" or "--listen"
	Line    int    `json:"line,omitempty"` // in the file; 0 where there is none
	Col     int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"` // such as "apps[0].channels[2].retention.age"
	Msg     string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning,omitempty"` // the server starts all the same
}

// Error is the problem in one line, as compilers write them.
func (p Problem) Error() string {
	var b strings.Builder
	if p.Source != "" {
		b.WriteString(p.Source + ":")
		if p.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", p.Line, p.Col)
		}
		b.WriteByte(' ')
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Msg)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Problems is everything that was found, in the order of the file, then variables, then flags.
type Problems []Problem

// Err is nil unless something must be corrected; then it has one line for each such problem.
func (ps Problems) Err() error {
	if faults := ps.Faults(); len(faults) > 0 {
		return faults
	}
	return nil
}

// Error has one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Faults are the problems that must be corrected before the server starts.
func (ps Problems) Faults() Problems { return ps.only(false) }

// Warnings are the others.
func (ps Problems) Warnings() Problems { return ps.only(true) }

func (ps Problems) only(warning bool) Problems {
	var some Problems
	for _, p := range ps {
		if p.Warning == warning {
			some = append(some, p)
		}
	}
	return some
}

// tidy sorts by place and drops repetitions.
func (ps Problems) tidy() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.Line > 0 && b.Line > 0 {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
		}
		return cmp.Compare(b.Line, a.Line) // what has a place in the file comes first
	})
	return slices.CompactFunc(ps, func(a, b Problem) bool {
		return a.Source == b.Source && a.Line == b.Line && a.Col == b.Col && a.Msg == b.Msg
	})
}
