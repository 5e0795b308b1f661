package message_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

const (
	seeds = 150
	steps = 160
)

// model is the fold written a second time, in the plainest way: maps and strings, no sharing, no stored form.
type model struct {
	message, row, edit uint64
	version            uint32
	deleted            bool
	kind               stream.DataType
	data, event        string
	extras, tags       string
	creator, author    string
	editor, note       string
	reactions          map[string]bool // type/name/user
}

func (m *model) apply(e *stream.Entry) {
	set := func(f stream.Fields) bool { return e.Set&f != 0 }
	clears := func(f stream.Fields) bool { return e.Clear&f != 0 }
	switch e.Kind {
	case stream.Create, stream.Put:
		old := *m
		*m = model{message: e.Serial, row: e.Serial, version: 1, kind: e.Data.Type, data: string(e.Data.Bytes), event: e.Event,
			extras: string(e.Extras), tags: string(e.Tags), creator: e.User, author: e.User, reactions: map[string]bool{}}
		if e.Message != e.Serial {
			m.message, m.version, m.creator, m.reactions = old.message, old.version+1, old.creator, old.reactions
		}
	case stream.Append:
		m.data += string(e.Data.Bytes)
		m.version++
	case stream.Update, stream.Delete:
		m.version++
		m.deleted = e.Kind == stream.Delete
		if set(stream.FieldName) {
			m.event = e.Event
		}
		if clears(stream.FieldName) {
			m.event = ""
		}
		if set(stream.FieldData) {
			m.kind, m.data = e.Data.Type, string(e.Data.Bytes)
		}
		if clears(stream.FieldData) {
			m.kind, m.data = stream.NoData, ""
		}
	case stream.Annotate, stream.Unannotate:
		if id := e.Annot.Type + "/" + e.Annot.Name + "/" + e.User; e.Annot.Type == "views:total.v1" {
		} else if e.Kind == stream.Annotate {
			m.reactions[id] = true
		} else {
			delete(m.reactions, id)
		}
		return
	}
	if e.Kind.Mutation() && set(stream.FieldExtras) {
		m.extras = string(e.Extras)
	}
	if e.Kind.Mutation() && clears(stream.FieldExtras) {
		m.extras = ""
	}
	m.edit, m.editor, m.note = e.Serial, e.User, ""
	if e.Note != nil {
		m.note = e.Note.Description + string(e.Note.Metadata)
	}
}

func (m *model) compare(t *testing.T, s *message.State) {
	t.Helper()
	got := model{message: s.Message(), row: s.Row.Serial, edit: s.Edit.Serial, version: s.Version, deleted: s.Deleted(),
		kind: s.Data.Type, data: string(s.Data.Bytes), event: s.Event, extras: string(s.Extras), tags: string(s.Tags),
		creator: s.Begun.User, author: s.Row.User, editor: s.Edit.User}
	if n := s.Edit.Note; n != nil {
		got.note = n.Description + string(n.Metadata)
	}
	var list []string
	for _, sum := range s.Annotations {
		for _, r := range sum.Names {
			for _, u := range r.Users {
				list = append(list, sum.Type+"/"+r.Name+"/"+u)
			}
		}
	}
	if g, w := fmt.Sprintf("%+v %q", got, list), fmt.Sprintf("%+v %q", model{m.message, m.row, m.edit, m.version, m.deleted,
		m.kind, m.data, m.event, m.extras, m.tags, m.creator, m.author, m.editor, m.note, nil},
		slices.Sorted(maps.Keys(m.reactions))); g != w {
		t.Fatalf("fold %s\nmodel %s", g, w)
	}
}

func forSeeds(t *testing.T, f func(t *testing.T, r *rand.Rand)) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { f(t, rand.New(rand.NewPCG(seed, 5))) })
	}
}

// Every state agrees with the header by which the committer decides, and with the model; states given out before stay
// what they were; the entries are not changed.
func TestFoldAgreesWithCommitter(t *testing.T) {
	forSeeds(t, func(t *testing.T, r *rand.Rand) {
		w := newWorld(t, true)
		states := make(map[stream.Subject]*message.State)
		models := make(map[stream.Subject]*model)
		var given []message.State
		var rows [][]byte
		for range steps {
			e, h := w.append(randomEntry(r, w.meta.Head))
			if e == nil {
				continue
			}
			before := stream.AppendEntry(nil, e)
			sub := subject(e)
			if states[sub] == nil {
				states[sub], models[sub] = &message.State{}, &model{}
			}
			s := states[sub]
			if err := s.Apply(e); err != nil {
				t.Fatal(err)
			}
			models[sub].apply(e)
			agree(t, s, h)
			models[sub].compare(t, s)
			if !bytes.Equal(before, stream.AppendEntry(nil, e)) {
				t.Fatal("the fold changed an entry")
			}
			given, rows = append(given, *s), append(rows, s.Encode(nil))
		}
		for i := range given {
			if !bytes.Equal(given[i].Encode(nil), rows[i]) {
				t.Fatalf("a state given out at %d changed afterwards", given[i].Last)
			}
		}
	})
}

// However the entries of a message are split, and wherever the state is stored in between, the fold is the same.
func TestFoldAnySplit(t *testing.T) {
	forSeeds(t, func(t *testing.T, r *rand.Rand) {
		w := newWorld(t, true)
		for range steps {
			w.append(randomEntry(r, w.meta.Head))
		}
		for sub, entries := range bySubject(w.log) {
			want, err := message.Continue(nil, entries)
			if err != nil {
				t.Fatal(err)
			}
			var row []byte
			for rest := entries; len(rest) > 0; {
				n := 1 + r.IntN(len(rest))
				keep := bytes.Clone(row)
				next, live, err := message.Fold(row, rest[:n]...)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(row, keep) {
					t.Fatal("the fold changed its state")
				}
				last := rest[n-1]
				if live != (last.Kind != stream.Delete) {
					t.Fatalf("%q: live %v after %v", sub, live, last.Kind)
				}
				row, rest = next, rest[n:]
			}
			if !bytes.Equal(row, want.Encode(nil)) {
				t.Fatalf("%q: another split gives another state", sub)
			}
		}
	})
}

func bySubject(log []*stream.Entry) map[stream.Subject][]*stream.Entry {
	m := make(map[stream.Subject][]*stream.Entry)
	for _, e := range log {
		m[subject(e)] = append(m[subject(e)], e)
	}
	return m
}

// Trims at any time: with checkpoints the fold from the floor is the fold from the beginning; without, what has no row
// above the floor is gone, exactly as the committer sees it.
func TestFoldAnyFloor(t *testing.T) {
	for _, keep := range []bool{true, false} {
		t.Run(fmt.Sprint("keepLatest=", keep), func(t *testing.T) {
			forSeeds(t, func(t *testing.T, r *rand.Rand) {
				w := newWorld(t, keep)
				checkpoint := make(map[stream.Subject][]byte)
				for range steps {
					w.append(randomEntry(r, w.meta.Head))
					if r.IntN(20) != 0 || w.meta.Head == w.meta.Floor {
						continue
					}
					from := w.meta.Floor
					w.trim(from + 1 + r.Uint64N(w.meta.Head-from))
					if keep {
						foldInto(t, checkpoint, w.log[from:w.meta.Floor])
					}
				}
				above := bySubject(w.log[w.meta.Floor:])
				for sub, entries := range bySubject(w.log) {
					s, err := message.Continue(checkpoint[sub], above[sub])
					if err != nil {
						t.Fatal(err)
					}
					h, ok := w.headers[sub]
					if !ok {
						h = stream.HeaderOf(entries[0])
					}
					keyed := sub[0] == 'k'
					switch live := h.Live(keyed, w.meta.Floor, keep); {
					case live:
						agree(t, &s, h)
						if keep && keyed {
							whole(t, &s, entries)
						}
					case s.Exists():
						t.Fatalf("%q ended, but folds to %+v", sub, s)
					}
				}
			})
		})
	}
}

// foldInto does what a store does with the checkpoint when it trims: keyed messages only, live rows only.
func foldInto(t *testing.T, checkpoint map[stream.Subject][]byte, trimmed []*stream.Entry) {
	t.Helper()
	for _, e := range trimmed {
		if e.Key == "" {
			continue
		}
		sub := stream.KeySubject(e.Key)
		row, live, err := message.Fold(checkpoint[sub], e)
		if err != nil {
			t.Fatal(err)
		}
		if checkpoint[sub] = row; !live {
			delete(checkpoint, sub)
		}
	}
}

// whole compares with the fold from the very beginning.
func whole(t *testing.T, s *message.State, entries []*stream.Entry) {
	t.Helper()
	want, err := message.Continue(nil, entries)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "from a checkpoint", s, &want)
}

// A put folds behind its ancestor to what it folds to behind everything that it supersedes.
func TestFoldBehindAncestor(t *testing.T) {
	stood, began := 0, 0
	forSeeds(t, func(t *testing.T, r *rand.Rand) {
		w := newWorld(t, true)
		whole := make(map[stream.Subject][]byte)
		for range steps {
			e, h := w.append(randomEntry(r, uint64(len(w.log))))
			if e == nil {
				continue
			}
			next, _, err := message.Fold(whole[subject(e)], e)
			if err != nil {
				t.Fatal(err)
			}
			whole[subject(e)] = next
			a, ok := h.Ancestor(e)
			if !ok {
				continue
			}
			entries := []*stream.Entry{e}
			if a.Serial != 0 {
				entries, stood = []*stream.Entry{&a, e}, stood+1
			} else {
				began++
			}
			got, live, err := message.Fold(nil, entries...)
			if err != nil || !live || !bytes.Equal(got, next) {
				t.Fatalf("%v %d of message %d (live %v, %v):\n got %q\nwant %q", e.Kind, e.Serial, e.Message, live, err, got, next)
			}
		}
	})
	if stood < seeds || began < seeds {
		t.Fatalf("%d puts had an ancestor, %d began a message", stood, began)
	}
}
