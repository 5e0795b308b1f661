package auth

import (
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// maxParams bounds the parameters of one request: nothing legitimate comes near it, and sorting stays cheap.
const maxParams = 64

// Param is one query parameter, percent-decoded.
type Param struct {
	Name, Value string
	// plain is the value with every '+' left as it came, if that differs from Value. Form encoders send a space as
	// '+', SDKs that do not encode at all send a '+' as itself, and only the signature can tell them apart.
	plain string
}

// Query is the parameters of a request, in the order in which they came, no name twice.
type Query []Param

// ParseQuery takes a raw query apart by hand: at '&' and at the first '=', decoding afterwards. Values may so hold the
// raw ';' ',' '=' '@' ':' that SDKs send unescaped (net/url refuses the ';').
func ParseQuery(raw string) (Query, error) {
	if raw == "" {
		return nil, nil
	}
	n := strings.Count(raw, "&") + 1
	if n > maxParams {
		return nil, fault.New(fault.Invalid, "the query has %d parameters, more than the %d allowed", n, maxParams)
	}
	q := make(Query, 0, n)
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := unescape(rawName, true)
		if err != nil {
			return nil, err
		}
		p := Param{Name: name}
		if p.Value, err = unescape(rawValue, true); err != nil {
			return nil, err
		}
		if strings.IndexByte(rawValue, '+') >= 0 {
			p.plain, _ = unescape(rawValue, false) // it decoded once already
		}
		if q.index(name) >= 0 {
			return nil, fault.New(fault.Invalid, "the query parameter %s is given twice", channel.Quote(name)).In(name)
		}
		q = append(q, p)
	}
	return q, nil
}

// Get gives the value of a parameter. Names are compared exactly.
func (q Query) Get(name string) (value string, ok bool) {
	if i := q.index(name); i >= 0 {
		return q[i].Value, true
	}
	return "", false
}

func (q Query) index(name string) int {
	for i := range q {
		if q[i].Name == name {
			return i
		}
	}
	return -1
}

// IsAuth reports whether a parameter belongs to the signature rather than to the request.
func IsAuth(name string) bool {
	switch name {
	case "auth_key", "auth_timestamp", "auth_version", "auth_signature", "body_md5":
		return true
	}
	return false
}

func unescape(s string, plusIsSpace bool) (string, error) {
	if strings.IndexByte(s, '%') < 0 && (!plusIsSpace || strings.IndexByte(s, '+') < 0) {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return "", fault.New(fault.Invalid, "the query has a '%%' that is no percent-encoding in %s", channel.Quote(s))
			}
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		case c == '+' && plusIsSpace:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out), nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// signed appends what the signature covers of a query: every parameter but auth_signature, names in lower case, sorted
// by name, decoded, joined as name=value with '&'.
func (q Query) signed(buf []byte, plain bool) []byte {
	var names [maxParams]string
	var order [maxParams]int
	n := 0
	for i := range q {
		if q[i].Name == "auth_signature" {
			continue
		}
		name := strings.ToLower(q[i].Name)
		at := n // queries are short: insertion sort, stable for names that differ only in case
		for ; at > 0 && names[at-1] > name; at-- {
			names[at], order[at] = names[at-1], order[at-1]
		}
		names[at], order[at] = name, i
		n++
	}
	for i := range n {
		if i > 0 {
			buf = append(buf, '&')
		}
		buf = append(buf, names[i]...)
		buf = append(buf, '=')
		buf = append(buf, q[order[i]].value(plain)...)
	}
	return buf
}

func (p *Param) value(plain bool) string {
	if plain && p.plain != "" {
		return p.plain
	}
	return p.Value
}

func (q Query) hasPlus() bool {
	for i := range q {
		if q[i].plain != "" {
			return true
		}
	}
	return false
}
