package conn

import (
	"context"
	"sync"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// maxPublishes is how many publishes of one connection may wait for the store before its reader waits too.
const maxPublishes = 64

// publisher appends what a client publishes, in order: while one batch is made durable the next gathers. Its goroutine
// lives only while there is something to publish.
type publisher struct {
	mu      sync.Mutex
	queue   []session.Publish
	running bool
	room    *sync.Cond
}

func (p *publisher) add(c *Conn, e session.Publish) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, e)
	if !p.running {
		p.running = true
		go p.run(c)
	}
}

// wait blocks the reader while too much waits.
func (p *publisher) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) >= maxPublishes {
		if p.room == nil {
			p.room = sync.NewCond(&p.mu)
		}
		p.room.Wait()
	}
}

func (p *publisher) run(c *Conn) {
	for {
		p.mu.Lock()
		batch := p.queue
		p.queue = nil
		if p.room != nil {
			p.room.Broadcast()
		}
		if len(batch) == 0 {
			p.running = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		p.publish(c, batch)
	}
}

// publish appends a batch in one call and hands each publish its own results.
func (p *publisher) publish(c *Conn, batch []session.Publish) {
	ops := make([]stream.Op, 0, len(batch))
	for _, e := range batch {
		ops = append(ops, e.Ops...)
	}
	results, err := c.opts.Backend.Publish(context.Background(), c, ops)
	for _, e := range batch {
		in := session.Published{Tag: e.Tag, Err: err}
		if err == nil {
			in.Results, results = results[:len(e.Ops)], results[len(e.Ops):]
		}
		c.handle(in)
	}
}
