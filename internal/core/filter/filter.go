// Package filter holds predicates over messages: compiled once, then asked of every entry without decoding it.
package filter

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Limits of one filter set; what a client asks for beyond them is an error, never a slow server.
const (
	MaxClauses = 32
	MaxValues  = 1000
	MaxEvents  = 256
)

// Clause asks that the payload has one of some values at a path.
type Clause struct {
	Path   string   // JSON pointer (RFC 6901)
	Values []string // what passes; a number in a payload equals its decimal string. None: nothing passes
	Exempt bool     // a payload without the path passes; one with another value still does not
}

// Spec is a filter set as it is asked for. Its parts are ANDed.
type Spec struct {
	Events  []string // only these event names; nil: all
	Clauses []Clause
}

// Set is a compiled filter set. It is immutable; a nil Set passes everything.
type Set struct {
	events  map[string]struct{} // nil: all
	clauses []clause
	root    node
	exempt  uint64 // bit per clause
	key     string
}

type clause struct {
	path   string
	values map[string]struct{}
	exempt bool
}

// Compile prepares a filter set. Clauses on the same path are merged: what passes all of them passes. A Spec that asks
// for nothing compiles to nil.
func Compile(spec Spec) (*Set, error) {
	if spec.Events == nil && len(spec.Clauses) == 0 {
		return nil, nil
	}
	if len(spec.Events) > MaxEvents {
		return nil, fault.New(fault.Invalid, "the filter names %d events, more than the %d allowed", len(spec.Events), MaxEvents)
	}
	s := &Set{}
	if spec.Events != nil {
		s.events = setOf(spec.Events)
	}
	for _, c := range spec.Clauses {
		if len(c.Values) > MaxValues {
			return nil, fault.New(fault.Invalid, "the filter on %q has %d values, more than the %d allowed", c.Path, len(c.Values), MaxValues)
		}
		if s.merge(c); len(s.clauses) > MaxClauses {
			return nil, fault.New(fault.Invalid, "the filter has more than the %d paths allowed", MaxClauses)
		}
	}
	slices.SortFunc(s.clauses, func(a, b clause) int {
		if a.path < b.path {
			return -1
		}
		return 1 // merge left no two alike
	})
	for i, c := range s.clauses {
		tokens, err := ParsePointer(c.path)
		if err != nil {
			return nil, err
		}
		s.root.add(tokens, i)
		if c.exempt {
			s.exempt |= 1 << i
		}
	}
	s.key = s.canonical()
	return s, nil
}

func (s *Set) merge(c Clause) {
	values := setOf(c.Values)
	for i := range s.clauses {
		have := &s.clauses[i]
		if have.path != c.Path {
			continue
		}
		maps.DeleteFunc(have.values, func(v string, _ struct{}) bool { _, both := values[v]; return !both })
		have.exempt = have.exempt && c.Exempt
		return
	}
	s.clauses = append(s.clauses, clause{path: c.Path, values: values, exempt: c.Exempt})
}

func setOf(list []string) map[string]struct{} {
	set := make(map[string]struct{}, len(list))
	for _, v := range list {
		set[v] = struct{}{}
	}
	return set
}

// Key is equal for two sets exactly if they pass the same (but for sets that differ only in how they pass nothing), so
// that followers with equal filters can share the work. The key of a nil Set is empty.
func (s *Set) Key() string {
	if s == nil {
		return ""
	}
	return s.key
}

// canonical hashes everything that decides, each part with its length before it, so that no two sets read the same.
func (s *Set) canonical() string {
	var text []byte
	put := func(v string) {
		text = binary.AppendUvarint(text, uint64(len(v)))
		text = append(text, v...)
	}
	list := func(set map[string]struct{}) {
		text = binary.AppendUvarint(text, uint64(len(set)))
		for _, v := range slices.Sorted(maps.Keys(set)) {
			put(v)
		}
	}
	if s.events != nil {
		text = append(text, 'e')
		list(s.events)
	}
	for _, c := range s.clauses {
		text = append(text, 'c')
		if c.exempt {
			text = append(text, 'x')
		}
		put(c.path)
		list(c.values)
	}
	sum := sha256.Sum256(text)
	return string(sum[:])
}

// Match reports whether an entry with this event name and payload passes. The payload is the JSON as it was published,
// or any other bytes: those have no paths. Of a member that is there twice the first counts.
func (s *Set) Match(event string, payload []byte) bool {
	if s == nil {
		return true
	}
	if s.events != nil {
		if _, ok := s.events[event]; !ok {
			return false
		}
	}
	if len(s.clauses) == 0 {
		return true
	}
	e := eval{set: s, data: payload, open: 1<<len(s.clauses) - 1}
	e.value(&s.root)
	return !e.failed && e.open&^s.exempt == 0
}
