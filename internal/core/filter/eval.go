package filter

import "bytes"

// eval is one pass over one payload. It stops as soon as the answer is known, and where the payload is no JSON: what it
// has not found by then is not there.
type eval struct {
	set    *Set
	data   []byte
	pos    int
	open   uint64 // clauses whose path was not found yet
	failed bool   // a path was found and its value does not pass
}

func (e *eval) done() bool { return e.failed || e.open == 0 }

// value reads the value at pos, which stands at n, and moves behind it. It reports false when the pass is over.
func (e *eval) value(n *node) bool {
	if !e.space() {
		return false
	}
	if n.ends && e.open&(1<<n.clause) != 0 {
		if !e.decide(n.clause) {
			return false
		}
	}
	if len(n.edges) > 0 {
		switch e.data[e.pos] {
		case '{':
			return e.object(n)
		case '[':
			return e.array(n)
		}
	}
	return e.skip()
}

// decide compares the value at pos with what a clause lets pass.
func (e *eval) decide(i int) bool {
	ok, valid := e.scalar(e.set.clauses[i].values)
	if !valid {
		return false
	}
	e.open &^= 1 << i
	e.failed = !ok
	return !e.done()
}

func (e *eval) object(n *node) bool {
	e.pos++
	for {
		if !e.space() {
			return false
		}
		switch e.data[e.pos] {
		case '}':
			e.pos++
			return true
		case ',': // taken as it comes: a payload that is not quite JSON need not be refused here
			e.pos++
			continue
		case '"':
		default:
			return false
		}
		raw, escaped, ok := e.str()
		if !ok || !e.space() || e.data[e.pos] != ':' {
			return false
		}
		e.pos++
		to := e.member(n, raw, escaped)
		if to == nil {
			if !e.skip() {
				return false
			}
		} else if !e.value(to) {
			return false
		}
	}
}

func (e *eval) member(n *node, raw []byte, escaped bool) *node {
	if !escaped {
		return n.named(raw)
	}
	var buf [64]byte
	name, ok := appendUnescaped(buf[:0], raw)
	if !ok {
		return nil
	}
	return n.named(name)
}

func (e *eval) array(n *node) bool {
	e.pos++
	for i := 0; ; {
		if !e.space() {
			return false
		}
		switch e.data[e.pos] {
		case ']':
			e.pos++
			return true
		case ',':
			e.pos++
			i++
			continue
		}
		to := n.at(i)
		if to == nil {
			if !e.skip() {
				return false
			}
		} else if !e.value(to) {
			return false
		}
	}
}

// scalar reports whether the value at pos is one of values; it does not move. An object, an array and null are never
// among them. valid is false where there is no value.
func (e *eval) scalar(values map[string]struct{}) (ok, valid bool) {
	start := e.pos
	defer func() { e.pos = start }()
	switch c := e.data[start]; {
	case c == '"':
		raw, escaped, valid := e.str()
		if !valid {
			return false, false
		}
		if escaped {
			var buf [128]byte
			if raw, valid = appendUnescaped(buf[:0], raw); !valid {
				return false, false
			}
		}
		_, ok = values[string(raw)]
		return ok, true
	case c == '-' || ('0' <= c && c <= '9'):
		raw := e.word()
		var buf [64]byte
		plain, valid := appendNumber(buf[:0], raw)
		if !valid {
			return false, false
		}
		if _, ok = values[string(raw)]; !ok {
			_, ok = values[string(plain)]
		}
		return ok, true
	case c == '{' || c == '[':
		return false, true
	}
	switch raw := e.word(); string(raw) {
	case "true", "false":
		_, ok = values[string(raw)]
		return ok, true
	case "null":
		return false, true
	}
	return false, false
}

// space moves to the next byte that is not white space, and reports whether there is one.
func (e *eval) space() bool {
	for ; e.pos < len(e.data); e.pos++ {
		if c := e.data[e.pos]; c > ' ' || (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
			return true
		}
	}
	return false
}

// str takes the string at pos and gives what stands between its quotes.
func (e *eval) str() (raw []byte, escaped, ok bool) {
	start := e.pos + 1
	end := quote(e.data, start)
	if end < 0 {
		return nil, false, false
	}
	e.pos = end + 1
	raw = e.data[start:end]
	return raw, bytes.IndexByte(raw, '\\') >= 0, true
}

// quote finds the quote that ends the string that begins at start; -1 if there is none.
func quote(data []byte, start int) int {
	for i := start; ; i++ {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		slashes := 0
		for i-slashes > start && data[i-slashes-1] == '\\' {
			slashes++
		}
		if slashes&1 == 0 {
			return i
		}
	}
}

// word takes a number or a literal: everything up to the next delimiter.
func (e *eval) word() []byte {
	start := e.pos
	for e.pos < len(e.data) && !delimiter[e.data[e.pos]] {
		e.pos++
	}
	return e.data[start:e.pos]
}

var delimiter = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, ',': true, ':': true, '"': true, '{': true, '}': true, '[': true, ']': true}

// skip moves behind the value at pos.
func (e *eval) skip() bool {
	if !e.space() {
		return false
	}
	switch e.data[e.pos] {
	case '"':
		end := quote(e.data, e.pos+1)
		e.pos = end + 1
		return end >= 0
	case '{', '[':
		return e.nested()
	case '}', ']', ',', ':':
		return false
	}
	e.word()
	return true
}

// nested moves behind the object or array at pos, without recursion however deep it is: only brackets and strings
// matter.
func (e *eval) nested() bool {
	depth, data := 0, e.data
	for i := e.pos; i < len(data); i++ {
		switch data[i] {
		case '"':
			if i = quote(data, i+1); i < 0 {
				return false
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				e.pos = i + 1
				return true
			}
		}
	}
	return false
}
