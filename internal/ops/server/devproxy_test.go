package server

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
)

func TestDevProxy(t *testing.T) {
	a := &app.App{ID: "an app", Keys: []app.Key{{Key: "off", Secret: "x"}, {Key: "k", Secret: "s", Enabled: true}}}
	d := &devProxy{app: func() *app.App { return a }, api: func() http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.URL.Query().Get("auth_key") != "k" || !strings.HasPrefix(r.RequestURI, "/apps/an%20app/") {
				t.Error(r.RequestURI)
			}
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprintf(w, "%s %s", r.Method, body)
		})
	}}
	ask := func(method, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(method, devProxyPath, strings.NewReader(body)))
		return w
	}
	if w := ask("OPTIONS", ""); w.Code != 204 || w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Error(w.Code, w.Header())
	}
	if w := ask("POST", `{"channel":"presence-x","action":"snapshot"}`); w.Code != 202 || w.Body.String() != "GET " {
		t.Error(w.Code, w.Body)
	}
	if w := ask("POST", `{"channel":"x","action":"append","params":{"message_id":"1","data":"y"}}`); w.Code != 202 || w.Body.String() != `POST {"data":"y"}` {
		t.Error(w.Code, w.Body)
	}
	if w := ask("POST", `{"channel":"x"}`); w.Code != 400 {
		t.Error(w.Code, w.Body)
	}
}
