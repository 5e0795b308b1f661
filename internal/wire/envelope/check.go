// Package envelope reads and writes the JSON of all faces: strictly inwards, by appending outwards.
//
// Parse accepts one JSON value and nothing that two readers could understand differently: no invalid UTF-8, no lone
// surrogates, no member named twice, no nesting beyond 32 levels. What it accepted is a Value, whose parts are found
// without building a tree.
package envelope

import (
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// MaxDepth is how deeply arrays and objects may be nested.
const MaxDepth = 32

// Parse checks that data is exactly one JSON value (white space around it is allowed) and returns it. The value refers to
// data. The fault says at which byte it went wrong.
func Parse(data []byte) (Value, error) {
	if !utf8.Valid(data) {
		return nil, invalidUTF8(data)
	}
	p := parser{b: data}
	p.space()
	from := p.i
	if !p.value() {
		return nil, p.err
	}
	to := p.i
	if p.space(); p.i < len(data) {
		p.fail("there is more after the end of the JSON value")
		return nil, p.err
	}
	return Value(data[from:to]), nil
}

func invalidUTF8(data []byte) error {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return fault.New(fault.Invalid, "byte %d: not valid UTF-8", i)
		}
		i += n
	}
	return fault.New(fault.Invalid, "not valid UTF-8")
}

// parser walks over bytes that are valid UTF-8.
type parser struct {
	b     []byte
	i     int
	depth int
	err   error
}

func (p *parser) fail(format string, args ...any) bool {
	if p.err == nil {
		p.err = fault.New(fault.Invalid, "byte %d: "+format, append([]any{p.i}, args...)...)
	}
	return false
}

// unexpected fails at the byte where something else was needed.
func (p *parser) unexpected(want string) bool {
	if p.i >= len(p.b) {
		return p.fail("the JSON ends where %s was expected", want)
	}
	r, _ := utf8.DecodeRune(p.b[p.i:])
	return p.fail("%q where %s was expected", r, want)
}

func (p *parser) space() {
	for p.i < len(p.b) && isSpace(p.b[p.i]) {
		p.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (p *parser) next() byte {
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

func (p *parser) value() bool {
	switch c := p.next(); {
	case c == '{':
		return p.nested(p.object)
	case c == '[':
		return p.nested(p.array)
	case c == '"':
		return p.text()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	case c == 't':
		return p.word("true")
	case c == 'f':
		return p.word("false")
	case c == 'n':
		return p.word("null")
	}
	return p.unexpected("a JSON value")
}

func (p *parser) word(w string) bool {
	for i := range len(w) {
		if p.next() != w[i] {
			return p.unexpected(w)
		}
		p.i++
	}
	return true
}

func (p *parser) nested(inner func() bool) bool {
	if p.depth++; p.depth > MaxDepth {
		return p.fail("nested more than %d levels deep", MaxDepth)
	}
	p.i++
	ok := inner()
	p.depth--
	return ok
}

func (p *parser) array() bool {
	if p.space(); p.next() == ']' {
		p.i++
		return true
	}
	for {
		if p.space(); !p.value() {
			return false
		}
		p.space()
		switch p.next() {
		case ',':
			p.i++
		case ']':
			p.i++
			return true
		default:
			return p.unexpected("',' or ']'")
		}
	}
}

func (p *parser) object() bool {
	if p.space(); p.next() == '}' {
		p.i++
		return true
	}
	var names nameSet
	for {
		p.space()
		at := p.i
		if p.next() != '"' {
			return p.unexpected("a member name")
		}
		if !p.text() {
			return false
		}
		if name := Value(p.b[at:p.i]); !names.add(name) {
			p.i = at
			return p.fail("the member %s is there twice", clip(name))
		}
		if p.space(); p.next() != ':' {
			return p.unexpected("':'")
		}
		p.i++
		if p.space(); !p.value() {
			return false
		}
		p.space()
		switch p.next() {
		case ',':
			p.i++
		case '}':
			p.i++
			return true
		default:
			return p.unexpected("',' or '}'")
		}
	}
}

func clip(name []byte) string {
	const most = 40
	if len(name) > most {
		return string(name[:most]) + "…"
	}
	return string(name)
}

// nameSet remembers the member names of one object: a few in a list, many in a map.
type nameSet struct {
	few  [16]Value
	n    int
	many map[string]struct{}
}

// add reports whether the name is new.
func (s *nameSet) add(quoted Value) bool {
	name := quoted.raw()
	if s.many == nil {
		for _, have := range s.few[:s.n] {
			if string(have) == string(name) {
				return false
			}
		}
		if s.n < len(s.few) {
			s.few[s.n] = name
			s.n++
			return true
		}
		s.many = make(map[string]struct{}, 4*len(s.few))
		for _, have := range s.few {
			s.many[string(have)] = struct{}{}
		}
	}
	if _, have := s.many[string(name)]; have {
		return false
	}
	s.many[string(name)] = struct{}{}
	return true
}
