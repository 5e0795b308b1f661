package server

import (
	"net/http"
	"strings"

	"github.com/continuo-rt/continuo/internal/edge/httpapi"
)

// routes sends each request to its face. Paths are taken as they came: signatures are over the raw path, so nothing
// may clean or redirect them.
func (s *Server) routes() http.Handler {
	api := httpapi.New(httpapi.Options{Node: s.node, Now: s.clock.Now, Log: s.log, BodyLimit: int64(s.config.HTTP.BodyLimit),
		Origins: s.config.HTTP.CORSOrigins, PlainBearer: s.config.HTTP.PlainBearer, Development: s.config.Development()})
	metrics := s.metrics.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		switch {
		case strings.HasPrefix(path, "/app/"):
			s.gateway.Pusher(w, r)
		case strings.HasPrefix(path, "/apps/"):
			api.ServeHTTP(w, r)
		case path == "/metrics" && s.config.Metrics.Enabled && s.config.Metrics.Public:
			metrics.ServeHTTP(w, r)
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

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
