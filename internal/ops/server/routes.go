package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

// public serves everything that clients and backends reach. Paths are taken as they came: signatures are over the raw
// path, so nothing may clean or redirect them.
func (s *Server) public(w http.ResponseWriter, r *http.Request) {
	l := s.live.Load()
	client := l.client(r)
	if !l.strip(r) {
		answer(w, http.StatusNotFound, "404 NOT FOUND")
		return
	}
	path := r.URL.EscapedPath()
	if health(path) {
		s.health(w, path)
		return
	}
	face := s.face(l, path)
	if err := s.visitors.admit(client, face != nil, r, &l.config.Limits); err != nil {
		s.metrics.Turned(err.Kind.String())
		refuse(w, err)
		return
	}
	if face != nil {
		face(w, r)
		return
	}
	counted := s.metrics.Request(w, r, path)
	s.serve(l, counted, r, path)
	counted.Done()
}

// short says which requests are answered as soon as they are on disk.
func (s *Server) short(target string) bool {
	return strings.HasPrefix(strings.TrimPrefix(target, s.live.Load().prefix), "/apps/")
}

// face is the handler of a path that WebSocket clients connect to, nil for any other.
func (s *Server) face(l *live, path string) http.HandlerFunc {
	switch {
	case strings.HasPrefix(path, "/app/"):
		return l.gateway.Pusher
	case path == "/feed":
		return l.gateway.Feed
	case path == "/rooms":
		return l.gateway.Rooms
	}
	return nil
}

func (s *Server) serve(l *live, w http.ResponseWriter, r *http.Request, path string) {
	switch {
	case strings.HasPrefix(path, "/apps/"):
		s.tracer.Serve(l.api, w, r, path)
	case strings.HasPrefix(path, "/feed/snapshot/"):
		l.api.FeedSnapshot(w, r)
	case strings.HasPrefix(path, "/rooms/"):
		l.gateway.RoomsSnapshot(w, r)
	case path == "/metrics" && l.config.Metrics.Enabled && l.config.Metrics.Public:
		s.metrics.Handler().ServeHTTP(w, r)
	case l.guests[path] != nil:
		l.guests[path].ServeHTTP(w, r)
	default:
		answer(w, http.StatusNotFound, "404 NOT FOUND")
	}
}

// strip takes the configured prefix off the request, as if a proxy had done it: what lies below sees, and signatures
// cover, the path after it. It reports whether the path has the prefix.
func (l *live) strip(r *http.Request) bool {
	if l.prefix == "" {
		return true
	}
	target := r.RequestURI
	if rest, ok := strings.CutPrefix(target, "http"); ok { // absolute form: proxies send it
		if _, after, found := strings.Cut(rest, "://"); found {
			if i := strings.IndexByte(after, '/'); i >= 0 {
				target = after[i:]
			}
		}
	}
	rest, ok := strings.CutPrefix(target, l.prefix)
	if !ok || rest != "" && rest[0] != '/' && rest[0] != '?' {
		return false
	}
	if rest == "" || rest[0] == '?' {
		rest = "/" + rest
	}
	u, err := url.ParseRequestURI(rest)
	if err != nil {
		return false
	}
	r.RequestURI, r.URL = rest, u
	return true
}

func trimPrefix(p string) string { return strings.TrimRight(p, "/") }

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// refuse answers with a fault as the HTTP API does. It tells nothing of any app, so every page may read it.
func refuse(w http.ResponseWriter, f *fault.Error) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Retry-After", retryAfter(f.Retry))
	h.Set("Connection", "close")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	w.WriteHeader(serverapi.Status(f.Kind))
	_, _ = w.Write(serverapi.AppendError(nil, f))
}
