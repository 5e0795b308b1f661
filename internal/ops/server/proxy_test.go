package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestClientAddress(t *testing.T) {
	l := &live{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("fd00::/8")}}
	tests := []struct {
		name   string
		peer   string
		lines  []string
		client string
	}{
		{"nobody in between", "203.0.113.5:999", nil, "203.0.113.5"},
		{"a stranger's claim", "203.0.113.5:999", []string{"1.2.3.4"}, "203.0.113.5"},
		{"one proxy", "10.0.0.1:80", []string{"203.0.113.5"}, "203.0.113.5"},
		{"two proxies", "10.0.0.1:80", []string{"203.0.113.5, 10.0.0.2"}, "203.0.113.5"},
		{"two header lines", "10.0.0.1:80", []string{"203.0.113.5", "10.0.0.2"}, "203.0.113.5"},
		{"what the client wrote before the proxy", "10.0.0.1:80", []string{"1.2.3.4, 203.0.113.5"}, "203.0.113.5"},
		{"only proxies", "10.0.0.1:80", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"a proxy by itself", "10.0.0.1:80", nil, "10.0.0.1"},
		{"nonsense", "10.0.0.1:80", []string{"unknown"}, "10.0.0.1"},
		{"nonsense behind a proxy", "10.0.0.1:80", []string{"evil, 10.0.0.2"}, "10.0.0.2"},
		{"a port", "10.0.0.1:80", []string{"203.0.113.5:4711"}, "203.0.113.5"},
		{"IPv6", "[fd00::1]:80", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 with a port", "[fd00::1]:80", []string{"[2001:db8::7]:443"}, "2001:db8::7"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:80", []string{"203.0.113.5"}, "203.0.113.5"},
		{"over the unix socket", "@", []string{"203.0.113.5"}, "203.0.113.5"},
		{"on this machine", "@", nil, "invalid IP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.lines
			got := l.client(r)
			if got.String() != tt.client {
				t.Errorf("client %v, want %s", got, tt.client)
			}
			if now := addressOf(r.RemoteAddr); tt.peer != "@" && now != got {
				t.Errorf("RemoteAddr is %s", r.RemoteAddr)
			}
		})
	}
}

func TestForwardedTLS(t *testing.T) {
	l := &live{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for _, tt := range []struct {
		peer   string
		proto  []string
		secure bool
	}{
		{"10.0.0.1:1", []string{"https"}, true},
		{"10.0.0.1:1", []string{"HTTPS"}, true},
		{"10.0.0.1:1", []string{"http"}, false},
		{"10.0.0.1:1", []string{"https, http"}, false},
		{"10.0.0.1:1", nil, false},
		{"203.0.113.5:1", []string{"https"}, false},
		{"@", []string{"https"}, true},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tt.peer
		r.Header["X-Forwarded-Proto"] = tt.proto
		l.client(r)
		if (r.TLS != nil) != tt.secure {
			t.Errorf("%s %v: secure is %v", tt.peer, tt.proto, r.TLS != nil)
		}
	}
}

func TestStrip(t *testing.T) {
	for _, tt := range []struct {
		prefix, target string
		ok             bool
		want           string
	}{
		{"", "/app/k?a=b", true, "/app/k?a=b"},
		{"/rt", "/rt/app/k?a=b", true, "/app/k?a=b"},
		{"/rt", "/rt", true, "/"},
		{"/rt", "/rt?x=1", true, "/?x=1"},
		{"/rt", "/rt/", true, "/"},
		{"/rt", "/rtx/app", false, ""},
		{"/rt", "/app/k", false, ""},
		{"/rt", "/rt/apps/a%2Fb/events", true, "/apps/a%2Fb/events"},
		{"/rt", "http://host/rt/app/k", true, "/app/k"},
		{"/a/b", "/a/b/live", true, "/live"},
	} {
		r := httptest.NewRequest(http.MethodGet, tt.target, nil)
		l := &live{prefix: tt.prefix}
		ok := l.strip(r)
		if ok != tt.ok || ok && (r.RequestURI != tt.want || r.URL.RequestURI() != tt.want) {
			t.Errorf("%s of %s: %v, %q, %q", tt.prefix, tt.target, ok, r.RequestURI, r.URL.RequestURI())
		}
	}
}
