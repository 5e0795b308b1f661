package presence

import (
	"sync"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// counts are the channels whose number of subscriptions somebody wants to know. They are compared every second, so that
// a burst of subscriptions is told as one number.
type counts struct {
	mu    sync.Mutex
	byRef map[stream.Ref]*counted
	bySub map[sub]stream.Ref
	tags  map[Session][]session.Tag
}

// sub is one subscription that asked.
type sub struct {
	s   Session
	tag session.Tag
}

type counted struct {
	n    int
	subs map[sub]struct{}
}

func (c *counts) init() {
	c.byRef, c.bySub, c.tags = map[stream.Ref]*counted{}, map[sub]stream.Ref{}, map[Session][]session.Tag{}
}

// Subscriptions answers session.Count: the number now, and then whenever it has changed until the tag is unfollowed.
func (g *Register) Subscriptions(s Session, e session.Count) session.Counted {
	n := g.opts.Hub.Subscribers(e.Ref)
	c := &g.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.byRef[e.Ref]
	if at == nil {
		at = &counted{n: n, subs: map[sub]struct{}{}}
		c.byRef[e.Ref] = at
	}
	k := sub{s, e.Tag}
	if _, again := c.bySub[k]; !again {
		c.tags[s] = append(c.tags[s], e.Tag)
	}
	at.subs[k], c.bySub[k] = struct{}{}, e.Ref
	return session.Counted{Tag: e.Tag, N: n}
}

// Unfollowed ends what Subscriptions began.
func (g *Register) Unfollowed(s Session, tag session.Tag) {
	c := &g.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(sub{s, tag})
}

func (c *counts) remove(k sub) {
	ref, ok := c.bySub[k]
	if !ok {
		return
	}
	delete(c.bySub, k)
	at := c.byRef[ref]
	if delete(at.subs, k); len(at.subs) == 0 {
		delete(c.byRef, ref)
	}
	tags := c.tags[k.s]
	for i := range tags {
		if tags[i] == k.tag {
			tags[i] = tags[len(tags)-1]
			tags = tags[:len(tags)-1]
			break
		}
	}
	if c.tags[k.s] = tags; len(tags) == 0 {
		delete(c.tags, k.s)
	}
}

// tellCounts tells the numbers that have changed.
func (g *Register) tellCounts() {
	c := &g.counts
	type news struct {
		sub
		n int
	}
	var tell []news
	c.mu.Lock()
	for ref, at := range c.byRef {
		n := g.opts.Hub.Subscribers(ref)
		if n == at.n {
			continue
		}
		at.n = n
		for k := range at.subs {
			tell = append(tell, news{k, n})
		}
	}
	c.mu.Unlock()
	for _, t := range tell {
		t.s.Post(session.Counted{Tag: t.tag, N: t.n})
	}
}

// gone ends all that a session asked for.
func (c *counts) gone(s Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.tags[s]) > 0 {
		c.remove(sub{s, c.tags[s][0]})
	}
}
