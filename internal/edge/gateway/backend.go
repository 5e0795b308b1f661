package gateway

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/conn"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/run/page"
)

// backend is what one session can ask of the node.
type backend struct {
	gateway *Gateway
	face    face
	deflate bool // the client takes compressed frames
}

// Follow implements conn.Backend.
func (b *backend) Follow(ctx context.Context, c *conn.Conn, req session.Follow) (*hub.Follower, session.Followed) {
	id := c.ID()
	if b.face.alias != nil && b.face.alias() != "" {
		id = b.face.alias()
	}
	if b.deflate {
		req.Encoder = deflated{req.Encoder}
	}
	return b.gateway.opts.Node.Follow(ctx, hub.Session{Owner: c, Out: c.Outbox(), Conn: id}, req)
}

// Publish implements conn.Backend.
func (b *backend) Publish(ctx context.Context, c *conn.Conn, ops []stream.Op) ([]stream.Result, error) {
	ps := make([]node.Publish, len(ops))
	for i, op := range ops {
		ps[i] = node.Publish{Ref: op.Ref, Entry: op.Entry, Guard: op.Guard, Client: true, Position: true}
		if op.Receipt != nil {
			ps[i].Key, ps[i].Fingerprint, ps[i].TTL = op.Receipt.Key, op.Receipt.Fingerprint, op.Receipt.TTL
		}
	}
	return b.gateway.opts.Node.Publish(ctx, ps...)
}

// Ephemeral implements conn.Backend.
func (b *backend) Ephemeral(c *conn.Conn, ref stream.Ref, e stream.Entry) {
	b.gateway.opts.Node.Hub().Ephemeral(ref, e)
}

// Other implements conn.Backend.
func (b *backend) Other(ctx context.Context, c *conn.Conn, e session.Effect) []session.Input {
	switch e := e.(type) {
	case session.Admit:
		return []session.Input{b.admit(c, e)}
	case session.Identify:
		c.Confine(e.Capable)
		b.gateway.opts.Node.Sessions().Identify(b.face.app.ID, c, e.User)
		b.cameOrWent(e.User)
		return nil
	case session.Recall:
		return []session.Input{b.gateway.recall(ctx, b.face.app, e)}
	case session.Page:
		return []session.Input{page.Answer(ctx, b.gateway.opts.Node, b.face.app, e)}
	}
	if in, ok := b.members(c, e); ok {
		return in
	}
	if b.face.other != nil {
		return b.face.other(ctx, c, e)
	}
	return nil
}

// Gone implements conn.Backend.
func (b *backend) Gone(c *conn.Conn) {
	b.gateway.lobby.leave(c)
	if b.gateway.opts.Closed != nil {
		defer b.gateway.opts.Closed(b.face.name)
	}
	if b.face.app == nil {
		return
	}
	user := b.gateway.opts.Node.Sessions().User(b.face.app.ID, c.ID())
	b.gateway.opts.Node.Sessions().Remove(b.face.app.ID, c)
	b.gone(c, user)
}
