package server

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	runtimemetrics "runtime/metrics"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/control"
)

// controlServer answers the commands of this machine, until the very end.
func (s *Server) controlServer() *http.Server {
	c := control.New(control.Options{Node: s.node, Disk: s.stores.disk, Status: s.status, Data: s.Config().Data, Log: s.log,
		API: func() http.Handler { return s.live.Load().api }})
	return &http.Server{Handler: c, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
}

// status describes the server.
func (s *Server) status() control.Status {
	c := s.Config()
	_, word := s.judge()
	info := s.stores.log.Info()
	st := control.Status{Version: s.opts.Version, PID: os.Getpid(), State: word, Listen: s.Addr().String(), Mode: c.Mode,
		Started: s.started, Seconds: int64(time.Since(s.started).Seconds()), Sessions: s.node.Sessions().Len(), Behind: s.hub.Behind(),
		HotBytes: s.hub.Held(), Outbox: s.metrics.OutboxBytes(), Memory: inUse(), Routines: runtime.NumGoroutine(), DataDir: c.Data,
		Store: control.StoreStatus{Engine: info.Name, Open: true, Epoch: info.Epoch, Note: info.Note}}
	if abs, err := filepath.Abs(c.Data); err == nil {
		st.DataDir = abs
	}
	for a := range s.node.Apps().All() {
		st.Apps = append(st.Apps, a.ID)
	}
	if s.stores.disk != nil {
		d := s.stores.disk.Stats()
		st.Store.Open, st.Store.DiskBytes, st.Store.TableBytes, st.Store.Tables, st.Store.LogBytes = d.Open, d.DiskBytes, d.TableBytes, d.Tables, d.LogBytes
		st.Store.MemoryBytes, st.Store.CachedStreams, st.Store.Flushes, st.Store.Compactions = d.MemoryBytes, d.CachedStreams, d.Flushes, d.Compactions
		st.Store.CompactionDebt, st.Store.ReadAmp, st.Store.BackgroundWork = d.CompactionDebt, d.ReadAmp, d.BackgroundWork
	}
	return st
}

// inUse is what the Go runtime has of the operating system.
func inUse() uint64 {
	sample := []runtimemetrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	runtimemetrics.Read(sample)
	return sample[0].Value.Uint64() - sample[1].Value.Uint64()
}
