package server

import (
	"net/http"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/edge/console"
	"github.com/continuo-rt/continuo/internal/edge/httpapi"
)

// routes sends each request to its face. Paths are taken as they came: signatures are over the raw path, so nothing
// may clean or redirect them.
func (s *Server) routes() http.Handler {
	api := httpapi.New(httpapi.Options{Node: s.node, Now: s.clock.Now, Log: s.log, BodyLimit: int64(s.config.HTTP.BodyLimit), Presence: s.members, FeedKeys: s.keys,
		Origins: s.config.HTTP.CORSOrigins, PlainBearer: s.config.HTTP.PlainBearer, Development: s.config.Development()})
	metrics := s.metrics.Handler()
	guests := s.guests()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		switch {
		case strings.HasPrefix(path, "/app/"):
			s.gateway.Pusher(w, r)
		case strings.HasPrefix(path, "/apps/"):
			api.ServeHTTP(w, r)
		case path == "/feed":
			s.gateway.Feed(w, r)
		case strings.HasPrefix(path, "/feed/snapshot/"):
			api.FeedSnapshot(w, r)
		case path == "/metrics" && s.config.Metrics.Enabled && s.config.Metrics.Public:
			metrics.ServeHTTP(w, r)
		case guests[path] != nil:
			guests[path].ServeHTTP(w, r)
		case path == "/live":
			answer(w, http.StatusOK, "OK")
		case path == "/ready":
			if s.ready.Load() {
				answer(w, http.StatusOK, "OK")
			} else {
				answer(w, http.StatusServiceUnavailable, "DRAINING")
			}
		default:
			answer(w, http.StatusNotFound, "404 NOT FOUND")
		}
	})
}

// guests are what development mode serves to a newcomer, by path: the page and the auth endpoints.
func (s *Server) guests() map[string]http.Handler {
	all := map[string]http.Handler{}
	if !s.config.Development() {
		return all
	}
	first := func() *app.App {
		for a := range s.node.Apps().All() {
			return a
		}
		return nil
	}
	g := &console.Guests{App: first}
	for _, path := range console.Paths() {
		all[path] = g
	}
	page := &console.Page{App: first}
	all["/"], all["/page.js"] = page, page
	return all
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
