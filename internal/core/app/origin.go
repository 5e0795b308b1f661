package app

import (
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// origin is a pattern for the Origin header: scheme://host[:port], each part lower case. An empty scheme matches every
// scheme, an empty port the port that the scheme implies.
type origin struct {
	any    bool
	scheme string
	host   string // with sub: what follows "*."
	sub    bool   // one label or more must stand before host
	port   string // "*": every port
}

func parseOrigin(s string) (origin, error) {
	if s == "*" {
		return origin{any: true}, nil
	}
	bad := func(why string) (origin, error) {
		return origin{}, fault.New(fault.Invalid, `the origin %s %s; write it like "https://app.example.com", "https://*.example.com", "http://localhost:*" or "*"`,
			channel.Quote(s), why)
	}
	o := origin{}
	rest := strings.ToLower(s)
	if scheme, after, ok := strings.Cut(rest, "://"); ok {
		if scheme == "" || strings.ContainsAny(scheme, "*/:") {
			return bad("has no valid scheme")
		}
		o.scheme, rest = scheme, after
	}
	if strings.ContainsAny(rest, "/?# \t") {
		return bad("has a path, a query or a space")
	}
	o.host, o.port = splitPort(rest)
	if host, ok := strings.CutPrefix(o.host, "*."); ok {
		o.host, o.sub = host, true
	}
	switch {
	case o.host == "":
		return bad("names no host")
	case strings.Contains(o.host, "*"):
		return bad("has a '*' elsewhere than as the first label")
	case o.port != "" && o.port != "*" && !digits(o.port):
		return bad("has a port that is no number")
	}
	o.port = impliedPort(o.scheme, o.port)
	return o, nil
}

func (o origin) match(scheme, host, port string) bool {
	if o.any {
		return true
	}
	if o.scheme != "" && o.scheme != scheme {
		return false
	}
	if o.port != "*" && impliedPort(scheme, o.port) != port {
		return false
	}
	if o.sub {
		return len(host) > len(o.host)+1 && strings.HasSuffix(host, o.host) && host[len(host)-len(o.host)-1] == '.'
	}
	return host == o.host
}

// AllowsOrigin reports whether a browser page of this origin may talk to the app. A request without an Origin header
// comes from no browser page: ask only when there is one. An app without origins allows every one.
func (a *App) AllowsOrigin(header string) bool {
	if len(a.Origins) == 0 {
		return true
	}
	if a.compiled == nil {
		return false
	}
	scheme, rest, ok := strings.Cut(strings.ToLower(header), "://")
	host, port := splitPort(rest)
	port = impliedPort(scheme, port)
	for _, o := range a.compiled.origins {
		if o.any || ok && o.match(scheme, host, port) {
			return true
		}
	}
	return false
}

func splitPort(s string) (host, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.IndexByte(s[i:], ']') >= 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

func impliedPort(scheme, port string) string {
	switch {
	case port != "":
		return port
	case scheme == "https" || scheme == "wss":
		return "443"
	case scheme == "http" || scheme == "ws":
		return "80"
	}
	return ""
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 5
}

// CheckOrigin says what is wrong with an origin pattern.
func CheckOrigin(s string) error {
	_, err := parseOrigin(s)
	return err
}
