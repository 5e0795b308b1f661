package trace

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// collector is an OTLP/HTTP receiver.
type collector struct {
	*httptest.Server
	got chan otlpMessage
}

func newCollector(t *testing.T) *collector {
	c := &collector{got: make(chan otlpMessage, 16)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v %v", r.URL, r.Header, err)
		}
		var m otlpMessage
		if err := json.Unmarshal(body, &m); err != nil {
			t.Error(err)
		}
		c.got <- m
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(c.Close)
	return c
}

// spans waits for one message.
func (c *collector) spans(t *testing.T) []otlpSpan {
	select {
	case m := <-c.got:
		return m.ResourceSpans[0].ScopeSpans[0].Spans
	case <-time.After(10 * time.Second):
		t.Fatal("no spans were delivered")
		return nil
	}
}

type fakeStore struct{ stream.Store }

func (fakeStore) Append(context.Context, []stream.Op) ([]stream.Result, error) {
	return []stream.Result{{Outcome: stream.Applied, Entry: stream.EntryID{Serial: 7}}}, nil
}

func attributesOf(s otlpSpan) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		switch {
		case a.Value.String != nil:
			all[a.Key] = *a.Value.String
		case a.Value.Int != nil:
			all[a.Key] = *a.Value.Int
		}
	}
	return all
}

func TestPublishIsTraced(t *testing.T) {
	c := newCollector(t)
	tr, err := New(Options{Endpoint: c.URL, Sample: 1, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- tr.Run(ctx) }()
	store := Store(fakeStore{}, tr)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := store.Append(r.Context(), []stream.Op{{Ref: stream.Ref{App: "a", Channel: "news"}, Entry: stream.Entry{Kind: stream.Create}}}); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusOK)
	})
	r := httptest.NewRequest(http.MethodPost, "/apps/a/events", nil)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	tr.Serve(h, httptest.NewRecorder(), r, "/apps/a/events")
	stop()
	<-done
	spans := c.spans(t)
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	inner, outer := spans[0], spans[1]
	if outer.Name != "POST /apps/{app}/events" || outer.TraceID != "0af7651916cd43dd8448eb211c80319c" || outer.Parent != "b7ad6b7169203331" || outer.Kind != Server {
		t.Errorf("%+v", outer)
	}
	if inner.Name != "append" || inner.TraceID != outer.TraceID || inner.Parent != outer.SpanID || inner.Kind != Internal {
		t.Errorf("%+v", inner)
	}
	if a := attributesOf(inner); a["messaging.destination.name"] != "news" || a["continuo.serial"] != "7" || a["continuo.kind"] != "create" {
		t.Errorf("%v", a)
	}
	if a := attributesOf(outer); a["http.response.status_code"] != "200" || a["http.request.method"] != "POST" {
		t.Errorf("%v", a)
	}
}

func TestWhatIsRecorded(t *testing.T) {
	record := func(sample float64, method, parent string, status int) int {
		c := newCollector(t)
		tr, err := New(Options{Endpoint: c.URL, Sample: sample})
		if err != nil {
			t.Fatal(err)
		}
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, s := tr.Begin(r.Context(), "inner", Internal)
			s.Finish()
			w.WriteHeader(status)
		})
		r := httptest.NewRequest(method, "/apps/a/events", nil)
		if parent != "" {
			r.Header.Set("Traceparent", parent)
		}
		tr.Serve(h, httptest.NewRecorder(), r, "/apps/a/events")
		return len(tr.queue)
	}
	const id = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
	for _, tt := range []struct {
		name   string
		sample float64
		method string
		parent string
		spans  int
	}{
		{"all", 1, "POST", "", 2},
		{"none", 0, "POST", "", 0},
		{"the caller records", 0, "POST", id + "01", 2},
		{"the caller does not", 1, "POST", id + "00", 0},
		{"reads are not publishes", 0, "GET", "", 0},
		{"a deletion is", 1, "DELETE", "", 2},
		{"nonsense begins a trace", 1, "POST", "00-xyz", 2},
		{"zeros begin a trace", 0, "POST", "00-00000000000000000000000000000000-b7ad6b7169203331-01", 0},
		{"a later version", 0, "POST", "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", 2},
	} {
		if got := record(tt.sample, tt.method, tt.parent, 200); got != tt.spans {
			t.Errorf("%s: %d spans, want %d", tt.name, got, tt.spans)
		}
	}
}

func TestBrokenCollectorCostsNothing(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusTeapot) }))
	defer broken.Close()
	told := make(chan error, 10)
	tr, err := New(Options{Endpoint: broken.URL, Sample: 1, Failed: func(err error) { told <- err }})
	if err != nil {
		t.Fatal(err)
	}
	for range queued + 10 {
		_, s := tr.Begin(t.Context(), "x", Internal)
		s.Finish()
	}
	if tr.Dropped() != 10 {
		t.Errorf("%d spans were dropped", tr.Dropped())
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_ = tr.Run(ctx)
	if len(told) != 1 {
		t.Errorf("told %d times", len(told))
	}
}

func TestNoTracer(t *testing.T) {
	tr, err := New(Options{})
	if tr != nil || err != nil {
		t.Fatal(tr, err)
	}
	served := false
	tr.Serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }), nil, httptest.NewRequest("POST", "/", nil), "/")
	_, s := tr.Begin(t.Context(), "x", Internal)
	s.Set("a", "b")
	s.Finish()
	if err := tr.Run(t.Context()); err != nil || !served {
		t.Error(err, served)
	}
	if _, err := New(Options{Endpoint: "nonsense"}); err == nil {
		t.Error("an endpoint that is no URL was accepted")
	}
}
