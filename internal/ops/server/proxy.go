package server

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// client finds out where a request came from, corrects r.RemoteAddr and r.TLS if trusted proxies stand between, and
// returns the client's address; the zero Addr is somebody on this machine, over a unix socket.
func (l *live) client(r *http.Request) netip.Addr {
	peer := addressOf(r.RemoteAddr)
	if peer.IsValid() && !l.trusts(peer) {
		return peer
	}
	client := l.forwardedFor(r.Header["X-Forwarded-For"], peer)
	if client != peer {
		r.RemoteAddr = net.JoinHostPort(client.String(), "0")
	}
	if proto := last(r.Header["X-Forwarded-Proto"]); strings.EqualFold(proto, "https") && r.TLS == nil {
		r.TLS = &tls.ConnectionState{} // the way from the client to the proxy is what counts
	}
	return client
}

// trusts reports whether an address is a proxy's. Who connects over the unix socket always is one: the file's
// permissions say who can.
func (l *live) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(l.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// forwardedFor walks the addresses from the nearest to the farthest, as far as whoever wrote them is trusted.
func (l *live) forwardedFor(lines []string, peer netip.Addr) netip.Addr {
	client := peer
	hops := strings.Split(strings.Join(lines, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		a := addressOf(strings.TrimSpace(hops[i]))
		if !a.IsValid() {
			break // what is left of it was written by nobody that we know
		}
		client = a
		if !l.trusts(a) {
			break
		}
	}
	return client
}

// last is the last element of a list over several header lines: what the nearest proxy wrote.
func last(lines []string) string {
	all := strings.Join(lines, ",")
	return strings.TrimSpace(all[strings.LastIndexByte(all, ',')+1:])
}

// addressOf reads an IP address with or without a port. Anything else gives the zero Addr.
func addressOf(text string) netip.Addr {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap()
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}
