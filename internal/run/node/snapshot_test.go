package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/disk"
)

// model is a channel that remembers every entry and folds from the first, whatever retention did.
type model struct {
	entries []*stream.Entry
	seen    uint64
}

// catchUp reads what was appended since the last time.
func (m *model) catchUp(t testing.TB, n *Node) stream.Bounds {
	t.Helper()
	p, err := n.store.Read(context.Background(), stream.Query{Ref: ref, From: m.seen + 1, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range p.Entries {
		if e.Serial != m.seen+1 {
			t.Fatalf("entry %d after %d", e.Serial, m.seen)
		}
		m.entries, m.seen = append(m.entries, e), e.Serial
	}
	return p.Bounds
}

// snapshot is the fold at a serial, of which messages without a key that began at or below the floor are gone.
func (m *model) snapshot(t testing.TB, at, floor uint64) (want []string) {
	t.Helper()
	states := map[string]*message.State{}
	name := func(e *stream.Entry) string {
		if e.Key != "" {
			return "k" + e.Key
		}
		return fmt.Sprintf("m%020d", e.Message)
	}
	for _, e := range m.entries {
		if e.Serial > at {
			break
		}
		s := states[name(e)]
		if s == nil {
			s = &message.State{}
			states[name(e)] = s
		}
		if err := s.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range states {
			if !yield(n) {
				return
			}
		}
	}) {
		if s := states[name]; s.Live() && (s.Key != "" || s.Message() > floor) {
			want = append(want, line(s))
		}
	}
	return want
}

func line(s *message.State) string {
	return fmt.Sprintf("%s#%d v%d at %d %q %v", s.Key, s.Message(), s.Version, s.Edit.Serial, s.Data.Bytes, s.Annotations)
}

// step does something at random.
func step(t testing.TB, n *Node, r *rand.Rand, head uint64) {
	t.Helper()
	e := stream.Entry{Kind: stream.Create, Event: "chat", Data: text(fmt.Sprint(r.IntN(1000)))}
	target := uint64(r.IntN(int(head)+1)) + 1
	key := fmt.Sprint("key", r.IntN(5))
	switch r.IntN(9) {
	case 0, 1, 2:
		e.Kind, e.Key = stream.Put, key
	case 3, 4:
		e = stream.Entry{Kind: stream.Append, Message: target, Data: text(fmt.Sprint("+", r.IntN(10)))}
	case 5:
		e = stream.Entry{Kind: stream.Update, Message: target, Set: stream.FieldData, Data: text("new")}
	case 6:
		e = stream.Entry{Kind: stream.Delete, Key: key}
	case 7:
		e = stream.Entry{Kind: stream.Annotate, Message: target, User: fmt.Sprint("u", r.IntN(3)), Annot: &stream.Annotation{Type: "reactions:distinct.v1", Name: "like"}}
	}
	results, err := n.Publish(context.Background(), Publish{Ref: ref, Entry: e, Position: true})
	if err != nil {
		t.Fatal(err)
	}
	if k := fault.KindOf(results[0].Err); results[0].Outcome == stream.Refused && k != fault.NotFound && k != fault.Conflict && k != fault.Invalid {
		t.Fatal(results[0].Err)
	}
}

// walk reads a whole snapshot in pages, and checks that its parts are within their limits.
func walk(t testing.TB, n *Node, at uint64, limit int, between func()) (got []string, floor uint64) {
	t.Helper()
	q := SnapshotQuery{Ref: ref, At: at, Limit: limit}
	for {
		s, err := n.Snapshot(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		if floor = s.Bounds.Floor; len(s.Items) > limit {
			t.Fatalf("%d items", len(s.Items))
		}
		for i := range s.Items {
			got = append(got, line(&s.Items[i]))
		}
		if !s.More {
			return got, floor
		}
		q.Rows, q.After, q.Beyond = s.Rows, s.After, s.Beyond
		between()
	}
}

// TestSnapshotModel compares snapshots at any serial, in pages of any size, with the fold from the first entry, with and
// without retention.
func TestSnapshotModel(t *testing.T) {
	for name, store := range map[string]opener{"memory": openMemory, "disk": openDisk} {
		for _, short := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " short ", short), func(t *testing.T) {
				const seed = 7
				r := rand.New(rand.NewPCG(seed, 1))
				n := open(t, store, short)
				var m model
				b := m.catchUp(t, n)
				for range 150 {
					step(t, n, r, b.Head)
					b = m.catchUp(t, n)
					if b.Head == 0 {
						continue
					}
					if s, ok := n.store.(*disk.Store); ok {
						if err := s.Maintain(context.Background()); err != nil {
							t.Fatal(err)
						}
						b = m.catchUp(t, n)
					}
					at := b.Floor + uint64(r.IntN(int(b.Head-b.Floor)+1))
					got, floor := walk(t, n, at, 1+r.IntN(6), func() {})
					if want := m.snapshot(t, at, floor); strings.Join(got, "\n") != strings.Join(want, "\n") {
						t.Fatalf("seed %d, at %d of %d:\n%s\nwant\n%s", seed, at, b.Head, strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
				}
			})
		}
	}
}

// checkKeys compares the keys at a serial with the model, as long as retention has not passed it.
func checkKeys(t testing.TB, n *Node, m *model, at uint64) {
	t.Helper()
	p, err := n.store.Keys(context.Background(), stream.KeysQuery{Ref: ref, At: max(at, 1), Limit: 100})
	if errors.Is(err, &fault.Error{Kind: fault.NotProvable}) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range p.Rows {
		s, err := message.Decode(row.State)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line(&s))
	}
	if want := m.snapshot(t, max(at, 1), at); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("keys at %d:\n%s\nwant\n%s", at, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestKeysWhileTrimmed asks for the keys while trims are under way: a key that was deleted never comes back.
func TestKeysWhileTrimmed(t *testing.T) {
	for name, store := range map[string]opener{"memory": openMemory, "disk": openDisk} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, 1))
			n := open(t, store, true)
			var m model
			b := m.catchUp(t, n)
			for range 200 {
				step(t, n, r, b.Head)
				b = m.catchUp(t, n)
				for range 4 {
					checkKeys(t, n, &m, b.Head-uint64(r.IntN(int(b.Head-b.Floor)+1)))
				}
			}
		})
	}
}

// TestSnapshotPinned: while a snapshot is read in pages the stream goes on, and the snapshot does not.
func TestSnapshotPinned(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 1))
			n := open(t)
			var m model
			for range 60 {
				step(t, n, r, m.seen)
				m.catchUp(t, n)
			}
			pin, err := n.Pin(context.Background(), Pin{Ref: ref})
			if err != nil {
				t.Fatal(err)
			}
			got, _ := walk(t, n, pin.At.Serial, 2, func() {
				step(t, n, r, m.seen)
				m.catchUp(t, n)
			})
			if want := m.snapshot(t, pin.At.Serial, 0); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Fatalf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestVersionsModel compares the versions of every message, in pages of any size and both directions, with a fold.
func TestVersionsModel(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 1))
			n := open(t)
			var m model
			for range 120 {
				step(t, n, r, m.seen)
				m.catchUp(t, n)
			}
			for serial := uint64(1); serial <= m.seen; serial++ {
				if m.entries[serial-1].Message != serial {
					if _, err := n.Versions(context.Background(), VersionsQuery{Ref: ref, Message: serial, Limit: 5}); err == nil {
						t.Fatalf("entry %d is no message", serial)
					}
					continue
				}
				var of []*stream.Entry
				for _, e := range m.entries {
					if e.Message == serial {
						of = append(of, e)
					}
				}
				list, err := message.Versions(message.State{}, of)
				if err != nil {
					t.Fatal(err)
				}
				for _, reverse := range []bool{false, true} {
					want := versionLines(list, reverse)
					if got := versions(t, n, serial, reverse, 1+r.IntN(4)); strings.Join(got, "\n") != strings.Join(want, "\n") {
						t.Fatalf("message %d:\n%s\nwant\n%s", serial, strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
				}
			}
		})
	}
}

func versionLines(list []message.Version, reverse bool) (lines []string) {
	for i := range list {
		lines = append(lines, fmt.Sprintf("v%d at %d %q", list[i].Version, list[i].Edit.Serial, list[i].Shown().Bytes))
	}
	if reverse {
		slices.Reverse(lines)
	}
	return lines
}

func versions(t testing.TB, n *Node, serial uint64, reverse bool, limit int) (got []string) {
	t.Helper()
	q := VersionsQuery{Ref: ref, Message: serial, Reverse: reverse, Limit: limit}
	for {
		v, err := n.Versions(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, versionLines(v.List, false)...)
		if !v.More {
			return got
		}
		if reverse {
			q.To = v.Last - 1
		} else {
			q.From = v.Last + 1
		}
	}
}
