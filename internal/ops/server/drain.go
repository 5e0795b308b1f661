package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/edge/gateway"
)

// lastMoment is how long sessions have to end after the drain time.
const lastMoment = 2 * time.Second

// drain ends the server's work in order: it is unready, accepts nobody, tells its clients to come back, spread over the
// drain time, lets requests finish, and closes what is left. Closing the stores afterwards flushes them. The admin
// listener and the control socket answer until the end.
func (s *Server) drain(web *http.Server) error {
	limit := s.Config().Drain
	s.state.Store(draining)
	s.members.Stop()
	s.gates.draining()
	end, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	requests := make(chan struct{})
	go func() { // closes the listeners first
		defer close(requests)
		var both sync.WaitGroup
		both.Go(func() {
			if s.lane.Shutdown(end) != nil {
				_ = s.lane.Close()
			}
		})
		if web.Shutdown(end) != nil {
			_ = web.Close()
		}
		both.Wait()
	}()
	s.tell(limit)
	s.gates.wait(end)
	<-requests
	left := s.node.Sessions().All()
	for _, one := range left {
		one.Post(session.Terminate{Cause: session.Stopping})
	}
	last, cancel := context.WithTimeout(context.Background(), lastMoment)
	defer cancel()
	s.gates.wait(last)
	s.log.Info("stopped", "sessions_cut", len(left))
	return nil
}

// tell tells every session to reconnect, each at its own moment of the drain time, the last a little before its end.
func (s *Server) tell(limit time.Duration) {
	all := s.node.Sessions().All()
	s.log.Info("stopping: clients are told to reconnect", "sessions", len(all), "drain", limit)
	spread := limit.Milliseconds() * 9 / 10
	for i, one := range all {
		one.Post(session.Draining{AfterMS: spread * int64(i) / int64(len(all))})
	}
}

// gates are the gateways that have sessions: the one in force, and those that reloads have replaced.
type gates struct {
	mu  sync.Mutex
	all []*gateway.Gateway
}

func (g *gates) add(one *gateway.Gateway) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, one)
}

func (g *gates) list() []*gateway.Gateway {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*gateway.Gateway(nil), g.all...)
}

func (g *gates) draining() {
	for _, one := range g.list() {
		one.Draining()
	}
}

func (g *gates) wait(ctx context.Context) {
	for _, one := range g.list() {
		one.Wait(ctx)
	}
}
