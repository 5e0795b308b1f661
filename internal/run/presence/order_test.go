package presence_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
)

// conns are the connections of a user, as the log says.
func (w *world) conns(user string) (ids []string) {
	w.t.Helper()
	page, err := w.store.Read(w.t.Context(), stream.Query{Ref: room, Key: user, State: true})
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := corepresence.Continue(page.State, page.Entries)
	if err != nil || !s.Here {
		return nil
	}
	m, err := s.Member()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range m.Conns {
		ids = append(ids, c.ID)
	}
	return ids
}

// A join that has to be tried again, since somebody else wrote the user first, stays before the leave that came after it.
func TestRetriedJoinStaysBeforeItsLeave(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.client("a").enter("ann", "")
		w.slow = 10 * time.Millisecond
		w.client("z").ask("zed", "") // while it is written, the others gather
		pass(time.Millisecond)
		other := corepresence.Member{User: "ann", Conns: []corepresence.Conn{{ID: "a", Node: "n1", Boot: "boot1"}, {ID: "far", Node: "n2", Boot: "x"}}}
		done := make(chan error)
		go func() {
			_, err := w.store.Append(context.WithoutCancel(w.t.Context()), []stream.Op{{Ref: room, Entry: stream.Entry{Kind: stream.Put, Key: "ann", Data: other.Data(),
				Member: &stream.Member{User: "ann", Conn: "far", Cause: corepresence.Join}}}})
			done <- err
		}()
		w.client("b").ask("ann", "")
		w.client("b").exit(0, corepresence.Disconnect)
		if err := <-done; err != nil {
			w.t.Fatal(err)
		}
		pass(time.Second)
		if got := w.conns("ann"); !slices.Equal(got, []string{"a", "far"}) {
			w.t.Fatalf("ann has %q: %q", got, w.lines())
		}
	})
}

// blind is a store that cannot be read now and then.
type blind struct {
	*memory.Store
	now bool
}

func (b *blind) Read(ctx context.Context, q stream.Query) (stream.Page, error) {
	if b.now {
		return stream.Page{}, errors.New("the disk does not answer")
	}
	return b.Store.Read(ctx, q)
}

// A leave that had to be tried again takes nobody out who has entered again meanwhile.
func TestRetriedLeaveIsOverByAnotherJoin(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.reg.Close()
		b := &blind{Store: w.store}
		w.log = b
		w.start()
		a := w.client("a")
		a.enter("ann", "")
		if _, err := w.reg.Reset(w.t.Context(), room); err != nil { // what is known of ann has to be read anew
			w.t.Fatal(err)
		}
		b.now = true
		a.exit(0, corepresence.Disconnect)
		b.now = false
		pass(100 * time.Millisecond)
		if in := a.enter("ann", ""); in.Err != nil {
			w.t.Fatal(in.Err)
		}
		pass(time.Minute)
		if got := w.conns("ann"); !slices.Equal(got, []string{"a"}) {
			w.t.Fatalf("ann has %q: %q", got, w.lines())
		}
		a.exit(0, corepresence.Disconnect)
		if got := w.conns("ann"); got != nil {
			w.t.Fatalf("ann has %q: %q", got, w.lines())
		}
	})
}

// Who follows the log hears of everybody whom a reset wrote into it: the list may have been read before.
func TestResetTellsWhoIsThere(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.client("a").enter("ann", "1")
		w.client("b").enter("bob", "")
		res, err := w.reg.Reset(w.t.Context(), room)
		if err != nil {
			w.t.Fatal(err)
		}
		page, err := w.store.Read(w.t.Context(), stream.Query{Ref: room, From: res.After.Base + 1, Limit: 10})
		if err != nil || len(page.Entries) != 2 {
			w.t.Fatal(len(page.Entries), err)
		}
		for _, e := range page.Entries {
			if corepresence.IsQuiet(e) || corepresence.ChangeOf(e) != corepresence.Added {
				w.t.Errorf("%+v", e)
			}
		}
	})
}

// A number of members is that after its own transition: who reads it counts the later ones of the same append on.
func TestANumberIsOfItsMoment(t *testing.T) {
	bubble(t, func(a *app.App) { a.Policies[0].Presence.BroadcastLimit = 2 }, func(w *world) {
		w.slow = time.Second
		a := w.client("a")
		a.ask("ann", "1")
		w.client("b").ask("bob", "1")
		pass(time.Minute)
		a.update("ann", "2") // under way, while what follows gathers
		w.client("c").ask("cid", "")
		a.exit(0, corepresence.Disconnect)
		pass(time.Minute)
		page, err := w.store.Read(w.t.Context(), stream.Query{Ref: room, From: 4, Limit: 10})
		if err != nil || len(page.Entries) != 2 {
			w.t.Fatal(w.lines(), err)
		}
		came, left := page.Entries[0], page.Entries[1]
		if !corepresence.IsQuiet(came) || corepresence.NoteOf(came).Count != 3 || corepresence.IsQuiet(left) {
			w.t.Errorf("%+v then %+v", came, left)
		}
	})
}

// What was told beside the log is told in the log as what it is to those who know the log alone.
func TestTheLogSaysWhatItMissed(t *testing.T) {
	bubble(t, nil, func(w *world) {
		a := w.client("a")
		a.enter("ann", "1")
		w.client("b").enter("bob", "1")
		err := errors.New("the disk is away")
		w.fail.Store(&err)
		a.update("ann", "2") // in memory
		w.client("b").exit(0, corepresence.Disconnect)
		w.client("c").ask("cid", "1")
		w.client("c").exit(0, corepresence.Disconnect)
		w.fail.Store(nil)
		w.client("a2").ask("ann", "2") // changes nothing of what is in memory
		w.client("b2").ask("bob", "1") // back before the log knew
		pass(time.Minute)
		w.wantLog("1 member_added ann join", "2 member_added bob join", "3 member_updated ann join", "4 none bob join")
		if got := w.users(); !slices.Equal(got, []string{"ann", "bob"}) {
			w.t.Fatal(got)
		}
		if n, err := w.reg.Count(w.t.Context(), room.App, room.Channel); n != 2 || err != nil {
			w.t.Fatal(n, err)
		}
	})
}

// behind writes a user into the log as this node would have, when what became of its own write is not known.
func (w *world) behind(e stream.Entry) {
	w.t.Helper()
	e.Set = stream.FieldData
	res, err := w.store.Append(w.t.Context(), []stream.Op{{Ref: room, Entry: e}})
	if err = errors.Join(err, res[0].Err); err != nil {
		w.t.Fatal(err)
	}
}

// away fails every write until the function that it returns is called.
func (w *world) away() (back func()) {
	err := errors.New("the disk is full")
	w.fail.Store(&err)
	return func() { w.fail.Store(nil) }
}

// A list that is cut, and a number of members, are exact when a departure was written of which the node does not know.
func TestCutListWithUnknownWrites(t *testing.T) {
	bubble(t, func(a *app.App) { a.Policies[0].Presence.ListLimit = 2 }, func(w *world) {
		a := w.client("a")
		a.enter("ann", "")
		w.client("b").enter("bob", "")
		w.client("c").enter("cid", "")
		back := w.away()
		a.exit(0, corepresence.Disconnect)
		back()
		w.behind(stream.Entry{Kind: stream.Delete, Key: "ann", User: "ann", Data: corepresence.Member{}.Data(),
			Member: &stream.Member{User: "ann", Cause: corepresence.Disconnect}})
		in := w.client("d").enter("dan", "")
		if in.Err != nil || in.Count != 3 || !slices.Equal(names(in.Members), []string{"bob", "cid"}) {
			w.t.Fatalf("%d members, of which %q: %v", in.Count, names(in.Members), in.Err)
		}
		if got := w.users(); !slices.Equal(got, []string{"bob", "cid", "dan"}) {
			w.t.Fatal(got)
		}
	})
}

// What a join is answered with has the joining user, when the write of which nothing was known turned out to be there.
func TestListAfterUnknownJoin(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.client("a").enter("ann", "")
		back := w.away()
		w.client("b").enter("bob", "")
		back()
		m := corepresence.Member{User: "bob", Conns: []corepresence.Conn{{ID: "b", Node: "n1", Boot: "boot1"}}}
		w.behind(stream.Entry{Kind: stream.Put, Key: "bob", User: "bob", Data: m.Data(),
			Member: &stream.Member{User: "bob", Conn: "b", Cause: corepresence.Join}})
		pass(time.Minute)
		w.wantLog("1 member_added ann join", "2 member_added bob join")
		again := &client{w: w, id: "b"} // a session that took over: there is nothing to write
		if in := again.enter("bob", ""); in.Err != nil || in.Count != 2 || !slices.Equal(names(in.Members), []string{"ann", "bob"}) {
			w.t.Fatalf("%d members, of which %q: %v", in.Count, names(in.Members), in.Err)
		}
	})
}
