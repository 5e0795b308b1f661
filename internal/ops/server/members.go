package server

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/continuo-rt/continuo/internal/run/presence"
)

// nodeName is this server among those that share its store: an embedded store has one.
const nodeName = "local"

// register makes the register of members.
func (s *Server) register() *presence.Register {
	events := s.metrics.Presence(s.log, func() presence.Stats { return s.members.Stats() })
	return presence.New(presence.Options{Store: s.stores.log, Hub: s.hub, Apps: s.node.Apps, Records: s.stores.records,
		Online: s.node.Sessions().Online, Node: nodeName, Boot: rand.Text()[:12], Now: s.clock.Now, Events: events})
}

// recoverMembers looks once for members that an earlier run left.
func (s *Server) recoverMembers(ctx context.Context) error {
	err := s.members.Recover(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log.Error("members of an earlier run could not be looked for", "error", err)
	}
	return err
}
