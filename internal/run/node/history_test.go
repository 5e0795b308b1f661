package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/disk"
)

// history is what the rows of (floor, upto] show at a serial: each as the entries after it have made it, up to the next
// put of its key.
func (m *model) history(t testing.TB, floor, upto, at uint64) (want []string) {
	t.Helper()
	for _, row := range m.entries[floor:upto] {
		if !row.Kind.Row() {
			continue
		}
		var s message.State
		var before *message.State // what a put carries on, if it is still the newest of its key
		for _, e := range m.entries[:at] {
			if e.Message != row.Message || e.Kind.Row() && e.Serial > row.Serial {
				if e.Message == row.Message && e.Kind.Row() {
					before = nil
					break
				}
				continue
			}
			if before == nil {
				before = &message.State{}
			}
			if err := before.Apply(e); err != nil {
				t.Fatal(err)
			}
			if e.Serial >= row.Serial {
				if err := s.Apply(e); err != nil {
					t.Fatal(err)
				}
			}
		}
		newest := before != nil && before.Row.Serial == row.Serial
		if newest {
			s = *before
		}
		want = append(want, rowLine(row, &s, newest))
	}
	return want
}

// rowLine leaves out what a superseded row does not know: the annotations before it, and when the message began.
func rowLine(row *stream.Entry, s *message.State, newest bool) string {
	what := fmt.Sprintf("%d: %s#%d v%d %v at %d %q", row.Serial, s.Key, s.Message(), s.Version, s.Edit.Kind, s.Edit.Serial, s.Data.Bytes)
	if newest {
		what += fmt.Sprint(s.Annotations, s.Begun)
	}
	return what
}

// TestHistoryModel compares pages of history of any size, in both directions and as of any serial, with a fold from the
// first entry, with and without retention.
func TestHistoryModel(t *testing.T) {
	const seed = 11
	for name, store := range map[string]opener{"memory": openMemory, "disk": openDisk} {
		for _, keep := range []uint64{20_000, 60} {
			t.Run(fmt.Sprint(name, " keep ", keep), func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				n := openKeeping(t, store, keep)
				var m model
				b := m.catchUp(t, n)
				for i := range 200 {
					step(t, n, r, b.Head)
					b = m.catchUp(t, n)
					if b.Head == 0 || i%5 != 0 {
						continue
					}
					if s, ok := n.store.(*disk.Store); ok {
						if err := s.Maintain(context.Background()); err != nil {
							t.Fatal(err)
						}
						b = m.catchUp(t, n)
					}
					at := b.Head - uint64(r.IntN(int(b.Head-b.Floor)))
					want := m.history(t, b.Floor, at, at)
					got := rows(t, n, &m, at, r.IntN(2) == 0, 1+r.IntN(12))
					if strings.Join(got, "\n") != strings.Join(want, "\n") {
						t.Fatalf("seed %d, at %d of (%d, %d]:\n%s\nwant\n%s", seed, at, b.Floor, b.Head, strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
				}
			})
		}
	}
}

// rows reads all of a history in pages.
func rows(t testing.TB, n *Node, m *model, at uint64, reverse bool, limit int) (got []string) {
	t.Helper()
	newest := map[uint64]uint64{} // message → its newest row
	for _, e := range m.entries[:at] {
		if e.Kind.Row() {
			newest[e.Message] = e.Serial
		}
	}
	q := HistoryQuery{Ref: ref, AsOf: at, Reverse: reverse, Limit: limit}
	for more := true; more; {
		h, err := n.History(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range h.Rows {
			got = append(got, rowLine(row.Entry, &row.State, newest[row.State.Message()] == row.Entry.Serial))
		}
		if more = h.More; more && reverse {
			q.To = h.Rows[len(h.Rows)-1].Entry.Serial - 1
		} else if more {
			q.From = h.Rows[len(h.Rows)-1].Entry.Serial + 1
		}
	}
	if reverse {
		slices.Reverse(got)
	}
	return got
}
