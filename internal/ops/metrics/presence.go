package metrics

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/presence"
)

// Presence gives the events of a register of members. stats says what the register holds; call it once.
func (m *Metrics) Presence(log *slog.Logger, stats func() presence.Stats) presence.Events {
	changes := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "continuo", Name: "presence_changes_total",
		Help: "Members who came, left or changed, by change and cause."}, []string{"change", "cause"})
	turns := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "continuo", Name: "presence_append_seconds",
		Help: "Time to append what had gathered about the members of one channel.", Buckets: prometheus.ExponentialBuckets(0.00005, 2, 18)})
	writes := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "continuo", Name: "presence_writes_total", Help: "Memberships that were written."})
	outages := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "continuo", Name: "presence_degraded_total",
		Help: "Times that a presence log could not be written and membership went on in memory."})
	m.registry.MustRegister(changes, turns, writes, outages)
	gauge := func(name, help string, of func(presence.Stats) int) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "continuo", Name: name, Help: help},
			func() float64 { return float64(of(stats())) }))
	}
	gauge("presence_channels", "Channels that this node has members in.", func(s presence.Stats) int { return s.Channels })
	gauge("presence_members", "Members with a connection to this node.", func(s presence.Stats) int { return s.Members })
	gauge("presence_leaving", "Connections in their grace time.", func(s presence.Stats) int { return s.Leaving })
	gauge("presence_unwritten", "Members whose state is in memory alone, because their log cannot be written.", func(s presence.Stats) int { return s.Unwritten })
	return presence.Events{
		Change: func(change, cause string) { changes.WithLabelValues(change, causeLabel(cause)).Inc() },
		Turn: func(entries int, d time.Duration) {
			turns.Observe(d.Seconds())
			writes.Add(float64(entries))
		},
		Degraded: func(ref stream.Ref, err error) {
			outages.Inc()
			log.Error("a presence log cannot be written: membership goes on in memory", "app", ref.App, "channel", ref.Channel, "error", err)
		},
		Failed: func(what string, err error) { log.Error("presence: "+what, "error", err) },
	}
}

// causeLabel keeps labels few, whatever a face calls its causes.
func causeLabel(cause string) string {
	switch cause {
	case "join", "disconnect", "timeout", "forced_disconnect", "orphan_cleanup":
		return cause
	}
	return "other"
}
