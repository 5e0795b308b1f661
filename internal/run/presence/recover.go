package presence

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// aliveSpace is where each node notes when it was last there.
const aliveSpace = "presence_node"

// alive is that note.
type alive struct {
	Boot string `json:"boot"`
	Seen int64  `json:"seen"` // unix ms
}

// Recover looks for members that earlier runs of this node left in the logs of channels that it had noted, and gives
// each its grace time; those who do not come back are then taken out, once. It may run beside everything else. While the
// notes cannot be read it tries again.
func (g *Register) Recover(ctx context.Context) error {
	for {
		err := g.lookBack(ctx)
		if err == nil || errors.Is(err, context.Canceled) {
			return err
		}
		g.failed("look for members of an earlier run", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.ctx.Done():
			return g.ctx.Err()
		case <-time.After(retryAfter):
		}
	}
}

func (g *Register) lookBack(ctx context.Context) error {
	records := g.opts.Records
	if records == nil {
		return nil
	}
	note, err := records.Get(ctx, aliveSpace, g.opts.Node)
	if err != nil {
		return err
	}
	var before alive
	if len(note.Value) > 0 {
		_ = json.Unmarshal(note.Value, &before) // without it the entries' own times are all that is known
	}
	after := g.opts.Node + "/"
	for {
		page, err := records.List(ctx, space, after, recoverPage)
		if err != nil {
			return err
		}
		for _, rec := range page {
			after = rec.Key
			ref, ok := g.refOf(rec.Key)
			if !ok {
				return nil // the keys of other nodes follow
			}
			if err := g.adopt(ctx, ref, before.Seen); err != nil {
				return err
			}
		}
		if len(page) < recoverPage {
			return nil
		}
	}
}

const recoverPage = 256

// adopt has one channel looked through and waits for that, so that a node with many does not do all at once.
func (g *Register) adopt(ctx context.Context, ref stream.Ref, seen int64) error {
	r := g.hold(ref)
	if r == nil {
		return context.Canceled
	}
	defer g.release(r)
	done := make(chan error, 1)
	r.ask(&request{kind: adopt, at: seen, done: func(err error) { done <- err }})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-g.ctx.Done():
		return g.ctx.Err()
	}
}

// SignOfLife notes that this node is there, while it has members.
func (g *Register) SignOfLife(ctx context.Context) {
	if g.opts.Records == nil || !g.occupied() {
		return
	}
	b, _ := json.Marshal(alive{g.opts.Boot, g.opts.Now()}) // of two plain fields it cannot fail
	_, err := g.opts.Records.Put(ctx, aliveSpace, g.opts.Node, b, record.Any)
	g.failed("note a sign of life", err)
}

func (g *Register) occupied() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.rolls {
		r.mu.Lock()
		recorded := r.recorded
		r.mu.Unlock()
		if recorded {
			return true
		}
	}
	return false
}

// Reset begins the presence log of a channel anew, with the members that are there.
func (g *Register) Reset(ctx context.Context, ref stream.Ref) (stream.CutResult, error) {
	r := g.hold(ref)
	if r == nil {
		return stream.CutResult{}, context.Canceled
	}
	defer g.release(r)
	done := make(chan error, 1)
	q := &request{kind: wipe, done: func(err error) { done <- err }}
	r.ask(q)
	select {
	case err := <-done:
		return q.cut, err
	case <-ctx.Done():
		return stream.CutResult{}, ctx.Err()
	case <-g.ctx.Done():
		return stream.CutResult{}, g.ctx.Err()
	}
}
