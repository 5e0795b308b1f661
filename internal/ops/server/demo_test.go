package server

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func TestDemo(t *testing.T) {
	d := demo{fstest.MapFS{"index.html": {Data: []byte("<p>")}, "a.js": {Data: []byte("a")}, "a.css": {Data: []byte("b")}}}
	for _, test := range []struct {
		method, path string
		status       int
		kind, body   string
	}{
		{"GET", "/demo", 302, "", ""},
		{"GET", "/demo/", 200, "text/html; charset=utf-8", "<p>"},
		{"GET", "/demo/a.js", 200, "text/javascript; charset=utf-8", "a"},
		{"GET", "/demo/a.css", 200, "text/css; charset=utf-8", "b"},
		{"GET", "/demo/embed.go", 404, "text/plain; charset=utf-8", "404 NOT FOUND"},
		{"GET", "/demo/../a.js", 404, "text/plain; charset=utf-8", "404 NOT FOUND"},
		{"POST", "/demo/", 405, "text/plain; charset=utf-8", "this page is to be read"},
	} {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
		if w.Code != test.status || w.Header().Get("Content-Type") != test.kind || w.Body.String() != test.body {
			t.Errorf("%s %s: %d %q %q", test.method, test.path, w.Code, w.Header(), w.Body)
		}
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", "/demo", nil))
	if w.Header().Get("Location") != "demo/" {
		t.Error(w.Header())
	}
	if all := strings.Join(d.paths(), " "); all != "/demo /demo/ /demo/a.css /demo/a.js /demo/index.html" {
		t.Error(all)
	}
}
