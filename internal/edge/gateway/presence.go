package gateway

import (
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/run/conn"
)

// members carries out effects about members; ok is false for any other.
func (b *backend) members(c *conn.Conn, e session.Effect) (in []session.Input, ok bool) {
	if b.gateway.opts.Presence == nil || b.face.app == nil {
		return nil, false
	}
	return b.gateway.opts.Presence.Do(b.face.app.ID, c, e)
}

// cameOrWent tells those who watch a user when the user's first connection came or the last one went.
func (b *backend) cameOrWent(user string) {
	if b.gateway.opts.Presence != nil && user != "" {
		b.gateway.opts.Presence.Changed(b.face.app.ID, user)
	}
}

// gone ends what a session asked for about members, and tells those who watch its user.
func (b *backend) gone(c *conn.Conn, user string) {
	if b.gateway.opts.Presence != nil {
		b.gateway.opts.Presence.Gone(c)
	}
	b.cameOrWent(user)
}
