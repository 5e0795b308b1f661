package httpapi

import (
	"strconv"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/limit"
)

// limits counts what each app may do per second, for the apps that are limited.
type limits struct {
	mu   sync.Mutex
	apps map[string]*budget
}

type budget struct{ publishes, reads limit.Bucket }

func (l *limits) publish(c *call, n int) error {
	return l.take(c, n, c.app.Limits.PublishesPerSecond, "publishes", func(b *budget) *limit.Bucket { return &b.publishes })
}

func (l *limits) read(c *call) error {
	return l.take(c, 1, c.app.Limits.ReadsPerSecond, "reads", func(b *budget) *limit.Bucket { return &b.reads })
}

// take takes n from one of the app's buckets, and says in the answer's headers what is left. More than a bucket holds
// empties it.
func (l *limits) take(c *call, n, perSecond int, what string, of func(*budget) *limit.Bucket) error {
	if perSecond <= 0 {
		return nil
	}
	rate := limit.PerSecond(perSecond)
	now := time.Duration(c.api.opts.Now()) * time.Millisecond
	l.mu.Lock()
	b := l.apps[c.app.ID]
	if b == nil {
		if l.apps == nil {
			l.apps = map[string]*budget{}
		}
		b = &budget{}
		l.apps[c.app.ID] = b
	}
	bucket := of(b)
	ok, retry := bucket.Take(rate, min(n, rate.Burst()), now)
	left, reset := bucket.Left(rate, now), bucket.Reset(now)
	l.mu.Unlock()
	h := c.w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(perSecond))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(left))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(int64((reset+time.Second-1)/time.Second), 10))
	if ok {
		return nil
	}
	return fault.New(fault.RateLimited, "the app may have %d %s per second over HTTP; wait %d ms", perSecond, what, retry.Milliseconds()+1).After(retry)
}
