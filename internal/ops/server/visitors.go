package server

import (
	"context"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/limit"
	"github.com/continuo-rt/continuo/internal/ops/config"
)

// visitors counts what each address does, while there are limits. The zero value works.
type visitors struct {
	mu  sync.Mutex
	all map[netip.Addr]*visitor
}

// visitor is one address; of IPv6 the /64, which is what one household gets.
type visitor struct {
	open               int // WebSocket connections
	connects, requests limit.Bucket
}

// admit counts a request, or a connection of a face, and refuses it beyond the limits. Local processes (the zero
// address) are not limited, nor is the question of a browser (a CORS preflight) whether a page may make a request:
// refused, the page could not learn why.
func (v *visitors) admit(client netip.Addr, face bool, r *http.Request, limits *config.Limits) *fault.Error {
	if !client.IsValid() || preflight(r) || limits.ConnectionsPerIP == 0 && limits.ConnectsPerIP == 0 && limits.RequestsPerIP == 0 {
		return nil
	}
	key := household(client)
	now := time.Duration(time.Now().UnixNano())
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.all[key]
	if one == nil {
		if v.all == nil {
			v.all = map[netip.Addr]*visitor{}
		}
		one = &visitor{}
		v.all[key] = one
	}
	if !face {
		return perMinute(&one.requests, limits.RequestsPerIP, now, "requests", key)
	}
	if limits.ConnectionsPerIP > 0 && one.open >= limits.ConnectionsPerIP {
		return fault.New(fault.RateLimited, "%s has %d connections, as many as one address may have", key, one.open).After(5 * time.Second)
	}
	if err := perMinute(&one.connects, limits.ConnectsPerIP, now, "new connections", key); err != nil {
		return err
	}
	if limits.ConnectionsPerIP > 0 {
		if t, ok := r.Context().Value(trackedKey{}).(*onClose); ok && t.set(func() { v.left(key) }) {
			one.open++
		}
	}
	return nil
}

func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

func perMinute(b *limit.Bucket, n int, now time.Duration, what string, who netip.Addr) *fault.Error {
	if n == 0 {
		return nil
	}
	ok, retry := b.Take(limit.NewRate(n, time.Minute, n), 1, now)
	if ok {
		return nil
	}
	return fault.New(fault.RateLimited, "%s may have %d %s per minute", who, n, what).After(retry)
}

func (v *visitors) left(key netip.Addr) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if one := v.all[key]; one != nil {
		one.open--
	}
}

// Run forgets addresses that have nothing left to remember, until ctx ends.
func (v *visitors) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case at := <-tick.C:
			v.forget(time.Duration(at.UnixNano()))
		}
	}
}

func (v *visitors) forget(now time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for key, one := range v.all {
		if one.open == 0 && one.connects.Reset(now) == 0 && one.requests.Reset(now) == 0 {
			delete(v.all, key)
		}
	}
}

func household(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

func retryAfter(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(max(d, time.Second).Seconds())))
}
