package control

import (
	"net/http"
	"time"
)

// Status is what a running server says about itself.
type Status struct {
	Version  string      `json:"version"`
	PID      int         `json:"pid"`
	State    string      `json:"state"` // OK, DEGRADED, DRAINING, ERROR
	Listen   string      `json:"listen"`
	Mode     string      `json:"mode"`
	Started  time.Time   `json:"started"`
	Seconds  int64       `json:"uptime_seconds"`
	Apps     []string    `json:"apps"`
	Sessions int         `json:"sessions"`
	Behind   int64       `json:"followers_behind"`
	HotBytes int64       `json:"hot_bytes"`
	Outbox   int64       `json:"outbox_bytes"`
	Memory   uint64      `json:"memory_bytes"` // taken from the operating system
	Routines int         `json:"goroutines"`
	Store    StoreStatus `json:"store"`
	DataDir  string      `json:"data"`
}

// StoreStatus describes the store.
type StoreStatus struct {
	Engine         string `json:"engine"`
	Open           bool   `json:"open"`
	Epoch          string `json:"epoch"`
	Note           string `json:"note,omitempty"`
	DiskBytes      uint64 `json:"disk_bytes,omitempty"`
	TableBytes     uint64 `json:"table_bytes,omitempty"`
	Tables         int64  `json:"tables,omitempty"`
	LogBytes       uint64 `json:"log_bytes,omitempty"`
	MemoryBytes    uint64 `json:"memory_bytes,omitempty"`
	CachedStreams  int    `json:"cached_streams,omitempty"`
	Flushes        int64  `json:"flushes,omitempty"`
	Compactions    int64  `json:"compactions,omitempty"`
	CompactionDebt uint64 `json:"compaction_debt,omitempty"`
	ReadAmp        int    `json:"read_amplification,omitempty"`
	BackgroundWork int    `json:"background_work,omitempty"`
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) { answer(w, s.opts.Status()) }
