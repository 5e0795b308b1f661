package server

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"
)

// adminServer serves operators: profiles, metrics and health, without authentication.
func (s *Server) adminServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	if s.Config().Metrics.Enabled {
		mux.Handle("/metrics", s.metrics.Handler())
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if path := r.URL.EscapedPath(); health(path) {
			s.health(w, path)
			return
		}
		answer(w, http.StatusNotFound, "404 NOT FOUND: there are /debug/pprof/, /metrics, /live, /ready and /up")
	})
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
}
