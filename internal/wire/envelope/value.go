package envelope

import (
	"bytes"
	"iter"
	"strconv"
	"unicode/utf8"
)

// Value is the text of one JSON value that Parse accepted, or nil where there is none. Values made otherwise must not be
// asked.
type Value []byte

// Kind is what a value is.
type Kind uint8

// The kinds of values.
const (
	Absent Kind = iota // no value at all
	Null
	Bool
	Number
	String
	Array
	Object
)

// Kind tells what the value is.
func (v Value) Kind() Kind {
	if len(v) == 0 {
		return Absent
	}
	switch v[0] {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Number
}

// Given reports whether there is a value other than null.
func (v Value) Given() bool { k := v.Kind(); return k != Absent && k != Null }

// Members goes through an object's members in order; of other kinds there are none. Names are valid until the next
// member.
func (v Value) Members() iter.Seq2[[]byte, Value] {
	return func(yield func([]byte, Value) bool) {
		if v.Kind() != Object {
			return
		}
		for i := skipSpace(v, 1); v[i] != '}'; {
			end := skip(v, i)
			name := v[i:end].raw()
			from := skipSpace(v, skipSpace(v, end)+1)
			end = skip(v, from)
			if !yield(name, v[from:end:end]) {
				return
			}
			if i = skipSpace(v, end); v[i] == ',' {
				i = skipSpace(v, i+1)
			}
		}
	}
}

// Items goes through an array's items in order; of other kinds there are none.
func (v Value) Items() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != Array {
			return
		}
		for i := skipSpace(v, 1); v[i] != ']'; {
			end := skip(v, i)
			if !yield(v[i:end:end]) {
				return
			}
			if i = skipSpace(v, end); v[i] == ',' {
				i = skipSpace(v, i+1)
			}
		}
	}
}

// Get is an object's member, nil if there is none.
func (v Value) Get(name string) Value {
	for n, m := range v.Members() {
		if string(n) == name {
			return m
		}
	}
	return nil
}

// Text is the text of a string; ok is false for other kinds.
func (v Value) Text() (s string, ok bool) {
	if v.Kind() != String {
		return "", false
	}
	return string(v.raw()), true
}

// AppendText appends the text of a string to dst; other kinds append nothing.
func (v Value) AppendText(dst []byte) []byte {
	if v.Kind() != String {
		return dst
	}
	return append(dst, v.raw()...)
}

// Uint is a whole number without sign, point or exponent; ok is false for everything else and for what does not fit.
func (v Value) Uint() (n uint64, ok bool) {
	if v.Kind() != Number {
		return 0, false
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	return n, err == nil
}

// Bool is true or false; ok is false for other kinds.
func (v Value) Bool() (b, ok bool) {
	if v.Kind() != Bool {
		return false, false
	}
	return v[0] == 't', true
}

func skipSpace(b []byte, i int) int {
	for isSpace(b[i]) {
		i++
	}
	return i
}

// skip gives the index after the value that begins at i.
func skip(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && !isSpace(b[i]) {
		i++
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// raw is the text of a quoted string: a part of it, or decoded anew if it has escapes.
func (v Value) raw() Value {
	in := v[1 : len(v)-1]
	if bytes.IndexByte(in, '\\') < 0 {
		return in
	}
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); {
		c := in[i]
		if c != '\\' {
			out = append(out, c)
			i++
			continue
		}
		var r rune
		if r, i = unescape(in, i+1); r < utf8.RuneSelf {
			out = append(out, byte(r))
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// unescape gives the rune of an escape whose letter is at i, and the index after it.
func unescape(b []byte, i int) (rune, int) {
	switch b[i] {
	case 'b':
		return '\b', i + 1
	case 'f':
		return '\f', i + 1
	case 'n':
		return '\n', i + 1
	case 'r':
		return '\r', i + 1
	case 't':
		return '\t', i + 1
	case 'u':
		r := unit(b[i+1:])
		i += 5
		if 0xd800 <= r && r <= 0xdbff {
			low := unit(b[i+2:])
			return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, i + 6
		}
		return r, i
	}
	return rune(b[i]), i + 1
}

func unit(b []byte) (r rune) {
	for _, c := range b[:4] {
		r = r<<4 | rune(hex(c))
	}
	return r
}
