package gateway

import (
	"maps"
	"slices"
	"sync"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/run/conn"
)

// lobby holds the sessions whose app is not known yet.
type lobby struct {
	mu   sync.Mutex
	here map[*conn.Conn]struct{}
}

func (l *lobby) enter(c *conn.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.here == nil {
		l.here = map[*conn.Conn]struct{}{}
	}
	l.here[c] = struct{}{}
}

func (l *lobby) leave(c *conn.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.here, c)
}

func (l *lobby) all() []*conn.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.here))
}

func (l *lobby) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.here)
}

// full reports whether the node has as many sessions as it may have.
func (g *Gateway) full() bool {
	most := g.opts.MaxConnections
	return most > 0 && g.opts.Node.Sessions().Len()+g.lobby.count() >= most
}

// admit registers a session whose frame has said whose it is. It is in the register before it leaves the lobby, so that
// whoever goes through both misses nobody.
func (b *backend) admit(c *conn.Conn, e session.Admit) session.Admitted {
	n := b.gateway.opts.Node
	a, ok := n.Apps().ByID(e.App)
	if !ok {
		return session.Admitted{Err: fault.New(fault.AppNotFound, "there is no app %q", e.App)}
	}
	if err := n.Admit(a.ID, c, a.Limits.Connections, e.User, e.Limit); err != nil {
		return session.Admitted{Err: err}
	}
	b.face.app = a
	b.gateway.lobby.leave(c)
	if b.face.admitted != nil {
		b.face.admitted(c, e)
	}
	return session.Admitted{}
}
