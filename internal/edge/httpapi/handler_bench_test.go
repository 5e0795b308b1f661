package httpapi_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"
)

// sink is a response writer that keeps nothing.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}

// BenchmarkPublish measures the handler with the store, without net/http around it.
func BenchmarkPublish(b *testing.B) {
	for _, kind := range []string{"bearer", "signed"} {
		b.Run(kind, func(b *testing.B) {
			w := benchWorld(b)
			r, err := http.NewRequest("POST", "/apps/app-id/events", nil)
			if err != nil {
				b.Fatal(err)
			}
			r.RequestURI, r.RemoteAddr, r.ContentLength = "/apps/app-id/events", "127.0.0.1:1", int64(len(benchBody))
			if kind == "bearer" {
				r.Header.Set("Authorization", "Bearer app-key:app-secret")
			} else {
				q, err := w.key.SignQuery("POST", r.RequestURI, "", []byte(benchBody), time.UnixMilli(w.clock.Load()))
				if err != nil {
					b.Fatal(err)
				}
				r.RequestURI += "?" + q
			}
			body := bytes.NewReader([]byte(benchBody))
			r.Body = io.NopCloser(body)
			out := &sink{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = body.Seek(0, io.SeekStart)
				w.http.Config.Handler.ServeHTTP(out, r)
			}
			if got := len(w.entries("orders")); got == 0 {
				b.Fatal("nothing was published")
			}
		})
	}
}
