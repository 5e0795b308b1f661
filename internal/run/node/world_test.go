package node

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

// engines open a node over each store that needs nothing but this process.
var engines = map[string]func(testing.TB) *Node{
	"memory": func(t testing.TB) *Node { return open(t, openMemory, false) },
	"disk":   func(t testing.TB) *Node { return open(t, openDisk, false) },
}

type opener func(t testing.TB, rules func(stream.Ref) stream.Rules) stream.Store

func openMemory(t testing.TB, rules func(stream.Ref) stream.Rules) stream.Store {
	s := memory.New(memory.Options{Now: clock(), Rules: rules, Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold}})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openDisk(t testing.TB, rules func(stream.Ref) stream.Rules) stream.Store {
	s, err := disk.Open(t.TempDir(), disk.Options{Now: clock(), Rules: rules, Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold}, FreeReserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// clock gives 10 ms more each time that it is asked.
func clock() func() int64 {
	var ticks atomic.Int64
	return func() int64 { return 1_766_414_833_000 + 10*ticks.Add(1) }
}

// open makes a node over a store whose channels keep 20,000 entries, or 20 when the test is about retention.
func open(t testing.TB, store opener, short bool) *Node {
	t.Helper()
	if short {
		return openKeeping(t, store, 20)
	}
	return openKeeping(t, store, 20_000)
}

// openKeeping makes a node whose channels keep so many entries, and the latest of each key.
func openKeeping(t testing.TB, store opener, entries uint64) *Node {
	t.Helper()
	p := app.Default(app.Development)
	p.Durability = stream.Interval
	p.Retention = stream.Retention{Entries: entries, KeepLatest: true}
	a, err := app.New(app.App{ID: "app", Mode: app.Development, Enabled: true, Policies: []app.Policy{p}, Keys: []app.Key{{Key: "k", Secret: "s", Enabled: true}}})
	if err != nil {
		t.Fatal(err)
	}
	r, faults := app.NewRegistry(a)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	s := store(t, func(ref stream.Ref) stream.Rules { return Rules(r, ref) })
	h := hub.New(hub.Options{Store: s, Now: clock(), Frame: func(_ bool, b []byte) []byte { return b }})
	t.Cleanup(h.Close)
	return New(Options{Store: s, Hub: h, Apps: r, Now: clock()})
}

func text(s string) stream.Data { return stream.Data{Type: stream.Text, Bytes: []byte(s)} }

func publish(t testing.TB, n *Node, e stream.Entry) stream.Result {
	t.Helper()
	r, err := n.Publish(context.Background(), Publish{Ref: ref, Entry: e})
	if err != nil {
		t.Fatal(err)
	}
	if r[0].Outcome != stream.Applied {
		t.Fatal(r[0].Err)
	}
	return r[0]
}
