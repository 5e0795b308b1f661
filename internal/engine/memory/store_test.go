package memory_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/record/recordtest"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/core/stream/streamtest"
	"github.com/continuo-rt/continuo/internal/engine/memory"
)

// gate is a sync that tests hold open or make fail.
type gate struct {
	mu      sync.Mutex
	held    chan struct{}
	reached chan struct{}
	fail    bool
}

func (g *gate) sync() error {
	g.mu.Lock()
	held := g.held
	if held != nil && g.reached != nil {
		close(g.reached)
		g.reached = nil
	}
	g.mu.Unlock()
	if held != nil {
		<-held
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail {
		g.fail = false
		return errors.New("injected")
	}
	return nil
}

func (g *gate) hold() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held, g.reached = make(chan struct{}), make(chan struct{})
	return g.reached
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held != nil {
		close(g.held)
		g.held, g.reached = nil, nil
	}
}

func (g *gate) failNext() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail = true
}

// open makes a harness for a store of these options.
func open(m memory.Options) func(*testing.T, streamtest.Options) streamtest.Harness {
	return func(t *testing.T, o streamtest.Options) streamtest.Harness {
		m := m
		m.Now, m.Rules, m.Folds = o.Now, o.Rules, o.Folds
		g := &gate{}
		gated := m.Sync != nil
		if gated {
			m.Sync = g.sync
		}
		s := memory.New(m)
		h := streamtest.Harness{
			Store:    s,
			Maintain: func() error { return s.Maintain(t.Context()) },
			Forget: func(idle time.Duration) error {
				_, err := s.Forget(t.Context(), idle)
				return err
			},
		}
		if gated {
			h.HoldSync, h.ReleaseSync, h.FailSync = g.hold, g.release, g.failNext
		}
		if !m.Volatile {
			h.Volatile = true
			h.Reopen = func() stream.Store { s = s.Reopen(); return s }
			h.Crash = func() stream.Store { s = s.Crash(); g.release(); return s }
		}
		return h
	}
}

func TestStore(t *testing.T) {
	for name, o := range map[string]memory.Options{
		"at once":      {},
		"held":         {Sync: func() error { return nil }},
		"half survive": {Sync: func() error { return nil }, Survive: func(n int) int { return n / 2 }},
		"all survive":  {Sync: func() error { return nil }, Survive: func(n int) int { return n }},
		"volatile":     {Volatile: true},
	} {
		t.Run(name, func(t *testing.T) { streamtest.Run(t, open(o)) })
	}
}

func TestRecords(t *testing.T) {
	now := func() int64 { return 1000 }
	t.Run("durable", func(t *testing.T) {
		recordtest.Run(t, func(*testing.T) recordtest.Harness {
			s := memory.New(memory.Options{Now: now})
			return recordtest.Harness{Store: s, Reopen: func() record.Store { s = s.Reopen(); return s }}
		})
	})
	t.Run("volatile", func(t *testing.T) {
		recordtest.Run(t, func(*testing.T) recordtest.Harness {
			return recordtest.Harness{Store: memory.New(memory.Options{Now: now, Volatile: true})}
		})
	})
}

func BenchmarkStore(b *testing.B) {
	streamtest.Benchmark(b, func(_ *testing.B, o streamtest.Options) streamtest.Harness {
		return streamtest.Harness{Store: memory.New(memory.Options{Now: o.Now, Rules: o.Rules, Folds: o.Folds})}
	})
}
