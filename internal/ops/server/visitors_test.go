package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/ops/config"
)

func TestVisitors(t *testing.T) {
	var v visitors
	limits := &config.Limits{ConnectionsPerIP: 2, ConnectsPerIP: 3, RequestsPerIP: 1}
	one, other := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")
	connect := func(from netip.Addr) (*onClose, *fault.Error) {
		c := &onClose{}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		return c, v.admit(from, true, r.WithContext(context.WithValue(r.Context(), trackedKey{}, c)), limits)
	}
	var open []*onClose
	for range 2 {
		c, err := connect(one)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	if _, err := connect(one); err == nil || err.Kind != fault.RateLimited {
		t.Errorf("a third connection at once: %v", err)
	}
	if _, err := connect(other); err != nil {
		t.Errorf("another address: %v", err)
	}
	open[0].closed()
	open[0].closed() // only once
	if _, err := connect(one); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
	open[1].closed()
	if _, err := connect(one); err == nil || err.Retry <= 0 {
		t.Errorf("a fourth connection within a minute: %v", err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if err := v.admit(one, false, r, limits); err != nil {
		t.Error(err)
	}
	if err := v.admit(one, false, r, limits); err == nil {
		t.Error("a second request within a minute was allowed")
	}
	ask := httptest.NewRequest(http.MethodOptions, "/", nil)
	ask.Header.Set("Access-Control-Request-Method", "POST")
	if err := v.admit(one, false, ask, limits); err != nil {
		t.Errorf("a preflight was limited: %v", err)
	}
	if err := v.admit(netip.Addr{}, false, r, limits); err != nil {
		t.Errorf("a process of this machine was limited: %v", err)
	}
	if err := v.admit(one, false, r, &config.Limits{}); err != nil {
		t.Errorf("limited without limits: %v", err)
	}
	v.forget(time.Duration(time.Now().Add(time.Hour).UnixNano()))
	if len(v.all) != 2 { // both have connections
		t.Errorf("%d addresses are remembered", len(v.all))
	}
}

func TestHousehold(t *testing.T) {
	a, b := netip.MustParseAddr("2001:db8:1:2:3::4"), netip.MustParseAddr("2001:db8:1:2::9")
	if household(a) != household(b) || household(a) == household(netip.MustParseAddr("2001:db8:1:3::4")) {
		t.Error("IPv6 addresses are not counted by their /64")
	}
}
