package server

import (
	"bytes"
	"io"
	"net/http"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/sdk/go/proxy"
)

// devProxyPath is where development mode answers what client SDKs ask of their application's backend.
const devProxyPath = "/dev/proxy"

// devProxy is the ready-made proxy with the credentials of the first app, for everybody: never serve it outside
// development mode.
type devProxy struct {
	app func() *app.App
	api func() http.Handler
}

// ServeHTTP implements http.Handler.
func (d *devProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "*")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	o := proxy.Options{URL: "http://inside", Authorize: proxy.Everyone, Client: &http.Client{Transport: inside{d.api()}}}
	if a := d.app(); a != nil {
		o.App = a.ID
		for _, k := range a.Keys {
			if k.Enabled && o.Key == "" {
				o.Key, o.Secret = k.Key, k.Secret
			}
		}
	}
	proxy.New(o).ServeHTTP(w, r)
}

// inside carries requests to a handler of this process.
type inside struct{ to http.Handler }

// RoundTrip implements http.RoundTripper.
func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	if in.RequestURI = r.URL.RequestURI(); in.Body == nil {
		in.Body = http.NoBody
	}
	a := &answered{header: http.Header{}, status: http.StatusOK}
	i.to.ServeHTTP(a, in)
	return &http.Response{StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Request: r}, nil
}

// answered keeps an answer in memory.
type answered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answered) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answered) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answered) Write(b []byte) (int, error) { return a.body.Write(b) }
