package filter

import (
	"strconv"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Limits of one path.
const (
	MaxPointer = 512 // bytes
	MaxTokens  = 16  // also how deep an evaluation recurses
)

// ParsePointer takes a JSON pointer (RFC 6901) apart into its unescaped tokens; "" has none and means the whole value.
func ParsePointer(s string) ([]string, error) {
	if len(s) > MaxPointer {
		return nil, fault.New(fault.Invalid, "the path %.40q… has %d bytes, more than the %d allowed", s, len(s), MaxPointer)
	}
	if s == "" {
		return nil, nil
	}
	if s[0] != '/' {
		return nil, fault.New(fault.Invalid, "the path %q is no JSON pointer: it must begin with '/'", s)
	}
	tokens := strings.Split(s[1:], "/")
	if len(tokens) > MaxTokens {
		return nil, fault.New(fault.Invalid, "the path %q has %d steps, more than the %d allowed", s, len(tokens), MaxTokens)
	}
	for i, t := range tokens {
		for j := 0; j < len(t); j++ {
			if t[j] == '~' {
				if j+1 >= len(t) || (t[j+1] != '0' && t[j+1] != '1') {
					return nil, fault.New(fault.Invalid, "the path %q has a '~' that is neither ~0 nor ~1", s)
				}
				j++
			}
		}
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens, nil
}

// node is a place in payloads that some path leads through or to: all paths together are one tree, so that one pass over
// a payload answers every clause.
type node struct {
	ends   bool // a clause ends here:
	clause int
	edges  []edge
}

type edge struct {
	name  string
	index int // the token as an array index; -1 if it is none
	to    *node
}

func (n *node) add(tokens []string, clause int) {
	if len(tokens) == 0 {
		n.ends, n.clause = true, clause
		return
	}
	for _, e := range n.edges {
		if e.name == tokens[0] {
			e.to.add(tokens[1:], clause)
			return
		}
	}
	to := &node{}
	n.edges = append(n.edges, edge{name: tokens[0], index: indexOf(tokens[0]), to: to})
	to.add(tokens[1:], clause)
}

// indexOf reads an array index as RFC 6901 has them: digits without a leading zero.
func indexOf(token string) int {
	i, err := strconv.Atoi(token)
	if err != nil || i < 0 || strconv.Itoa(i) != token {
		return -1
	}
	return i
}

func (n *node) named(name []byte) *node {
	for i := range n.edges {
		if e := &n.edges[i]; len(e.name) == len(name) && e.name == string(name) {
			return e.to
		}
	}
	return nil
}

func (n *node) at(index int) *node {
	for i := range n.edges {
		if n.edges[i].index == index {
			return n.edges[i].to
		}
	}
	return nil
}
