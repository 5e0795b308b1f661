package route_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/route"
)

func now() int64 { return time.Now().UnixMilli() }

// engine is a durable store that can be told of volatile streams, as the disk can, and that can fail.
type engine struct {
	*memory.Store
	marks atomic.Int64
	fail  atomic.Bool
}

func (e *engine) MarkVolatile(ctx context.Context, ref stream.Ref) error {
	e.marks.Add(1)
	if e.fail.Load() {
		return errors.New("the disk is away")
	}
	_, err := e.Cut(ctx, stream.Cut{Ref: ref, Kind: stream.Reset})
	return err
}

func (e *engine) Append(ctx context.Context, ops []stream.Op) ([]stream.Result, error) {
	if e.fail.Load() {
		return nil, fault.New(fault.Unavailable, "the disk is away")
	}
	return e.Store.Append(ctx, ops)
}

// rig is a route over two memory stores, with a policy that can change.
type rig struct {
	*testing.T
	*route.Store
	durable  *engine
	volatile *memory.Store
	fluid    map[string]bool
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, fluid: map[string]bool{"v": true}}
	rules := func(ref stream.Ref) stream.Rules {
		if r.fluid[ref.Channel] {
			return stream.Rules{Durability: stream.Volatile}
		}
		return stream.Rules{}
	}
	folds := map[stream.Log]stream.Fold{stream.Messages: message.Fold}
	r.durable = &engine{Store: memory.New(memory.Options{Now: now, Rules: rules, Folds: folds})}
	r.volatile = memory.New(memory.Options{Now: now, Rules: rules, Folds: folds, Volatile: true})
	r.Store = route.New(r.durable, r.volatile, rules)
	return r
}

func ref(channel string) stream.Ref { return stream.Ref{App: "app", Channel: channel} }

func create(channel, text string) stream.Op {
	return stream.Op{Ref: ref(channel), Entry: stream.Entry{Kind: stream.Create, Data: stream.Data{Type: stream.Text, Bytes: []byte(text)}}}
}

func (r *rig) publish(ops ...stream.Op) []stream.Result {
	r.Helper()
	results, err := r.Append(context.Background(), ops)
	if err != nil || len(results) != len(ops) {
		r.Fatalf("append: %v, %d results", err, len(results))
	}
	return results
}

func texts(s stream.Store, t *testing.T, channel string) (all string) {
	t.Helper()
	page, err := s.Read(context.Background(), stream.Query{Ref: ref(channel), Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		all += string(e.Data.Bytes)
	}
	return all
}

func TestEachStreamGoesWhereItsPolicySays(t *testing.T) {
	r := newRig(t)
	var told []string
	stop := r.Watch(func(a stream.Advance) {
		for _, e := range a.Entries {
			told = append(told, a.Ref.Channel+string(e.Data.Bytes))
		}
	})
	results := r.publish(create("d", "1"), create("v", "2"), create("v", "3"), create("d", "4"), create("d", "5"), create("e", "6"))
	for i, serial := range []uint64{1, 1, 2, 2, 3, 1} {
		if results[i].Outcome != stream.Applied || results[i].Entry.Serial != serial {
			t.Errorf("result %d: %+v, want serial %d", i, results[i], serial)
		}
	}
	if d, v := texts(r.durable, t, "d"), texts(r.durable, t, "v"); d != "145" || v != "" {
		t.Errorf("the durable store has %q and %q", d, v)
	}
	if d, v := texts(r.volatile, t, "d"), texts(r.volatile, t, "v"); d != "" || v != "23" {
		t.Errorf("the volatile store has %q and %q", d, v)
	}
	if v := texts(r, t, "v"); v != "23" {
		t.Errorf("read %q", v)
	}
	if len(told) != 6 {
		t.Errorf("watchers were told of %v", told)
	}
	stop()
	r.publish(create("v", "7"))
	if len(told) != 6 || r.durable.marks.Load() != 1 {
		t.Errorf("told %v, %d marks", told, r.durable.marks.Load())
	}
	if _, err := r.Cut(context.Background(), stream.Cut{Ref: ref("v"), Kind: stream.Trim, Through: 2}); err != nil || texts(r, t, "v") != "7" {
		t.Errorf("after a trim: %v, %q", err, texts(r, t, "v"))
	}
	page, err := r.Keys(context.Background(), stream.KeysQuery{Ref: ref("v"), Limit: 1})
	if err != nil || page.Bounds.Floor != 2 {
		t.Errorf("%+v, %v", page, err)
	}
	if r.Info().Name != "memory" || r.Info().Epoch != r.durable.Info().Epoch {
		t.Errorf("%+v", r.Info())
	}
}

// A policy that changes to and fro begins a new incarnation each time, so that no cursor of one side is continued past
// what went to the other.
func TestAPolicyThatChangesToAndFro(t *testing.T) {
	r := newRig(t)
	seen := map[stream.ID]string{}
	for i, fluid := range []bool{true, true, false, false, true, false, true} {
		r.fluid["c"] = fluid
		id := r.publish(create("c", "x"))[0].Stream
		side := []string{"vv", "vv", "d1", "d1", "v2", "d2", "v3"}[i]
		if seen[id] == "" {
			seen[id] = side
		}
		if seen[id] != side {
			t.Errorf("append %d (%s) went into a stream of %s", i, side, seen[id])
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d incarnations, want 5", len(seen))
	}
}

func TestFailures(t *testing.T) {
	r := newRig(t)
	r.durable.fail.Store(true)
	if _, err := r.Append(context.Background(), []stream.Op{create("v", "1")}); err == nil {
		t.Error("a volatile stream began although the durable store could not be told")
	}
	r.durable.fail.Store(false)
	r.publish(create("v", "1"))
	r.durable.fail.Store(true)
	if _, err := r.Append(context.Background(), []stream.Op{create("v", "2"), create("d", "3")}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a batch whose durable part was not decided: %v", err)
	}
	if got := texts(r, t, "v"); got != "1" {
		t.Errorf("an error means that nothing was decided, but the volatile store has %q", got)
	}
	r.publish(create("v", "4"))
	r.durable.fail.Store(false)
	_ = r.volatile.Close()
	results := r.publish(create("d", "5"), create("v", "6"))
	if results[0].Outcome != stream.Applied || results[1].Outcome != stream.Refused || results[1].Err == nil {
		t.Errorf("%+v", results)
	}
}
