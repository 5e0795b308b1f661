package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/edge/httpapi"
)

// httpLimits are the limits of the API, each with a request that keeps to it, one that does not, and the answer to that.
var httpLimits = []struct {
	name           string
	change         func(*app.Limits)
	method, path   string
	within, beyond string
	status         int
	answer         string
}{
	{"events of a batch", func(l *app.Limits) { l.BatchSize = 2 }, "POST", "batch_events", batchOf(2), batchOf(3), 400,
		`{"error":"the batch has more than the 2 events that it may have","code":"invalid_input","status":400,"field":"batch"}`},
	{"channels of a publish", func(l *app.Limits) { l.ChannelsPerPublish = 2 }, "POST", "events",
		`{"name":"e","channels":["a","b"]}`, `{"name":"e","channels":["a","b","c"]}`, 400, `{"error":"the event names more than the 2 channels that one publish may have","code":"invalid_input","status":400,"field":"channels"}`},
	{"data", func(l *app.Limits) { l.PayloadBytes = 9 }, "POST", "events",
		`{"name":"e","channel":"a","data":"ninebytes"}`, `{"name":"e","channel":"a","data":"tenletters"}`, 413, `{"error":"data has 10 bytes, more than the 9 allowed","code":"payload_too_large","status":413,"field":"data"}`},
	{"event name", func(l *app.Limits) { l.EventNameLength = 9 }, "POST", "events",
		`{"name":"ninebytes","channel":"a"}`, `{"name":"tenletters","channel":"a"}`, 400, `{"error":"the event name \"tenletters\" has 10 bytes, more than the 9 allowed","code":"invalid_input","status":400,"field":"name"}`},
	{"channel name", func(l *app.Limits) { l.ChannelNameLength = 9 }, "POST", "events",
		`{"name":"e","channel":"ninebytes"}`, `{"name":"e","channel":"tenletters"}`, 400, `{"error":"the channel name \"tenletters\" has 10 bytes, more than the 9 allowed","code":"invalid_input","status":400,"field":"channel"}`},
	{"body", func(*app.Limits) {}, "POST", "events",
		`{"name":"e","channel":"a"}` + strings.Repeat(" ", 1000), `{"name":"e","channel":"a"}` + strings.Repeat(" ", 2000), 413, `{"error":"the body is larger than the 1500 bytes allowed","code":"payload_too_large","status":413,"field":"body"}`},
	{"publishes per second", func(l *app.Limits) { l.PublishesPerSecond = 1 }, "POST", "events",
		`{"name":"e","channel":"a"}`, `{"name":"e","channel":"a"}`, 429, `{"error":"the app may have 1 publishes per second over HTTP; wait 1001 ms","code":"rate_limited","status":429}`},
	{"reads per second", func(l *app.Limits) { l.ReadsPerSecond = 1 }, "GET", "channels", ``, ``, 429, `{"error":"the app may have 1 reads per second over HTTP; wait 1001 ms","code":"rate_limited","status":429}`},
}

func batchOf(n int) string {
	return `{"batch":[` + strings.TrimSuffix(strings.Repeat(`{"name":"e","channel":"a"},`, n), ",") + `]}`
}

// Beyond every limit of the API there is one exact answer, and nothing is logged; up to it, there is none.
func TestHTTPLimits(t *testing.T) {
	for _, tt := range httpLimits {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, setup{app: func(a *app.App) { tt.change(&a.Limits) }, options: func(o *httpapi.Options) { o.BodyLimit = 1500 }})
			if a := w.do(tt.method, tt.path, tt.within); a.status != 200 {
				t.Fatal("within the limit:", a.status, a.body)
			}
			before := w.heads()
			a := w.do(tt.method, tt.path, tt.beyond)
			if a.status != tt.status || a.body != tt.answer {
				t.Errorf("answer %d\n%s\nwant %d\n%s", a.status, a.body, tt.status, tt.answer)
			}
			if after := w.heads(); after != before {
				t.Errorf("refused, and yet logged: %s, before %s", after, before)
			}
		})
	}
	t.Logf("summary: limits: %d limits of the HTTP API, each with its exact answer", len(httpLimits)+len(pageLimits))
}

// heads says how much is in the log of every channel that the tests of this file publish to.
func (w *world) heads() string {
	w.t.Helper()
	return fmt.Sprint(len(w.entries("a")), len(w.entries("b")), len(w.entries("c")), len(w.entries("tenletters")))
}

// pageLimits are asked for more than a page may have; the answer has what a page may have.
var pageLimits = []struct {
	name   string
	change func(*app.Limits)
	path   string
}{
	{"history page", func(l *app.Limits) { l.HistoryPage = 2 }, "channels/a/history?limit=3"},
	{"snapshot page", func(l *app.Limits) { l.SnapshotPage = 2 }, "channels/a/snapshot?limit=3"},
}

func TestPageLimits(t *testing.T) {
	for _, tt := range pageLimits {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, setup{app: func(a *app.App) { tt.change(&a.Limits) }})
			for _, key := range []string{"x", "y", "z"} {
				w.do("POST", "events", `{"name":"e","channel":"a","key":"`+key+`"}`).is(200, `{}`)
			}
			a := w.do("GET", tt.path, "")
			var page struct {
				Items []any  `json:"items"`
				More  bool   `json:"has_more"`
				Next  string `json:"next_cursor"`
			}
			a.into(&page)
			if a.status != 200 || len(page.Items) != 2 || !page.More || page.Next == "" {
				t.Fatal(a.status, a.body)
			}
		})
	}
}
