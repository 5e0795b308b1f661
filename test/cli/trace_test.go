package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// A publish over HTTP is a span that continues its caller's trace, with the append below it; what waits for the
// collector is delivered before the server ends.
func TestPublishesAreTraced(t *testing.T) {
	got := make(chan []byte, 16)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		got <- body
	}))
	defer collector.Close()
	s, url, _ := run(t, "", "--trace-endpoint", collector.URL)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/apps/app-id/events", strings.NewReader(`{"name":"e","channel":"news","data":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer app-key:app-secret")
	req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-s.done
	var m struct {
		ResourceSpans []struct {
			ScopeSpans []struct {
				Spans []struct{ TraceID, SpanID, ParentSpanID, Name string }
			}
		}
	}
	if err := json.Unmarshal(<-got, &m); err != nil {
		t.Fatal(err)
	}
	spans := m.ResourceSpans[0].ScopeSpans[0].Spans
	if len(spans) != 2 || spans[0].Name != "append" || spans[1].Name != "POST /apps/{app}/events" || spans[0].ParentSpanID != spans[1].SpanID ||
		spans[1].ParentSpanID != "b7ad6b7169203331" || spans[0].TraceID != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("%+v", spans)
	}
}

// Profiles are on the admin listener, and only there.
func TestAdminListener(t *testing.T) {
	s, url, _ := run(t, "", "--admin-listen", "127.0.0.1:0", "--no-metrics-public")
	admin := s.operators(t)
	for path, public := range map[string]int{"/debug/pprof/": 404, "/debug/pprof/goroutine": 404, "/metrics": 404, "/live": 200, "/ready": 200, "/up": 200} {
		if status, _ := fetch(t, admin+path); status != 200 {
			t.Errorf("admin listener: %s answers %d", path, status)
		}
		if status, _ := fetch(t, url+path); status != public {
			t.Errorf("public listener: %s answers %d, not %d", path, status, public)
		}
	}
	if status, _ := fetch(t, admin+"/apps/app-id/channels"); status != 404 {
		t.Errorf("the admin listener serves the API: %d", status)
	}
}
