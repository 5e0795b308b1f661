package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/disk"
)

// hurried is a disk store that flushes, compacts and makes entries visible all the time.
func hurried(t testing.TB, rules func(stream.Ref) stream.Rules) stream.Store {
	s, err := disk.Open(t.TempDir(), disk.Options{Now: clock(), Rules: rules, Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold},
		FreeReserve: -1, MemTableBytes: 64 << 10, IntervalEvery: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// visible is the fold of a stream as a client keeps it: the messages by their serial.
type visible map[uint64]*message.State

func (v visible) apply(e *stream.Entry) error {
	s := v[e.Message]
	if s == nil {
		s = &message.State{}
	}
	if err := s.Apply(e); err != nil {
		return err
	}
	if s.Exists() {
		v[e.Message] = s
	}
	return nil
}

// lines are the live messages, those without a key only above the floor.
func (v visible) lines(floor uint64) string {
	var list []string
	for _, serial := range slices.Sorted(maps.Keys(v)) {
		if s := v[serial]; s.Live() && (s.Key != "" || serial > floor) {
			list = append(list, line(s))
		}
	}
	return strings.Join(list, "\n")
}

// connected is a follower that has been there from the beginning: the watcher of the store sees every entry.
type connected struct {
	mu      sync.Mutex
	more    sync.Cond
	entries []*stream.Entry
	gap     bool
}

func (c *connected) watch(a stream.Advance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range a.Entries {
		c.gap = c.gap || e.Serial != uint64(len(c.entries))+1
		c.entries = append(c.entries, e)
	}
	c.more.Broadcast()
}

// fold is what the follower shows after a serial that is visible: it is told of it a moment later.
func (c *connected) fold(at uint64) (visible, error) {
	c.mu.Lock()
	for uint64(len(c.entries)) < at && !c.gap {
		c.more.Wait()
	}
	entries, gap := c.entries, c.gap
	c.mu.Unlock()
	if gap {
		return nil, errors.New("the follower missed an entry")
	}
	v := visible{}
	for _, e := range entries[:at] {
		if err := v.apply(e); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// stitched is what a client shows that loads a snapshot in pages and follows from its serial until the head: the serial
// that it came to and the floor then. It gives up when retention passes it.
func stitched(ctx context.Context, n *Node, r *rand.Rand, limit int) (v visible, at, floor uint64, err error) {
	pin, err := n.Pin(ctx, Pin{Ref: ref})
	if err != nil {
		return nil, 0, 0, err
	}
	v = visible{}
	q := SnapshotQuery{Ref: ref, At: pin.At.Serial, Limit: limit}
	for more := true; more; {
		s, err := n.Snapshot(ctx, q)
		if err != nil {
			return nil, 0, 0, err
		}
		for i := range s.Items {
			item := s.Items[i].Clone()
			if v[item.Message()] != nil {
				return nil, 0, 0, fmt.Errorf("message %d is in the snapshot twice", item.Message())
			}
			v[item.Message()] = &item
		}
		more, q.Rows, q.After, q.Beyond = s.More, s.Rows, s.After, s.Beyond
	}
	for at = pin.At.Serial; ; {
		p, err := n.store.Read(ctx, stream.Query{Ref: ref, From: at + 1, Limit: 1 + r.IntN(50)})
		switch {
		case err != nil:
			return nil, 0, 0, err
		case p.Bounds.Floor > at:
			return nil, 0, 0, fault.New(fault.NotProvable, "trimmed")
		case len(p.Entries) == 0:
			return v, at, p.Bounds.Floor, nil
		}
		for _, e := range p.Entries {
			if e.Serial != at+1 {
				return nil, 0, 0, fmt.Errorf("entry %d after %d", e.Serial, at)
			}
			if err := v.apply(e); err != nil {
				return nil, 0, 0, err
			}
			at = e.Serial
		}
	}
}

// change publishes something at random.
func change(ctx context.Context, n *Node, r *rand.Rand, head uint64) (uint64, error) {
	target := max(head, 30) - uint64(r.IntN(30))
	key := fmt.Sprint("key", r.IntN(40))
	var e stream.Entry
	switch r.IntN(12) {
	case 0, 1:
		e = stream.Entry{Kind: stream.Create, Event: "chat", Data: text(fmt.Sprint(r.IntN(1000)))}
	case 2, 3, 4, 5:
		e = stream.Entry{Kind: stream.Put, Key: key, Event: "price", Data: text(fmt.Sprint(r.IntN(1000), strings.Repeat(".", r.IntN(300))))}
	case 6:
		e = stream.Entry{Kind: stream.Append, Message: target, Data: text("+")}
	case 7:
		e = stream.Entry{Kind: stream.Append, Key: key, Data: text("+")}
	case 8:
		e = stream.Entry{Kind: stream.Update, Message: target, Set: stream.FieldData, Data: text("new")}
	case 9:
		e = stream.Entry{Kind: stream.Delete, Key: key}
	case 10:
		e = stream.Entry{Kind: stream.Delete, Message: target}
	default:
		e = stream.Entry{Kind: stream.Annotate, Key: key, User: fmt.Sprint("u", r.IntN(4)), Annot: &stream.Annotation{Type: "reactions:distinct.v1", Name: "like"}}
	}
	results, err := n.Publish(ctx, Publish{Ref: ref, Entry: e, Position: true})
	if err != nil {
		return head, err
	}
	switch k := fault.KindOf(results[0].Err); {
	case results[0].Outcome == stream.Applied:
		return results[0].Entry.Serial, nil
	case k == fault.NotFound || k == fault.Conflict || k == fault.Invalid:
		return head, nil
	}
	return head, results[0].Err
}

// TestSnapshotsUnderLoad: while entries are appended, trimmed and compacted away, every snapshot with the entries after
// it is what a follower shows that was there from the beginning.
func TestSnapshotsUnderLoad(t *testing.T) {
	const writers, readers, changes = 8, 3, 120
	for name, store := range map[string]opener{"disk": hurried, "memory": openMemory} {
		t.Run(name, func(t *testing.T) {
			n := openKeeping(t, store, 100)
			var all connected
			all.more.L = &all.mu
			stop := n.store.Watch(all.watch)
			defer stop()
			ctx := t.Context()
			var left atomic.Int32
			left.Store(writers)
			var done sync.WaitGroup
			for w := range writers {
				done.Go(func() {
					defer left.Add(-1)
					r := rand.New(rand.NewPCG(uint64(w), 1))
					var head uint64
					for range changes {
						var err error
						if head, err = change(ctx, n, r, head); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			var proven, refused atomic.Int64
			for k := range readers {
				done.Go(func() {
					r := rand.New(rand.NewPCG(uint64(k), 2))
					for last := false; !last; {
						last = left.Load() == 0 // one more when all is quiet
						got, at, floor, err := stitched(ctx, n, r, 1+r.IntN(40))
						if errors.Is(err, &fault.Error{Kind: fault.NotProvable}) {
							refused.Add(1)
							last = false
							continue
						}
						if err != nil {
							t.Error(err)
							return
						}
						want, err := all.fold(at)
						if err != nil {
							t.Error(err)
							return
						}
						if g, w := got.lines(floor), want.lines(floor); g != w {
							t.Errorf("at %d, floor %d:\n%s\nwant\n%s", at, floor, g, w)
							return
						}
						proven.Add(1)
					}
				})
			}
			done.Wait()
			b, _, err := n.Bounds(ctx, ref)
			if err != nil || b.Floor < 500 || proven.Load() < readers {
				t.Fatalf("floor %d, %d snapshots proven, %v", b.Floor, proven.Load(), err)
			}
			t.Logf("%d entries, floor %d; %d snapshots were right, %d refused", b.Head, b.Floor, proven.Load(), refused.Load())
		})
	}
}
