package httpapi

import (
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// route is a path below /apps/{app}/: its fixed parts, and ":name" for those that vary.
type route struct {
	parts     []string
	endpoints []endpoint
}

// endpoint is what one method of a path does.
type endpoint struct {
	method string
	params []string // query parameters that it knows
	read   bool     // counts as a read in the limits
	do     func(*call) error
}

func (r *route) endpoint(method string) *endpoint {
	for i := range r.endpoints {
		if r.endpoints[i].method == method {
			return &r.endpoints[i]
		}
	}
	return nil
}

func (r *route) methods() []string {
	var all []string
	for _, e := range r.endpoints {
		all = append(all, e.method)
	}
	return all
}

// match is the route of a path and what the varying parts of the path are, percent-decoded.
type match struct {
	route      *route
	app        string
	channel    string
	hasChannel bool
	subject    string // a user, a key or a message serial
	second     string // an annotation serial
}

const prefix = "/apps/"

// mostParts is more than any route has.
const mostParts = 8

// find takes a raw path apart. It is split before it is decoded, so that an encoded slash never makes a part.
func find(path string) (match, error) {
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return match{}, notFound(path)
	}
	var parts [mostParts]string
	n := 0
	for {
		part, more, again := strings.Cut(rest, "/")
		if part == "" || n == mostParts {
			return match{}, notFound(path)
		}
		parts[n] = part
		n++
		if !again {
			break
		}
		rest = more
	}
	for i := range routes {
		if m, ok, err := routes[i].match(parts[1:n]); ok || err != nil {
			if err == nil {
				m.app, err = decode(parts[0])
			}
			return m, err
		}
	}
	return match{}, notFound(path)
}

func (r *route) match(parts []string) (match, bool, error) {
	if len(parts) != len(r.parts) {
		return match{}, false, nil
	}
	for i, part := range r.parts {
		if part[0] != ':' && part != parts[i] {
			return match{}, false, nil
		}
	}
	m := match{route: r}
	for i, part := range r.parts {
		if part[0] != ':' {
			continue
		}
		text, err := decode(parts[i])
		if err != nil {
			return match{}, false, err
		}
		switch part {
		case ":channel":
			m.channel, m.hasChannel = text, true
		case ":subject":
			m.subject = text
		default:
			m.second = text
		}
	}
	return m, true, nil
}

// decode undoes the percent-encoding of one part of a path. A '+' is a '+'.
func decode(part string) (string, error) {
	if strings.IndexByte(part, '%') < 0 {
		return part, nil
	}
	out := make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		if part[i] != '%' {
			out = append(out, part[i])
			continue
		}
		if i+2 >= len(part) || unhex(part[i+1]) < 0 || unhex(part[i+2]) < 0 {
			return "", fault.New(fault.Invalid, "the path has a '%%' that is no percent-encoding in %s", channel.Quote(part)).In("path")
		}
		out = append(out, byte(unhex(part[i+1])<<4|unhex(part[i+2])))
		i += 2
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

func notFound(path string) error {
	return fault.New(fault.NotFound, "there is nothing at %s", channel.Quote(path))
}

// routes are all paths of the API, those that are asked most first.
var routes = slices.Concat(publishRoutes, historyRoutes, messageRoutes, snapshotRoutes, channelRoutes, cutRoutes, annotationRoutes, feedKeyRoutes)
