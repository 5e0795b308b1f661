package presence_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/presence"
)

func TestAfterACrash(t *testing.T) {
	bubble(t, nil, func(w *world) {
		a, b := w.client("a"), w.client("b")
		a.enter("ann", "")
		b.enter("bob", "")
		w.client("a'").enter("ann", "")
		pass(time.Second)
		w.reg.SignOfLife(w.t.Context())
		seen := now()
		pass(time.Minute)
		w.crash()
		if err := w.reg.Recover(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		pass(10 * time.Second)
		w.client("b2").enter("bob", "")
		if got := w.users(); len(got) != 2 {
			w.t.Fatal(got)
		}
		w.crash() // in the middle of the grace time, which begins anew
		if err := w.reg.Recover(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.client("b3").enter("bob", "")
		pass(time.Hour)
		w.wantLog("1 member_added ann join", "2 member_added bob join", "3 none ann join", "4 none bob join", "5 none bob join",
			"6 member_removed ann orphan_cleanup")
		page, _ := w.store.Read(w.t.Context(), stream.Query{Ref: room, From: 6, Limit: 1})
		if n := corepresence.NoteOf(page.Entries[0]); n.ObservedAt != seen || page.Entries[0].Member.Boot != "boot1" {
			w.t.Fatalf("%+v %+v, last seen %d", n, page.Entries[0].Member, seen)
		}
		recs, err := w.store.List(w.t.Context(), "presence", "", 10)
		if err != nil || len(recs) != 1 || recs[0].Key != "n1/app/presence-room" {
			w.t.Fatalf("%+v %v", recs, err)
		}
		w.reg.Exit(w.client("b3"), session.Exit{Ref: room})
		pass(time.Second)
		w.reg.Sweep()
		pass(time.Second)
		if recs, _ := w.store.List(w.t.Context(), "presence", "", 10); len(recs) != 0 {
			w.t.Fatalf("nobody is there, and the next run would look: %+v", recs)
		}
	})
}

// Whoever else resets the log takes the members with it: those of this node are written again.
func TestLogBegunAnewByOthers(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.client("a").enter("ann", "1")
		w.client("b").enter("bob", "")
		if _, err := w.store.Cut(w.t.Context(), stream.Cut{Ref: room, Kind: stream.Reset}); err != nil {
			w.t.Fatal(err)
		}
		w.client("c").enter("cid", "")
		pass(2 * time.Second)
		if got := w.users(); !slices.Equal(got, []string{"ann", "bob", "cid"}) {
			w.t.Fatal(got)
		}
		w.client("a").exit(0, corepresence.Disconnect)
		if got := w.users(); !slices.Equal(got, []string{"bob", "cid"}) {
			w.t.Fatal(got)
		}
		if w.reg.Stats() != (presence.Stats{Channels: 1, Members: 2}) {
			w.t.Fatalf("%+v", w.reg.Stats())
		}
	})
}

// A reset that cannot write the members back loses none: they are written when that is possible again.
func TestResetThatFailsHalfway(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.client("a").enter("ann", "1")
		w.client("b").enter("bob", "")
		var err error = fault.New(fault.Unavailable, "the disk is away")
		w.fail.Store(&err)
		if _, err := w.reg.Reset(w.t.Context(), room); fault.KindOf(err) != fault.Unavailable {
			w.t.Fatal(err)
		}
		w.fail.Store(nil)
		pass(2 * time.Second)
		if got := w.users(); !slices.Equal(got, []string{"ann", "bob"}) {
			w.t.Fatal(got)
		}
		w.client("a").exit(0, corepresence.Disconnect)
		if got := w.users(); !slices.Equal(got, []string{"bob"}) {
			w.t.Fatal(got)
		}
	})
}

// moody are records that fail a few times.
type moody struct {
	*memory.Store
	fails int
}

func (m *moody) Get(ctx context.Context, space, key string) (record.Record, error) {
	if m.fails--; m.fails >= 0 {
		return record.Record{}, errors.New("the disk does not answer")
	}
	return m.Store.Get(ctx, space, key)
}

// Members of an earlier run are looked for until that succeeds.
func TestRecoverTriesAgain(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.client("a").enter("ann", "")
		w.reg.Close()
		w.log = &moody{w.store, 3}
		w.start()
		if err := w.reg.Recover(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		pass(time.Minute)
		w.wantLog("1 member_added ann join", "2 member_removed ann orphan_cleanup")
		w.crash()
		w.log.(*moody).fails = 3
		ctx, cancel := context.WithCancel(w.t.Context())
		cancel()
		if err := w.reg.Recover(ctx); !errors.Is(err, context.Canceled) {
			w.t.Fatal(err)
		}
	})
}
