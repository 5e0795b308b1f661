package control

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

// Options of a Server.
type Options struct {
	Node *node.Node
	// Disk is nil when nothing is kept.
	Disk *disk.Store
	// API serves /apps/. Requests get the credentials of their app.
	API func() http.Handler
	// Status describes the server.
	Status func() Status
	// Data is the data folder.
	Data string
	Log  *slog.Logger
}

// Server answers on the socket. It may serve many requests at once.
type Server struct {
	opts   Options
	mux    *http.ServeMux
	backup atomic.Bool // one is under way
}

// New makes a Server.
func New(o Options) *Server {
	s := &Server{opts: o, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /control/status", s.status)
	s.mux.HandleFunc("GET /control/channels", s.channels)
	s.mux.HandleFunc("GET /control/export", s.export)
	s.mux.HandleFunc("POST /control/import", s.imports)
	s.mux.HandleFunc("POST /control/backup", s.backups)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/apps/") {
		s.api(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// api lets a request of this machine act for its app.
func (s *Server) api(w http.ResponseWriter, r *http.Request) {
	id, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/apps/"), "/")
	if a, ok := s.opts.Node.Apps().ByID(id); ok {
		for _, k := range a.Keys {
			if k.Enabled {
				r.Header.Set("Authorization", "Bearer "+k.Key+":"+k.Secret)
				break
			}
		}
	}
	r.RemoteAddr = "" // on this machine
	s.opts.API().ServeHTTP(w, r)
}

// app finds the app that a request is about: the one it names, or the only one.
func (s *Server) app(r *http.Request) (*app.App, error) {
	apps := s.opts.Node.Apps()
	if id := r.URL.Query().Get("app"); id != "" {
		if a, ok := apps.ByID(id); ok {
			return a, nil
		}
		return nil, fault.New(fault.AppNotFound, "there is no app %q; there are: %s", id, strings.Join(ids(apps), ", "))
	}
	if apps.Len() == 1 {
		for a := range apps.All() {
			return a, nil
		}
	}
	return nil, fault.New(fault.Invalid, "there are several apps: name one of %s", strings.Join(ids(apps), ", ")).In("app")
}

func ids(apps *app.Registry) []string {
	var all []string
	for a := range apps.All() {
		all = append(all, a.ID)
	}
	return all
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who does not listen need not be told
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	f := fault.Of(err)
	if f.Kind == fault.Internal { // only operators read this
		f = &fault.Error{Kind: fault.Internal, Msg: err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(serverapi.Status(f.Kind))
	_, _ = w.Write(serverapi.AppendError(nil, f))
}
