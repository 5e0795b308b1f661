package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type httpMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	turned   *prometheus.CounterVec
}

func (m *Metrics) addHTTP() {
	m.http = httpMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "continuo", Name: "http_requests_total",
			Help: "HTTP requests that were answered, by what they asked for and the status."}, []string{"call", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "continuo", Name: "http_request_seconds",
			Help: "Time to answer HTTP requests, by what they asked for.", Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12)}, []string{"call"}),
		turned: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "continuo", Name: "turned_away_total",
			Help: "Requests and connections beyond the limits of one address."}, []string{"reason"}),
	}
	m.registry.MustRegister(m.http.requests, m.http.seconds, m.http.turned)
}

// Turned counts a request or connection that a limit of its address refused.
func (m *Metrics) Turned(reason string) { m.http.turned.WithLabelValues(reason).Inc() }

// Answer is a ResponseWriter that remembers the status for the metrics.
type Answer struct {
	http.ResponseWriter
	metrics *Metrics
	call    string
	status  int
	began   time.Time
}

// Request begins to count a request; Done ends it.
func (m *Metrics) Request(w http.ResponseWriter, r *http.Request, path string) *Answer {
	return &Answer{ResponseWriter: w, metrics: m, call: callOf(r.Method, path), status: http.StatusOK, began: time.Now()}
}

// callOf sorts requests into a few kinds, so that no client can make series.
func callOf(method, path string) string {
	switch {
	case !strings.HasPrefix(path, "/apps/"):
		return "other"
	case method == http.MethodGet || method == http.MethodHead:
		return "read"
	case strings.HasSuffix(path, "/events") || strings.HasSuffix(path, "/batch_events"):
		return "publish"
	}
	return "change"
}

// WriteHeader implements http.ResponseWriter.
func (a *Answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find what it looks for.
func (a *Answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Done counts the request.
func (a *Answer) Done() {
	a.metrics.http.requests.WithLabelValues(a.call, strconv.Itoa(a.status)).Inc()
	a.metrics.http.seconds.WithLabelValues(a.call).Observe(time.Since(a.began).Seconds())
}
