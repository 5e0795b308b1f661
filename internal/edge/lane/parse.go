package lane

import (
	"bytes"
	"net/http"
	"net/textproto"
	"strings"
)

// verdict is what the bytes at hand are.
type verdict int

const (
	more  verdict = iota // the beginning of a plain request
	whole                // a plain request
	other                // something that net/http has to judge
)

// parsed is a plain request.
type parsed struct {
	verdict verdict
	target  string
	host    string
	header  http.Header
	head    int // bytes up to the body
	size    int // of all; 0 = not known yet
}

var (
	post    = []byte("POST ")
	headEnd = []byte("\r\n\r\n")
)

// parse judges what b begins with.
func parse(b []byte) parsed {
	if n := min(len(b), len(post)); !bytes.Equal(b[:n], post[:n]) {
		return parsed{verdict: other}
	}
	end := bytes.Index(b[:min(len(b), mostHead)], headEnd)
	if end < 0 {
		if len(b) >= mostHead {
			return parsed{verdict: other}
		}
		return parsed{}
	}
	p := parsed{verdict: other}
	line, lines, found := strings.Cut(string(b[len(post):end]), "\r\n")
	target, proto, _ := strings.Cut(line, " ")
	if !found || proto != "HTTP/1.1" || !strings.HasPrefix(target, "/") || !visible(target, "") {
		return p
	}
	length, ok := p.fields(lines)
	if !ok || length < 0 || p.host == "" {
		return p
	}
	p.target, p.head, p.size, p.verdict = target, end+len(headEnd), end+len(headEnd)+length, more
	if len(b) >= p.size {
		p.verdict = whole
	}
	return p
}

// fields reads the header fields and gives the Content-Length, -1 without one. It is not ok if there is any that the loop
// does not serve, or that two parsers might read differently.
func (p *parsed) fields(lines string) (length int, ok bool) {
	n := strings.Count(lines, "\r\n") + 1
	p.header = make(http.Header, n)
	values := make([]string, n)
	length = -1
	for i := range n {
		var line string
		line, lines, _ = strings.Cut(lines, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if !found || !isName(name) {
			return 0, false
		}
		value = strings.Trim(value, " \t")
		if !visible(value, " \t") {
			return 0, false
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		switch name {
		case "Host":
			if p.host != "" || value == "" || strings.ContainsAny(value, " \t/\\@?#\"'<>(),;") {
				return 0, false
			}
			p.host = value
			continue
		case "Content-Length":
			if length >= 0 {
				return 0, false
			}
			if length, ok = number(value); !ok {
				return 0, false
			}
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return 0, false
			}
		case "Transfer-Encoding", "Expect", "Upgrade", "Te", "Trailer", "Proxy-Connection":
			return 0, false
		}
		if _, again := p.header[name]; again {
			p.header[name] = append(p.header[name], value)
			continue
		}
		values[i] = value
		p.header[name] = values[i : i+1 : i+1]
	}
	return length, true
}

// number reads a length that the lane takes.
func number(s string) (n int, ok bool) {
	if s == "" || len(s) > 6 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, n <= mostBody
}

// isName reports whether s is the name of a field, of the characters that such names are made of.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

// visible reports whether s is made of visible ASCII characters, and of those in also.
func visible(s, also string) bool {
	for i := range len(s) {
		if (s[i] <= ' ' || s[i] > '~') && strings.IndexByte(also, s[i]) < 0 {
			return false
		}
	}
	return true
}
