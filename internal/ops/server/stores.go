package server

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/ops/config"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/run/route"
)

// stores are what the server keeps: the log, and small records beside it.
type stores struct {
	log     stream.Store
	records record.Store
	disk    *disk.Store // nil with the memory engine
	close   []io.Closer
}

// openStores opens the engine that the configuration names, and memory for volatile channels. Policies are asked of
// whatever registry is in force.
func openStores(c *config.Config, apps *atomic.Pointer[app.Registry], now func() int64, events disk.Events) (*stores, error) {
	rules := func(ref stream.Ref) stream.Rules { return node.Rules(apps.Load(), ref) }
	folds := map[stream.Log]stream.Fold{stream.Messages: message.Fold, stream.Presence: presence.Fold}
	if c.Store.Engine == "memory" {
		m := memory.New(memory.Options{Now: now, Rules: rules, Folds: folds, Volatile: true, MaxBytes: uint64(c.Store.MaxBytes)})
		return &stores{log: m, records: m, close: []io.Closer{m}}, nil
	}
	d, err := disk.Open(c.Data, disk.Options{Now: now, Rules: rules, Folds: folds, Shards: c.Store.Shards,
		IntervalEvery: c.Store.Interval, FreeReserve: reserve(c), MaxBytes: int64(c.Store.MaxBytes),
		CacheBytes: int64(c.Store.Cache), ForgetAfter: c.Store.Forget, Events: events})
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", c.Data, err)
	}
	v := memory.New(memory.Options{Now: now, Rules: rules, Folds: folds, Volatile: true})
	return &stores{log: route.New(d, v, rules), records: d, disk: d, close: []io.Closer{d, v}}, nil
}

// reserve is the configured reserve as the engine takes it: there, 0 stands for its default.
func reserve(c *config.Config) int64 {
	if c.Store.FreeReserve == 0 {
		return -1
	}
	return int64(c.Store.FreeReserve)
}

func (s *stores) Close() error {
	var first error
	for _, c := range s.close {
		if err := c.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
