package message_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func serials(entries []*stream.Entry) []uint64 {
	var s []uint64
	for _, e := range entries {
		s = append(s, e.Serial)
	}
	return s
}

func TestConflate(t *testing.T) {
	put := func(key string) stream.Entry { return stream.Entry{Kind: stream.Put, Key: key, Data: text("v")} }
	update := func(key string) stream.Entry {
		return stream.Entry{Kind: stream.Update, Key: key, Set: stream.FieldName, Event: "e"}
	}
	by := func(conn string, e stream.Entry) stream.Entry { e.Conn, e.NoEcho = conn, true; return e }
	react := stream.Entry{Kind: stream.Annotate, Key: "a", User: "u", Annot: &stream.Annotation{Type: "r:distinct.v1", Name: "x"}}
	tests := []struct {
		name string
		log  []stream.Entry
		want []uint64
	}{
		{"empty", nil, nil},
		{"the newest of each key, in order", []stream.Entry{put("a"), put("b"), put("a"), put("c"), update("b")}, []uint64{3, 4, 5}},
		{"without a key all stay", []stream.Entry{{Kind: stream.Create, Data: text("x")}, {Kind: stream.Append, Message: 1, Data: text("y")},
			{Kind: stream.Append, Message: 1, Data: text("z")}}, []uint64{1, 2, 3}},
		{"a delete stands alone", []stream.Entry{put("a"), update("a"), {Kind: stream.Delete, Key: "a"}}, []uint64{3}},
		{"a new message after it stands for it", []stream.Entry{put("a"), {Kind: stream.Delete, Key: "a"}, put("a")}, []uint64{3}},
		{"versions and annotations apart", []stream.Entry{put("a"), react, update("a"), react}, []uint64{3, 4}},
		{"hidden from its publisher, who missed what was before", []stream.Entry{put("a"), by("1.1", update("a"))}, []uint64{1, 2}},
		{"hidden from the same session", []stream.Entry{by("1.1", put("a")), by("1.1", update("a"))}, []uint64{2}},
		{"hidden from another session", []stream.Entry{by("2.2", put("a")), by("1.1", update("a"))}, []uint64{1, 2}},
		{"a put is all there is to say", []stream.Entry{put("a"), by("1.1", put("a"))}, []uint64{2}},
		{"two hidden, then one for all", []stream.Entry{put("a"), by("1.1", update("a")), by("2.2", update("a")), update("a")}, []uint64{4}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, true)
			for _, e := range test.log {
				w.must(e)
			}
			if got := serials(message.Conflate(w.log)); !slices.Equal(got, test.want) {
				t.Errorf("kept %v, want %v", got, test.want)
			}
		})
	}
}

func TestCollapseAppends(t *testing.T) {
	w := newWorld(t, true)
	add := func(message uint64, conn string) {
		w.must(stream.Entry{Kind: stream.Append, Message: message, Data: text("x"), Conn: conn, NoEcho: conn != ""})
	}
	w.must(stream.Entry{Kind: stream.Create, Data: text("a")}) // 1
	w.must(stream.Entry{Kind: stream.Create, Data: text("b")}) // 2
	add(1, "")                                                 // 3
	add(2, "")
	add(1, "")
	add(2, "") // 6: the last of message 2
	w.must(stream.Entry{Kind: stream.Annotate, Message: 1, User: "u", Annot: &stream.Annotation{Type: "r:distinct.v1", Name: "x"}})
	add(1, "")                                                                   // 8: the last before the update
	w.must(stream.Entry{Kind: stream.Update, Message: 1, Set: stream.FieldName}) // 9
	add(1, "")                                                                   // 10: 1.1 has not seen it
	add(1, "1.1")                                                                // 11
	add(1, "1.1")                                                                // 12
	page := slices.Clone(w.log)
	if got, want := serials(message.CollapseAppends(w.log)), []uint64{1, 2, 6, 7, 8, 9, 10, 12}; !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
	if !slices.Equal(page, w.log) {
		t.Error("the page was changed")
	}
	if whole := message.CollapseAppends(w.log[:4]); &whole[0] != &w.log[0] {
		t.Error("a page where everything stays was copied")
	}
}

// viewer is a follower that keeps what it was shown: of each subject the newest folded message, as its session sees it.
type viewer map[stream.Subject]string

func (v viewer) see(e *stream.Entry, s *message.State, conn string) {
	if hidden := e.NoEcho && e.Conn == conn; !hidden || e.Kind == stream.Put || e.Kind == stream.Delete {
		shown := fmt.Sprintf("%d v%d %s %q %s deleted=%v", s.Message(), s.Version, s.Event, s.Data.Bytes, s.Extras, s.Deleted())
		if !e.Kind.Row() && !e.Kind.Mutation() {
			v["annotations "+subject(e)] = fmt.Sprint(s.Annotations)
			return
		}
		v[subject(e)] = shown
	}
}

// Whoever is shown folded messages, one for each entry that stays, ends where those end who see all of them.
func TestSelectionsEndAlike(t *testing.T) {
	selections := map[string]func([]*stream.Entry) []*stream.Entry{"conflate": message.Conflate, "collapse": message.CollapseAppends}
	for name, selected := range selections {
		t.Run(name, func(t *testing.T) {
			forSeeds(t, func(t *testing.T, r *rand.Rand) {
				w := newWorld(t, true)
				for range steps {
					w.append(randomEntry(r, w.meta.Head))
				}
				from := r.IntN(len(w.log))
				page := w.log[from:]
				before := func(e *stream.Entry) (message.State, error) {
					return message.Continue(nil, bySubject(w.log[:from])[subject(e)])
				}
				shown := selected(page)
				for _, conn := range []string{"", "c0", "c1", "c2"} {
					got, want := play(t, page, shown, before, conn), play(t, page, page, before, conn)
					if len(got) != len(want) {
						t.Fatalf("%d subjects, want %d", len(got), len(want))
					}
					for sub := range want {
						if got[sub] != want[sub] {
							t.Fatalf("session %q, %q: shown %s\nwant %s", conn, sub, got[sub], want[sub])
						}
					}
				}
			})
		})
	}
}

func play(t *testing.T, page, shown []*stream.Entry, before func(*stream.Entry) (message.State, error), conn string) viewer {
	t.Helper()
	states, err := message.Folded(page, shown, before)
	if err != nil || len(states) != len(shown) {
		t.Fatalf("%d states for %d entries: %v", len(states), len(shown), err)
	}
	v := make(viewer)
	for i, e := range shown {
		if states[i].Last != e.Serial {
			t.Fatalf("the state shown at %d is that of %d", e.Serial, states[i].Last)
		}
		v.see(e, &states[i], conn)
	}
	return v
}

func TestFoldedWithoutBefore(t *testing.T) {
	log := keyed(t)
	states, err := message.Folded(log[3:], log[3:], nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, false, true, true, true} {
		if states[i].Exists() != want {
			t.Errorf("entry %d: %+v", log[3+i].Serial, states[i])
		}
	}
	lost := errors.New("lost")
	if _, err := message.Folded(log[3:], log[3:], func(*stream.Entry) (message.State, error) { return message.State{}, lost }); !errors.Is(err, lost) {
		t.Errorf("error of before: %v", err)
	}
	if _, err := message.Folded([]*stream.Entry{log[0], log[4]}, log[4:5], nil); !errors.Is(err, message.ErrGap) {
		t.Errorf("with entries missing: %v", err)
	}
}
