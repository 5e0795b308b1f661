package server

import (
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// demoPath is where development mode serves the chat of examples/chat.
const demoPath = "/demo"

// demoPolicy lets the page run its own scripts and talk to its own server, and nothing else.
const demoPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}

// demo serves a page from its files: never outside development mode, since it signs everybody in.
type demo struct{ files fs.FS }

// paths are those that the page needs.
func (d demo) paths() []string {
	all := []string{demoPath, demoPath + "/"}
	names, _ := fs.Glob(d.files, "*")
	for _, name := range names {
		all = append(all, demoPath+"/"+name)
	}
	return all
}

// ServeHTTP answers one request of a path in paths.
func (d demo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		answer(w, http.StatusMethodNotAllowed, "this page is to be read")
		return
	}
	h := w.Header()
	if r.URL.Path == demoPath { // relative, so that a prefix which a proxy took off stays
		h.Set("Location", "demo/")
		w.WriteHeader(http.StatusFound)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, demoPath+"/")
	if name == "" {
		name = "index.html"
	}
	text, err := fs.ReadFile(d.files, name)
	if err != nil {
		answer(w, http.StatusNotFound, "404 NOT FOUND")
		return
	}
	h.Set("Content-Type", mediaTypes[path.Ext(name)])
	h.Set("Content-Security-Policy", demoPolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(text)
}
