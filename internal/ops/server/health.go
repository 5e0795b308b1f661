package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// health reports whether a path asks how the server is.
func health(path string) bool {
	return path == "/live" || path == "/ready" || path == "/up" || strings.HasPrefix(path, "/up/")
}

// health answers /live (the process runs), /ready (send clients here) and /up[/{app}] (the Pusher family's check: OK,
// DEGRADED, ERROR, DRAINING or NOT_FOUND, repeated in X-Health-Check). None of them needs credentials or counts in limits.
func (s *Server) health(w http.ResponseWriter, path string) {
	w.Header().Set("Cache-Control", "no-store")
	if path == "/live" {
		answer(w, http.StatusOK, "OK")
		return
	}
	status, word := s.judge()
	id, ofApp := strings.CutPrefix(path, "/up/")
	if ofApp {
		name, err := url.PathUnescape(id)
		a, ok := s.node.Apps().ByID(name)
		switch {
		case err != nil || !ok:
			status, word = http.StatusNotFound, "NOT_FOUND"
		case !a.Enabled:
			status, word = http.StatusServiceUnavailable, "ERROR"
		}
	}
	if path != "/ready" {
		w.Header().Set("X-Health-Check", word)
	}
	answer(w, status, word)
}

// judge says how the server is: whether its store can be read, and written.
func (s *Server) judge() (status int, word string) {
	switch s.state.Load() {
	case starting:
		return http.StatusServiceUnavailable, "ERROR"
	case draining:
		return http.StatusServiceUnavailable, "DRAINING"
	}
	if s.stores.disk == nil {
		return http.StatusOK, "OK"
	}
	switch err := s.stores.disk.Health(); {
	case err == nil:
		return http.StatusOK, "OK"
	case fault.KindOf(err) == fault.Full:
		return http.StatusOK, "DEGRADED" // everything but publishing works
	}
	return http.StatusServiceUnavailable, "ERROR"
}
