package presence_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/run/node"
)

// crowd is a session that counts its answers.
type crowd struct {
	id   string
	done *sync.WaitGroup
	err  error
	n    int
}

// ID implements presence.Session.
func (c *crowd) ID() string { return c.id }

// Post implements presence.Session.
func (c *crowd) Post(in session.Input) {
	if e, ok := in.(session.Entered); ok {
		c.err, c.n = e.Err, len(e.Members)
		c.done.Done()
	}
}

func large(a *app.App) {
	a.Limits.PresenceMembers = 20_000
	a.Policies[0].Presence.ListLimit = 100
	a.Policies[0].Presence.Retention.Entries = 100_000
}

// join has n users enter at once and waits for their answers.
func join(tb testing.TB, w *world, from, n int) []*crowd {
	tb.Helper()
	var done sync.WaitGroup
	done.Add(n)
	all := make([]*crowd, n)
	for i := range all {
		all[i] = &crowd{id: fmt.Sprintf("c%06d", from+i), done: &done}
		w.reg.Enter(all[i], session.Enter{Tag: 1, Ref: room, Member: session.Member{User: fmt.Sprintf("u%06d", from+i), Info: []byte(`{"name":"somebody"}`)}})
	}
	done.Wait()
	for _, c := range all {
		if c.err != nil || c.n == 0 {
			tb.Fatalf("%s: %v, %d listed", c.id, c.err, c.n)
		}
	}
	return all
}

// 10,000 joins in a burst share at most 200 syncs, of which each takes a while: what is asked for meanwhile shares the next.
func TestJoinsShareCommits(t *testing.T) {
	bubble(t, large, func(w *world) {
		w.slow = time.Millisecond
		join(t, w, 0, 10_000)
		if n := w.syncs.Load(); n > 200 {
			t.Fatalf("10,000 joins took %d syncs", n)
		}
		if n, err := w.reg.Count(t.Context(), room.App, room.Channel); n != 10_000 || err != nil {
			t.Fatal(n, err)
		}
		page, err := w.store.Read(t.Context(), stream.Query{Ref: room, Limit: 20_000})
		if err != nil || len(page.Entries) != 10_000 {
			t.Fatal(len(page.Entries), err)
		}
		told, last := 0, 0
		for _, e := range page.Entries {
			if n := corepresence.NoteOf(e).Count; n > 0 {
				told, last = told+1, n
			}
			if corepresence.IsQuiet(e) != (e.Serial > 1000) {
				t.Fatalf("entry %d: quiet %v", e.Serial, corepresence.IsQuiet(e))
			}
		}
		if last != 10_000 || told > 200 {
			t.Fatalf("%d entries tell the number of members, the last %d", told, last)
		}
	})
}

func BenchmarkBurst(b *testing.B) {
	for b.Loop() {
		w := newWorld(b, large)
		join(b, w, 0, 10_000)
		b.ReportMetric(float64(w.syncs.Load()), "syncs")
		w.reg.Close()
		w.store.Close()
	}
}

// onDisk is a world on the durable engine.
func onDisk(b *testing.B) *world {
	w := newWorld(b, large)
	w.reg.Close()
	d, err := disk.Open(b.TempDir(), disk.Options{Now: now, Rules: func(ref stream.Ref) stream.Rules { return node.Rules(w.apps, ref) },
		Folds: map[stream.Log]stream.Fold{stream.Presence: corepresence.Fold}, Events: disk.Events{Commit: func(i disk.CommitInfo) {
			if i.Sync > 0 {
				w.syncs.Add(1)
			}
		}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Close() })
	w.log = d
	w.start()
	return w
}

func BenchmarkBurstOnDisk(b *testing.B) {
	for b.Loop() {
		w := onDisk(b)
		join(b, w, 0, 10_000)
		b.ReportMetric(float64(w.syncs.Load()), "syncs")
		w.reg.Close()
	}
}

// Joining a large channel costs about what joining a small one does, when as many members are listed.
func BenchmarkJoin(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w := onDisk(b)
			defer w.reg.Close()
			join(b, w, 0, size)
			for i := size; b.Loop(); i++ {
				one := join(b, w, i, 1)
				w.reg.Exit(one[0], session.Exit{Tag: 1, Ref: room})
			}
		})
	}
}
