package httpapi_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
)

// benchBody is a publish of 200 bytes of data.
var benchBody = `{"name":"order.created","channel":"orders","data":"` + strings.Repeat("x", 200) + `"}`

func benchWorld(b *testing.B) *world {
	small := stream.DefaultRetention()
	small.Entries = 1000
	return newWorld(b, setup{app: func(a *app.App) {
		p := app.Default(app.Development)
		p.Retention = small
		a.Policies = []app.Policy{p}
	}, memory: func(o *memory.Options) {}})
}

// BenchmarkHTTPPublish sends publishes over one keep-alive connection, by credential: the ratio is what a signature
// costs.
func BenchmarkHTTPPublish(b *testing.B) {
	for _, kind := range []string{"bearer", "signed"} {
		b.Run(kind, func(b *testing.B) {
			w := benchWorld(b)
			target, header := "/apps/app-id/events", "Authorization: Bearer app-key:app-secret\r\n"
			if kind == "signed" {
				q, err := w.key.SignQuery("POST", target, "", []byte(benchBody), time.UnixMilli(w.clock.Load()))
				if err != nil {
					b.Fatal(err)
				}
				target, header = target+"?"+q, ""
			}
			request := []byte(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
				target, header, len(benchBody), benchBody))
			c, err := net.Dial("tcp", w.http.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			in := bufio.NewReader(c)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(request); err != nil {
					b.Fatal(err)
				}
				res, err := http.ReadResponse(in, nil)
				if err != nil || res.StatusCode != 200 {
					b.Fatal(err, res)
				}
				_ = res.Body.Close()
			}
		})
	}
}
