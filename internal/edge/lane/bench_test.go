package lane

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// BenchmarkKept compares requests over kept connections, in turn within one run: by net/http alone, and with the lane
// before it.
func BenchmarkKept(b *testing.B) {
	short := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = w.Write([]byte("{}"))
	})
	in := []byte(request("/apps/app-id/events", "Authorization: Bearer app-key:app-secret\r\nContent-Type: application/json\r\n", strings.Repeat("x", 250)))
	l := New(Options{Handler: short, Takes: func(string) bool { return true }, IdleTimeout: time.Minute, ReadTimeout: time.Minute, WriteTimeout: time.Minute})
	defer l.Close()
	for name, handler := range map[string]http.Handler{"net-http": short, "lane": l} {
		b.Run(name, func(b *testing.B) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			web := &http.Server{Handler: handler, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
			done := make(chan struct{})
			go func() { defer close(done); _ = web.Serve(listener) }()
			defer func() { _ = web.Close(); <-done }()
			c, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			r := bufio.NewReader(c)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(in); err != nil {
					b.Fatal(err)
				}
				if !answered(r) {
					b.Fatal("no answer")
				}
			}
		})
	}
}

// answered reads an answer with a body of two bytes, and allocates nothing.
func answered(r *bufio.Reader) bool {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(line) == 2 {
			n, err := r.Discard(2)
			return n == 2 && err == nil
		}
	}
}
