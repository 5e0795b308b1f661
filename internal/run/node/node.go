// Package node has the verbs of one server: publish, follow, read, cut, and the sessions that are connected to it.
// Every face and the HTTP API act through it; it knows policies and no protocol.
package node

import (
	"context"
	"sync/atomic"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

// Options of a Node.
type Options struct {
	Store stream.Store
	Hub   *hub.Hub
	Apps  *app.Registry
	Now   func() int64
}

// Node is one server. All methods may be called concurrently.
type Node struct {
	store    stream.Store
	hub      *hub.Hub
	sessions *Sessions
	apps     atomic.Pointer[app.Registry]
	now      func() int64
}

// New makes a node.
func New(o Options) *Node {
	n := &Node{store: o.Store, hub: o.Hub, sessions: NewSessions(), now: o.Now}
	n.apps.Store(o.Apps)
	return n
}

// Apps is the registry in force.
func (n *Node) Apps() *app.Registry { return n.apps.Load() }

// SetApps puts a new registry in force. Sessions keep what they were granted; those of an app that has gone, or is
// disabled now, are told to come back, and learn at the door what has become of it.
func (n *Node) SetApps(r *app.Registry) {
	for old := range n.apps.Swap(r).All() {
		if n.serves(old.ID) {
			continue
		}
		for _, one := range n.sessions.Of(old.ID) {
			one.Post(session.Terminate{Cause: session.Reconnect})
		}
	}
}

// Admit registers a session of an app that was in force when the session was let in, as Sessions.Admit does. Should the
// app have gone meanwhile, the session ends as those do that were there: it is in the register before the registry is
// looked at, and SetApps looks at them the other way round.
func (n *Node) Admit(appID string, one Session, limit int, user string, userLimit int) error {
	err := n.sessions.Admit(appID, one, limit, user, userLimit)
	if err == nil && !n.serves(appID) {
		one.Post(session.Terminate{Cause: session.Reconnect})
	}
	return err
}

func (n *Node) serves(appID string) bool {
	a, ok := n.Apps().ByID(appID)
	return ok && a.Enabled
}

// gone stands for an app that has gone.
var gone = &app.App{Limits: app.DefaultLimits()}

// Rules answers for the policy of a stream, as stores ask. The app may have gone with a reload: then the default holds.
func Rules(r *app.Registry, ref stream.Ref) stream.Rules {
	a, ok := r.ByID(ref.App)
	if !ok {
		a = gone
	}
	p := a.Policy(ref.Channel)
	if ref.Log == stream.Presence {
		rules := p.PresenceRules()
		rules.Retention.MaxKeys = uint64(a.Limits.PresenceMembers)
		return rules
	}
	return p.Rules()
}

// Store is the node's store, for reads that have no verb of their own.
func (n *Node) Store() stream.Store { return n.store }

// Hub is the node's hub.
func (n *Node) Hub() *hub.Hub { return n.hub }

// Sessions are the sessions connected to this node.
func (n *Node) Sessions() *Sessions { return n.sessions }

// policy is the policy of an app's channel.
func (n *Node) policy(ref stream.Ref) (*app.Policy, error) {
	p, ok := n.Apps().Policy(ref.App, ref.Channel)
	if !ok {
		return nil, fault.New(fault.AppNotFound, "there is no app %q", ref.App)
	}
	return p, nil
}

// Follow starts a follower for a session, within the limits of the channel's policy. The face has decided that the
// session may follow.
func (n *Node) Follow(ctx context.Context, s hub.Session, req session.Follow) (*hub.Follower, session.Followed) {
	p, err := n.policy(req.Ref)
	if err != nil {
		return nil, session.Followed{Tag: req.Tag, Err: err}
	}
	if !p.ClientsSubscribe() {
		return nil, session.Followed{Tag: req.Tag, Err: fault.New(fault.Forbidden, "the policy of channel %q lets nobody subscribe", req.Ref.Channel)}
	}
	if req.Ref.Log == stream.Presence { // always logged, and followed from where the members were read
		return n.hub.Follow(ctx, s, req)
	}
	req.Start.Unlogged = p.NoLog
	if req.Start.Limits == (stream.Window{}) {
		req.Start.Limits = p.Window(false)
	}
	return n.hub.Follow(ctx, s, req)
}
