package pusher

import "github.com/continuo-rt/continuo/internal/core/session"

// past is the history requests of a connection that are not answered yet.
type past struct{}

func (m *Machine) history(*request) string {
	m.fail(codeChannel, "channel_history is not available here")
	return ""
}

func (m *Machine) paged(session.Paged) {}
