// Package metrics counts what happens and serves it to Prometheus. It is the only package that knows Prometheus.
package metrics

import (
	"log/slog"
	"net/http"
	"path"
	"reflect"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

// Metrics is one server's registry. Its methods give the event funcs of other packages.
type Metrics struct {
	registry *prometheus.Registry
	store    storeMetrics
	hub      hubMetrics
	sessions *prometheus.GaugeVec
	opened   *prometheus.CounterVec
	http     httpMetrics
	outboxes outboxes
}

type storeMetrics struct {
	commit   prometheus.Histogram
	sync     prometheus.Histogram
	ops      prometheus.Counter
	bytes    prometheus.Counter
	trimmed  prometheus.Counter
	failures prometheus.Counter
	down     prometheus.Gauge
}

type hubMetrics struct {
	turns, entries, encoded, delivered prometheus.Counter
	refused                            *prometheus.CounterVec
	dropped                            prometheus.Counter
	behind                             atomic.Int64
}

// New makes an empty registry with the process's own figures in it.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "continuo", Name: name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	seconds := func(name, help string) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "continuo", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.00005, 2, 18)})
		m.registry.MustRegister(h)
		return h
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "continuo", Name: name, Help: help}, []string{label})
		m.registry.MustRegister(c)
		return c
	}
	m.store = storeMetrics{
		commit:   seconds("commit_seconds", "Time to decide and write one batch of one shard."),
		sync:     seconds("sync_seconds", "Time that a batch waited for stable storage."),
		ops:      counter("appends_total", "Appends that were decided."),
		bytes:    counter("append_bytes_total", "Bytes written for appends."),
		trimmed:  counter("trimmed_entries_total", "Entries that retention removed."),
		failures: counter("store_failures_total", "Times that the store failed and was closed to be reopened."),
		down:     prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "continuo", Name: "store_down", Help: "1 while the store is closed after a failure."}),
	}
	m.hub = hubMetrics{
		turns:     counter("fanout_turns_total", "Fan-out turns."),
		entries:   counter("fanout_entries_total", "Entries that fan-out turns carried."),
		delivered: counter("fanout_visits_total", "Followers that fan-out turns visited."),
		encoded:   counter("frames_encoded_total", "Frames that were encoded for fan-out."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "continuo", Name: "refusals_total",
			Help: "Resumes and followers whose continuity could not be proven, by reason and face."}, []string{"reason", "face"}),
		dropped: counter("ephemeral_dropped_total", "Ephemeral frames that found no room."),
	}
	behind := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "continuo", Name: "followers_behind",
		Help: "Followers that read from the log because their socket is slow or they are replaying."},
		func() float64 { return float64(m.hub.behind.Load()) })
	m.sessions = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "continuo", Name: "sessions", Help: "Connected sessions, by face."}, []string{"face"})
	m.opened = vec("sessions_opened_total", "Sessions that were opened, by face.", "face")
	for _, face := range []string{"pusher", "feed", "rooms"} {
		for _, r := range stream.Reasons() {
			m.hub.refused.WithLabelValues(r.String(), face) // there from the start, so that a first increase is seen
		}
	}
	m.registry.MustRegister(m.hub.refused, m.store.down, behind, m.sessions, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.addHTTP()
	return m
}

// Handler serves the registry in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Opened and Closed count sessions by face.
func (m *Metrics) Opened(face string) {
	m.sessions.WithLabelValues(face).Inc()
	m.opened.WithLabelValues(face).Inc()
}

// Closed counts the end of a session.
func (m *Metrics) Closed(face string) { m.sessions.WithLabelValues(face).Dec() }

// Hub gives the events of a hub.
func (m *Metrics) Hub() hub.Events {
	return hub.Events{
		Turn: func(i hub.TurnInfo) {
			m.hub.turns.Inc()
			m.hub.entries.Add(float64(i.Entries))
			m.hub.delivered.Add(float64(i.Followers))
			m.hub.encoded.Add(float64(i.Encoded))
		},
		Behind:  func(n int64) { m.hub.behind.Add(n) },
		Refused: func(r stream.Reason, to session.Encoder) { m.hub.refused.WithLabelValues(r.String(), faceOf(to)).Inc() },
		Dropped: func(n int) { m.hub.dropped.Add(float64(n)) },
	}
}

// faceOf names the face of an encoder: the package that it is from.
func faceOf(to session.Encoder) string {
	t := reflect.TypeOf(to)
	if t == nil {
		return "none"
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return path.Base(t.PkgPath())
}

// Disk gives the events of the embedded store, and logs what an operator has to know.
func (m *Metrics) Disk(log *slog.Logger) disk.Events {
	return disk.Events{
		Commit: func(i disk.CommitInfo) {
			m.store.commit.Observe(i.Build.Seconds())
			if i.Sync > 0 {
				m.store.sync.Observe(i.Sync.Seconds())
			}
			m.store.ops.Add(float64(i.Ops))
			m.store.bytes.Add(float64(i.Bytes))
		},
		Trim:   func(i disk.TrimInfo) { m.store.trimmed.Add(float64(i.Entries)) },
		Forget: func(i disk.ForgetInfo) { log.Info("long-quiet streams were forgotten", "streams", i.Streams) },
		Failed: func(i disk.FailedInfo) {
			m.store.failures.Inc()
			m.store.down.Set(1)
			log.Error("the store failed and is being reopened; publishes answer 503 meanwhile", "err", i.Err)
		},
		Reopened: func(i disk.ReopenedInfo) {
			m.store.down.Set(0)
			log.Info("the store is open again", "after", i.Closed)
		},
		Error: func(i disk.ErrorInfo) {
			log.Error("background work of the store failed; it is tried again", "what", i.What, "err", i.Err)
		},
	}
}
