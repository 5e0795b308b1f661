package channel

import (
	"strings"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// PatternMax is the longest pattern, in bytes.
const PatternMax = 512

type form uint8

const (
	formNone   form = iota // the zero Pattern: matches nothing
	formExact              // no '*'
	formAll                // only '*'
	formPrefix             // one '*', at the end
	formSuffix             // one '*', at the start
	formGlob               // anything else
)

// Pattern matches channel names: '*' stands for any run of bytes, the empty one too, and every other byte for itself.
// The zero Pattern matches nothing. Patterns are comparable.
type Pattern struct {
	text   string // formPrefix, formSuffix: still with the '*'
	form   form
	public bool // matches public channels only
}

// ParsePattern checks and prepares a pattern; it may hold any number of '*'.
func ParsePattern(s string) (Pattern, error) {
	switch {
	case s == "":
		return Pattern{}, fault.New(fault.Invalid, `the channel pattern is empty; "*" matches every channel`)
	case len(s) > PatternMax:
		return Pattern{}, fault.New(fault.Invalid, "the channel pattern %s has %d bytes, more than the %d allowed", Quote(s), len(s), PatternMax)
	}
	if strings.HasPrefix(s, prefixUser) {
		if !utf8.ValidString(s) {
			return Pattern{}, fault.New(fault.Invalid, "the channel pattern %s is not valid UTF-8", Quote(s))
		}
	} else if i := firstNot(s, &patternBytes); i >= 0 {
		return Pattern{}, badByte("channel pattern", s, i, "A-Z a-z 0-9 - _ = @ , ; . : # and *")
	}
	return Pattern{text: s, form: formOf(s)}, nil
}

// ParseWildcard checks the name of a V2 wildcard subscription: exactly one '*', not a private, presence or encrypted
// name, and a smaller set of bytes than a channel name. The pattern matches public channels only: "p*" must not become
// a way into "private-payroll" without an auth string.
func ParseWildcard(s string, max int) (Pattern, error) {
	if max <= 0 {
		max = DefaultMax
	}
	switch {
	case len(s) > max:
		return Pattern{}, fault.New(fault.Invalid, "the wildcard %s has %d bytes, more than the %d allowed", Quote(s), len(s), max).In("channel")
	case strings.Count(s, "*") != 1:
		return Pattern{}, fault.New(fault.Invalid, "the wildcard %s must have exactly one '*'", Quote(s)).In("channel")
	}
	if kind, _ := Classify(s); kind != Public {
		return Pattern{}, fault.New(fault.Forbidden, "the wildcard %s is refused: %s channels cannot be subscribed to by pattern", Quote(s), kind).In("channel")
	}
	if i := firstNot(s, &wildcardBytes); i >= 0 {
		return Pattern{}, badByte("wildcard", s, i, "A-Z a-z 0-9 - _ = @ . : and *")
	}
	return Pattern{text: s, form: formOf(s), public: true}, nil
}

// Exactly is the pattern that matches this one name only, whatever bytes it has: a '*' in it is no wildcard.
func Exactly(n Name) Pattern { return Pattern{text: n.text, form: formExact} }

func formOf(s string) form {
	switch stars := strings.Count(s, "*"); {
	case stars == 0:
		return formExact
	case stars == len(s):
		return formAll
	case stars == 1 && s[len(s)-1] == '*':
		return formPrefix
	case stars == 1 && s[0] == '*':
		return formSuffix
	}
	return formGlob
}

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }

// All reports whether the pattern matches every name.
func (p Pattern) All() bool { return p.form == formAll && !p.public }

// Exact gives the one name that the pattern matches, if it has no '*'.
func (p Pattern) Exact() (name string, ok bool) {
	if p.form != formExact {
		return "", false
	}
	return p.text, true
}

// Match reports whether the pattern matches all of name. It takes time linear in both lengths and does not allocate.
func (p Pattern) Match(name string) bool {
	if p.public {
		if kind, _ := Classify(name); kind != Public {
			return false
		}
	}
	switch p.form {
	case formExact:
		return name == p.text
	case formAll:
		return true
	case formPrefix:
		return strings.HasPrefix(name, p.text[:len(p.text)-1])
	case formSuffix:
		return strings.HasSuffix(name, p.text[1:])
	case formGlob:
		return glob(p.text, name)
	}
	return false
}

// glob cuts the fixed head and tail off, then finds what stands between the stars one after the other, each at its
// leftmost place: if a match exists at all, one with leftmost places does, so nothing is ever tried again.
func glob(pattern, name string) bool {
	first := strings.IndexByte(pattern, '*')
	last := strings.LastIndexByte(pattern, '*')
	head, tail := pattern[:first], pattern[last+1:]
	if len(name) < len(head)+len(tail) || !strings.HasPrefix(name, head) || !strings.HasSuffix(name, tail) {
		return false
	}
	name = name[len(head) : len(name)-len(tail)]
	middle := pattern[first : last+1]
	for len(middle) > 1 {
		middle = middle[1:] // the star
		end := strings.IndexByte(middle, '*')
		part := middle[:end]
		middle = middle[end:]
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
	return true
}

// Patterns is a list of which any may match.
type Patterns []Pattern

// ParsePatterns prepares a list of patterns; the fault names the first that is wrong.
func ParsePatterns(list []string) (Patterns, error) {
	if len(list) == 0 {
		return nil, nil
	}
	all := make(Patterns, len(list))
	for i, s := range list {
		p, err := ParsePattern(s)
		if err != nil {
			return nil, err
		}
		all[i] = p
	}
	return all, nil
}

// Match reports whether any of the patterns matches name.
func (ps Patterns) Match(name string) bool {
	for _, p := range ps {
		if p.Match(name) {
			return true
		}
	}
	return false
}

// Named lists the names that the patterns name one by one (those without '*'), in order and each once.
func (ps Patterns) Named() []string {
	var names []string
	seen := make(map[string]bool, len(ps))
	for _, p := range ps {
		if name, ok := p.Exact(); ok && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}
