package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/run/outbox"
)

// Sources are what figures are read from when somebody asks.
type Sources struct {
	Sessions *node.Sessions
	Hub      *hub.Hub
	Disk     *disk.Store // nil: nothing is kept
}

// Watch adds the figures that are read from their sources. Call it once.
func (m *Metrics) Watch(s Sources) {
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "continuo", Name: name, Help: help}, f))
	}
	m.outboxes = outboxes{sessions: s.Sessions}
	gauge("outbox_bytes", "Encoded frames that wait for sockets, of all sessions.", func() float64 { return float64(m.OutboxBytes()) })
	gauge("hot_window_bytes", "What the hot windows of all streams hold, frames included.", func() float64 { return float64(s.Hub.Held()) })
	if s.Disk == nil {
		return
	}
	stat := func(name, help string, f func(disk.Stats) float64) {
		gauge(name, help, func() float64 { return f(s.Disk.Stats()) })
	}
	stat("store_disk_bytes", "Bytes of all files of the store.", func(d disk.Stats) float64 { return float64(d.DiskBytes) })
	stat("store_memory_bytes", "Memtables and block cache.", func(d disk.Stats) float64 { return float64(d.MemoryBytes) })
	stat("store_read_amplification", "Tables that a read may have to look into.", func(d disk.Stats) float64 { return float64(d.ReadAmp) })
	stat("store_compaction_debt_bytes", "Bytes that wait for compaction.", func(d disk.Stats) float64 { return float64(d.CompactionDebt) })
	stat("store_background_work", "Trims and kept states that wait to be written.", func(d disk.Stats) float64 { return float64(d.BackgroundWork) })
	gauge("store_refuses_appends", "1 while appends are refused because the disk or the store is full.", func() float64 {
		if s.Disk.Health() != nil {
			return 1
		}
		return 0
	})
}

// outboxes adds up what waits for sockets. A walk over all sessions costs a few nanoseconds for each: it is made when
// somebody asks, and not more often than every few seconds.
type outboxes struct {
	sessions *node.Sessions
	mu       sync.Mutex
	bytes    int64
	next     time.Time
}

const outboxesEvery = 5 * time.Second

// OutboxBytes is how much waits for the sockets of all sessions; it may be a few seconds old.
func (m *Metrics) OutboxBytes() int64 {
	o := &m.outboxes
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.sessions != nil && now.After(o.next) {
		o.next, o.bytes = now.Add(outboxesEvery), 0
		for _, one := range o.sessions.All() {
			if c, ok := one.(interface{ Outbox() *outbox.Outbox }); ok {
				out := c.Outbox()
				out.Lock()
				o.bytes += int64(out.Bytes())
				out.Unlock()
			}
		}
	}
	return o.bytes
}
