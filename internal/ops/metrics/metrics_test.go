package metrics

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/run/presence"
)

// filled gives a registry in which everything has happened once.
func filled(t *testing.T) *Metrics {
	t.Helper()
	m := New()
	d, err := disk.Open(t.TempDir()+"/data", disk.Options{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	h := hub.New(hub.Options{Store: d})
	t.Cleanup(h.Close)
	m.Presence(slog.New(slog.DiscardHandler), func() presence.Stats { return presence.Stats{} }).Change("member_added", "join")
	m.Watch(Sources{Sessions: node.NewSessions(), Hub: h, Disk: d})
	m.Opened("pusher-v1")
	m.Turned("rate_limited")
	m.Hub().Refused(stream.SlowConsumer, encoder{})
	w := m.Request(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil), "/apps/a/events")
	w.WriteHeader(http.StatusTeapot)
	w.Done()
	return m
}

type encoder struct{ session.Encoder }

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

var (
	exported   = regexp.MustCompile(`(?m)^# TYPE continuo_(\w+) `)
	documented = regexp.MustCompile("`(\\w+)(\\{[a-z,]+\\})?`")
)

// Every metric is in the table of docs/operate.md, and the table has no other.
func TestEveryMetricIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Metrics")
	table := map[string]bool{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range documented.FindAllStringSubmatch(cells[1], -1) {
			table[m[1]] = true
		}
	}
	out := scrape(t, filled(t))
	for _, m := range exported.FindAllStringSubmatch(out, -1) {
		name := m[1]
		if !table[name] {
			t.Errorf("continuo_%s is not in the table of docs/operate.md", name)
		}
		delete(table, name)
	}
	for name := range table {
		t.Errorf("docs/operate.md has %s, which is no metric", name)
	}
}

func TestLabels(t *testing.T) {
	out := scrape(t, filled(t))
	for _, want := range []string{
		`continuo_refusals_total{face="metrics",reason="slow_consumer"} 1`,
		`continuo_refusals_total{face="feed",reason="position_expired"} 0`,
		`continuo_http_requests_total{call="publish",status="418"} 1`,
		`continuo_sessions{face="pusher-v1"} 1`,
		`continuo_turned_away_total{reason="rate_limited"} 1`,
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
}
