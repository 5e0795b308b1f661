package gateway

import (
	"context"
	"sync"
)

// crowd counts sessions and waits until none is left. Unlike a sync.WaitGroup it may be entered while somebody waits: a
// request that came before the drain began is upgraded during it.
type crowd struct {
	mu    sync.Mutex
	n     int
	empty chan struct{} // closed when n falls to 0; nil: nobody waits
}

func (c *crowd) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.empty != nil {
		close(c.empty)
		c.empty = nil
	}
}

// wait returns when there is nobody, or ctx ends.
func (c *crowd) wait(ctx context.Context) {
	c.mu.Lock()
	if c.n == 0 {
		c.mu.Unlock()
		return
	}
	if c.empty == nil {
		c.empty = make(chan struct{})
	}
	empty := c.empty
	c.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}
