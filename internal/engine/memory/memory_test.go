package memory_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var room = stream.Ref{App: "app", Channel: "room"}

func still() int64 { return 1000 }

func create(data string) stream.Op {
	return stream.Op{Ref: room, Entry: stream.Entry{Kind: stream.Create, Data: stream.Data{Type: stream.Text, Bytes: []byte(data)}}}
}

func head(t *testing.T, s *memory.Store) uint64 {
	t.Helper()
	p, err := s.Read(t.Context(), stream.Query{Ref: room})
	if err != nil {
		t.Fatal(err)
	}
	return p.Bounds.Head
}

func mustAppend(t *testing.T, s *memory.Store, ops ...stream.Op) []stream.Result {
	t.Helper()
	results, err := s.Append(t.Context(), ops)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestFull(t *testing.T) {
	s := memory.New(memory.Options{Now: still, MaxBytes: 100})
	mustAppend(t, s, create("a"), create("b"), create("c"), create("d"))
	if _, err := s.Append(t.Context(), []stream.Op{create("e")}); fault.KindOf(err) != fault.Full {
		t.Fatalf("a store that is full: %v", err)
	}
	if _, err := s.Cut(t.Context(), stream.Cut{Ref: room, Kind: stream.Trim, Through: 3}); err != nil {
		t.Fatalf("a full store cannot be trimmed: %v", err)
	}
	mustAppend(t, s, create("e"))
	if h := head(t, s); h != 5 {
		t.Fatalf("head %d, want 5", h)
	}
}

func TestAdmit(t *testing.T) {
	var refuse error
	s := memory.New(memory.Options{Now: still, Admit: func() error { return refuse }})
	op := create("a")
	op.Receipt = &stream.Receipt{Key: "k", TTL: time.Minute}
	for err, kind := range map[error]fault.Kind{errors.New("no"): fault.Unavailable, fault.New(fault.Backpressure, "busy"): fault.Backpressure} {
		refuse = err
		if r, got := s.Append(t.Context(), []stream.Op{op}); r != nil || !errors.Is(got, err) || fault.KindOf(got) != kind {
			t.Errorf("%v: %v, %v", err, r, got)
		}
	}
	refuse = nil
	if r := mustAppend(t, s, op); r[0].Outcome != stream.Applied || r[0].Entry.Serial != 1 {
		t.Fatalf("a key that was not admitted is claimed: %+v", r[0])
	}
}

func TestReadable(t *testing.T) {
	fail := errors.New("cannot read")
	s := memory.New(memory.Options{Now: still, Readable: func() error { return fail }})
	mustAppend(t, s, create("a"))
	if _, err := s.Read(t.Context(), stream.Query{Ref: room}); !errors.Is(err, fail) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("read: %v", err)
	}
	if _, err := s.Keys(t.Context(), stream.KeysQuery{Ref: room, Limit: 1}); !errors.Is(err, fail) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("keys: %v", err)
	}
}

func TestEnded(t *testing.T) {
	for name, end := range map[string]func(*memory.Store){
		"closed":   func(s *memory.Store) { _ = s.Close() },
		"reopened": func(s *memory.Store) { s.Reopen() },
		"crashed":  func(s *memory.Store) { s.Crash() },
	} {
		s := memory.New(memory.Options{Now: still})
		mustAppend(t, s, create("a"))
		end(s)
		_, appended := s.Append(t.Context(), []stream.Op{create("b")})
		_, read := s.Read(t.Context(), stream.Query{Ref: room})
		_, keys := s.Keys(t.Context(), stream.KeysQuery{Ref: room, Limit: 1})
		_, cut := s.Cut(t.Context(), stream.Cut{Ref: room, Kind: stream.Reset})
		_, put := s.Put(t.Context(), "s", "k", nil, 0)
		_, forgot := s.Forget(t.Context(), 0)
		for what, err := range map[string]error{"append": appended, "read": read, "keys": keys, "cut": cut, "put": put, "forget": forgot,
			"maintain": s.Maintain(t.Context())} {
			if err == nil || fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%s of a store that was %s: %v", what, name, err)
			}
		}
	}
}

func TestSurvivors(t *testing.T) {
	syncs := 0
	s := memory.New(memory.Options{Now: still, Survive: func(n int) int { return n }, Sync: func() error {
		if syncs++; syncs == 2 {
			return errors.New("injected")
		}
		return nil
	}})
	mustAppend(t, s, create("a"))
	var told []uint64
	stop := s.Watch(func(a stream.Advance) { told = append(told, a.Bounds.Head) })
	if r := mustAppend(t, s, create("b")); r[0].Outcome != stream.Unknown {
		t.Fatalf("a failed sync: %+v", r[0])
	}
	if r := mustAppend(t, s, create("c")); r[0].Entry.Serial != 3 {
		t.Fatalf("after a survivor: %+v", r[0])
	}
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	if !reflect.DeepEqual(told, []uint64{2, 3}) {
		t.Fatalf("watchers were told heads %v, want 2 and 3: the survivor is visible", told)
	}
}

func TestFoldFails(t *testing.T) {
	broken := errors.New("broken")
	s := memory.New(memory.Options{Now: still,
		Rules: func(stream.Ref) stream.Rules { return stream.Rules{Retention: stream.Retention{KeepLatest: true}} },
		Folds: map[stream.Log]stream.Fold{stream.Messages: func([]byte, ...*stream.Entry) ([]byte, bool, error) { return nil, false, broken }}})
	put := create("a")
	put.Entry.Kind, put.Entry.Key = stream.Put, "k"
	mustAppend(t, s, put, create("b"))
	if _, err := s.Cut(t.Context(), stream.Cut{Ref: room, Kind: stream.Trim, Through: 1}); !errors.Is(err, broken) {
		t.Fatalf("a trim that cannot fold: %v", err)
	}
	p, err := s.Read(t.Context(), stream.Query{Ref: room, Limit: 10})
	if err != nil || len(p.Entries) != 2 || p.Bounds.Floor != 0 {
		t.Fatalf("after a trim that failed: %+v, %v", p, err)
	}
	if _, err := s.Keys(t.Context(), stream.KeysQuery{Ref: room, Limit: 10}); !errors.Is(err, broken) {
		t.Fatalf("keys that cannot be folded: %v", err)
	}
}

func TestRun(t *testing.T) {
	var now atomic.Int64
	trimmed := make(chan stream.Bounds, 1)
	s := memory.New(memory.Options{Now: now.Load,
		Rules: func(stream.Ref) stream.Rules { return stream.Rules{Retention: stream.Retention{Age: time.Second}} }})
	stop := s.Watch(func(a stream.Advance) {
		if a.Cut == stream.Trim {
			trimmed <- a.Bounds
		}
	})
	defer stop()
	mustAppend(t, s, create("a"))
	ctx, cancel := context.WithCancel(t.Context())
	tick, done := make(chan time.Time), make(chan error)
	go func() { done <- s.Run(ctx, tick) }()
	tick <- time.Time{}
	now.Store(1100)
	tick <- time.Time{}
	if b := <-trimmed; b.Floor != 1 {
		t.Errorf("trimmed to %+v", b)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("run ended with %v", err)
	}
}

func TestNoClock(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a store without a clock was made")
		}
	}()
	memory.New(memory.Options{})
}

// TestRepeats shows that two stores that are given the same tell the same, ids included: simulations rest on it.
func TestRepeats(t *testing.T) {
	run := func() (out []string) {
		now := int64(0)
		s := memory.New(memory.Options{Epoch: "e", Boot: "b", Now: func() int64 { now += 7; return now },
			Rules: func(r stream.Ref) stream.Rules {
				return stream.Rules{Durability: stream.Durability(len(r.Channel) % 3), Retention: stream.Retention{Entries: 5}}
			}})
		for life := range 3 {
			stop := s.Watch(func(a stream.Advance) { out = append(out, fmt.Sprint(a.Ref, a.Bounds, a.Cut, len(a.Entries))) })
			for i := range 40 {
				op := create("x")
				op.Ref.Channel = "room"[:1+i%4]
				out = append(out, fmt.Sprint(mustAppend(t, s, op)))
			}
			stop()
			if life%2 == 0 {
				s = s.Crash()
			} else {
				s = s.Reopen()
			}
		}
		return out
	}
	first, second := run(), run()
	if !reflect.DeepEqual(first, second) {
		t.Fatal("two runs of the same differ")
	}
}
