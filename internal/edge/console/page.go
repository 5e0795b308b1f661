package console

import (
	"bytes"
	"embed"
	"encoding/json"
	"net/http"

	"github.com/continuo-rt/continuo/internal/core/app"
)

//go:embed page
var files embed.FS

// Page is the page at / of development mode. It holds the credentials of the app, so that it can publish: never serve it
// outside development mode.
type Page struct {
	// App gives the app that the page uses.
	App func() *app.App
}

// contentPolicy lets the page run its own script and talk to its own server, and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'"

// ServeHTTP answers / and /page.js.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page is to be read", http.StatusMethodNotAllowed)
		return
	}
	name, kind := "page/index.html", "text/html; charset=utf-8"
	if r.URL.Path == "/page.js" {
		name, kind = "page/page.js", "text/javascript; charset=utf-8"
	}
	text, err := files.ReadFile(name)
	if err != nil {
		http.Error(w, "404 NOT FOUND", http.StatusNotFound)
		return
	}
	text = bytes.Replace(text, []byte("{{APP}}"), p.credentials(), 1)
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(text)
}

// credentials is the JSON that the page finds its app in; json.Marshal escapes what could end the script element.
func (p *Page) credentials() []byte {
	a := p.App()
	var c struct {
		ID     string `json:"id"`
		Key    string `json:"key"`
		Secret string `json:"secret"`
	}
	c.ID = a.ID
	for _, k := range a.Keys {
		if k.Enabled {
			c.Key, c.Secret = k.Key, k.Secret
			break
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		return []byte("{}")
	}
	return b
}
