package message_test

import (
	"errors"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func TestApply(t *testing.T) {
	create := stream.Entry{Kind: stream.Create, Event: "chat", Data: text("hel"), Tags: []byte(`{"a":"b"}`),
		Extras: []byte(`{"headers":{"x":1}}`), User: "ann", Conn: "1.1"}
	put := stream.Entry{Kind: stream.Put, Key: "k", Event: "price", Data: json(`1`), User: "ann"}
	// Each script is appended through the committer; want is what the last entry leaves.
	tests := []struct {
		name   string
		script []stream.Entry
		want   message.State
	}{
		{"create", []stream.Entry{create}, message.State{Version: 1,
			Edit:    message.Edit{Kind: stream.Create},
			Content: message.Content{Event: "chat", Data: text("hel"), Tags: create.Tags, Extras: create.Extras}}},
		{"append keeps name, tags and extras", []stream.Entry{create, {Kind: stream.Append, Message: 1, Data: text("lo")}},
			message.State{Version: 2, Edit: message.Edit{Kind: stream.Append},
				Content: message.Content{Event: "chat", Data: text("hello"), Tags: create.Tags, Extras: create.Extras}}},
		{"append may replace extras alone", []stream.Entry{create, {Kind: stream.Append, Message: 1, Data: text("lo"),
			Set: stream.FieldExtras | stream.FieldName, Clear: stream.FieldData, Extras: []byte(`{}`), Event: "no"}},
			message.State{Version: 2, Edit: message.Edit{Kind: stream.Append},
				Content: message.Content{Event: "chat", Data: text("hello"), Tags: create.Tags, Extras: []byte(`{}`)}}},
		{"update replaces what it sets", []stream.Entry{create, {Kind: stream.Update, Message: 1, Set: stream.FieldData | stream.FieldName,
			Data: json(`{}`), Event: "edited", Extras: []byte(`{"ignored":1}`), Note: &stream.Note{Description: "typo"}}},
			message.State{Version: 2, Edit: message.Edit{Kind: stream.Update, Note: &stream.Note{Description: "typo"}},
				Content: message.Content{Event: "edited", Data: json(`{}`), Tags: create.Tags, Extras: create.Extras}}},
		{"update clears", []stream.Entry{create, {Kind: stream.Update, Message: 1, Clear: stream.FieldName | stream.FieldData | stream.FieldExtras}},
			message.State{Version: 2, Edit: message.Edit{Kind: stream.Update}, Content: message.Content{Tags: create.Tags}}},
		{"a bare delete keeps data visible", []stream.Entry{create, {Kind: stream.Delete, Message: 1}},
			message.State{Version: 2, Edit: message.Edit{Kind: stream.Delete},
				Content: message.Content{Event: "chat", Data: text("hel"), Tags: create.Tags, Extras: create.Extras}}},
		{"a delete that clears blanks", []stream.Entry{create, {Kind: stream.Delete, Message: 1, Clear: stream.FieldData}},
			message.State{Version: 2, Edit: message.Edit{Kind: stream.Delete},
				Content: message.Content{Event: "chat", Tags: create.Tags, Extras: create.Extras}}},
		{"a put supersedes everything", []stream.Entry{put, {Kind: stream.Append, Key: "other"}, {Kind: stream.Update, Key: "k",
			Set: stream.FieldExtras, Extras: []byte(`{"e":1}`), Note: &stream.Note{Description: "x"}}, {Kind: stream.Put, Key: "k", Event: "p2"}},
			message.State{Version: 3, Key: "k", Edit: message.Edit{Kind: stream.Put}, Content: message.Content{Event: "p2"}}},
		{"a put after a delete begins anew", []stream.Entry{put, {Kind: stream.Delete, Key: "k"}, {Kind: stream.Put, Key: "k", Data: text("")}},
			message.State{Version: 1, Key: "k", Edit: message.Edit{Kind: stream.Put}, Content: message.Content{Data: text("")}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, true)
			var got message.State
			for _, e := range test.script {
				if a, _ := w.append(e); a != nil {
					if err := got.Apply(a); err != nil {
						t.Fatal(err)
					}
				}
			}
			want := test.want
			want.Begun, want.Row, want.Edit.Stamp, want.Last = got.Begun, got.Row, got.Edit.Stamp, got.Last
			equal(t, "state", &got, &want)
		})
	}
}

// Who did what, and when: the message's beginning, its row and its newest version are three things.
func TestStamps(t *testing.T) {
	w := newWorld(t, true)
	w.must(stream.Entry{Kind: stream.Create})
	log := []*stream.Entry{
		w.must(stream.Entry{Kind: stream.Put, Key: "k", User: "ann", Conn: "1.1", Frame: "mine"}),
		w.must(stream.Entry{Kind: stream.Put, Key: "k", User: "bob", Conn: "2.2"}),
		w.must(stream.Entry{Kind: stream.Update, Message: 2, Set: stream.FieldName, User: "cy", Conn: "3.3"}),
		w.must(stream.Entry{Kind: stream.Annotate, Key: "k", User: "dee", Annot: &stream.Annotation{Type: "r:distinct.v1", Name: "like"}}),
	}
	s, err := message.Continue(nil, log)
	if err != nil {
		t.Fatal(err)
	}
	ann, bob, cy := message.Stamp{Serial: 2, Time: log[0].Time, User: "ann", Conn: "1.1"},
		message.Stamp{Serial: 3, Time: log[1].Time, User: "bob", Conn: "2.2"},
		message.Stamp{Serial: 4, Time: log[2].Time, User: "cy", Conn: "3.3"}
	if s.Begun != ann || s.Row != bob || s.Edit.Stamp != cy || s.Last != 5 || s.Message() != 2 || s.Version != 3 {
		t.Errorf("got %+v", s)
	}
	if !s.KnowsBegin() || s.Published() != log[0].Time || s.ID() != log[2].ID() || s.FrameID("id") != log[2].FrameID("id") {
		t.Errorf("published %d, id %v, frame %s", s.Published(), s.ID(), s.FrameID("id"))
	}
	first, _ := message.Continue(nil, log[:1])
	if first.FrameID("id") != "mine" {
		t.Errorf("frame id %q, want the caller's own", first.FrameID("id"))
	}
	late, err := message.Continue(nil, log[1:])
	if err != nil {
		t.Fatal(err)
	}
	if late.KnowsBegin() || late.Message() != 2 || late.Version != 3 || late.Begun.User != "" || late.Published() != log[1].Time {
		t.Errorf("without its first put: %+v", late)
	}
}

func TestApplyRefusesGaps(t *testing.T) {
	w := newWorld(t, true)
	create := w.must(stream.Entry{Kind: stream.Create, Data: text("a")})
	one := w.must(stream.Entry{Kind: stream.Append, Message: 1, Data: text("b")})
	two := w.must(stream.Entry{Kind: stream.Append, Message: 1, Data: text("c")})
	annotated := w.must(stream.Entry{Kind: stream.Annotate, Message: 1, Annot: &stream.Annotation{Type: "r:distinct.v1", Name: "x"}})
	gone := w.must(stream.Entry{Kind: stream.Delete, Message: 1})
	put := w.must(stream.Entry{Kind: stream.Put, Key: "k"})
	put2 := w.must(stream.Entry{Kind: stream.Put, Key: "k"})
	put3 := w.must(stream.Entry{Kind: stream.Put, Key: "k"})
	other := w.must(stream.Entry{Kind: stream.Put, Key: "j"})
	revived := *gone
	revived.Serial, revived.Kind, revived.Version = 20, stream.Update, 5
	notText := *one
	notText.Data = json(`"b"`)
	strange := *one
	strange.Kind = 99
	tests := []struct {
		name   string
		before []*stream.Entry
		next   *stream.Entry
		other  bool // the error is not a gap
	}{
		{"twice", []*stream.Entry{create, one}, one, false},
		{"older", []*stream.Entry{create, one, two}, one, false},
		{"a fragment is missing", []*stream.Entry{create}, two, false},
		{"an annotation before its version", []*stream.Entry{create, one}, annotated, false},
		{"a second create", []*stream.Entry{create}, &stream.Entry{Serial: 30, Message: 30, Kind: stream.Create, Version: 1}, false},
		{"after the delete", []*stream.Entry{create, one, two, gone}, &revived, false},
		{"a put is missing", []*stream.Entry{put}, put3, false},
		{"another key", []*stream.Entry{put}, other, false},
		{"another message", []*stream.Entry{create}, put2, false},
		{"append to a text of what is none", []*stream.Entry{create}, &notText, false},
		{"unknown kind", []*stream.Entry{create}, &strange, true},
		{"unknown kind at first", nil, &strange, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := message.Continue(nil, test.before)
			if err != nil {
				t.Fatal(err)
			}
			before := s
			err = s.Apply(test.next)
			if err == nil || errors.Is(err, message.ErrGap) == test.other {
				t.Errorf("error %v", err)
			}
			equal(t, "after the error", &s, &before)
			if _, _, err := message.Fold(before.Encode(nil), test.next); err == nil {
				t.Error("Fold accepts what Apply refuses")
			}
		})
	}
}

func TestFoldOfNothing(t *testing.T) {
	for _, kind := range []stream.Kind{stream.Update, stream.Append, stream.Delete, stream.Annotate, stream.Unannotate} {
		e := &stream.Entry{Serial: 9, Message: 3, Version: 4, Kind: kind, Data: text("x"), Annot: &stream.Annotation{}}
		if next, live, err := message.Fold(nil, e); next != nil || live || err != nil {
			t.Errorf("%v of an ended message gives %x, %v, %v", kind, next, live, err)
		}
	}
	if _, _, err := message.Fold([]byte{9}, &stream.Entry{}); !errors.Is(err, stream.ErrCorrupt) {
		t.Errorf("a row of an unknown version: %v", err)
	}
}

// Copies of a state may go different ways, though they share the bytes of their text.
func TestCopiesDiverge(t *testing.T) {
	w := newWorld(t, true)
	w.must(stream.Entry{Kind: stream.Create, Data: text("a")})
	w.must(stream.Entry{Kind: stream.Append, Message: 1, Data: text("b")})
	s, err := message.Continue(nil, w.log)
	if err != nil {
		t.Fatal(err)
	}
	fragment := func(f string) *stream.Entry {
		return &stream.Entry{Serial: 3, Message: 1, Version: 3, Kind: stream.Append, Data: text(f)}
	}
	left, right, clone, stay := s, s, s.Clone(), s
	for i, c := range []*message.State{&left, &right, &clone} {
		if err := c.Apply(fragment([]string{"L", "RR", "C"}[i])); err != nil {
			t.Fatal(err)
		}
	}
	for want, c := range map[string]*message.State{"abL": &left, "abRR": &right, "abC": &clone, "ab": &stay} {
		if got := string(c.Data.Bytes); got != want {
			t.Errorf("text %q, want %q", got, want)
		}
		if cap(c.Data.Bytes) != len(c.Data.Bytes) {
			t.Errorf("%q can be appended to behind the fold's back", want)
		}
	}
}

func TestAnnotations(t *testing.T) {
	w := newWorld(t, true)
	w.must(stream.Entry{Kind: stream.Put, Key: "k"})
	react := func(kind stream.Kind, typ, name, user string) {
		w.must(stream.Entry{Kind: kind, Key: "k", User: user, Annot: &stream.Annotation{Type: typ, Name: name, Count: 1}})
	}
	const r = "reactions:distinct.v1"
	react(stream.Annotate, r, "like", "bob")
	react(stream.Annotate, r, "like", "ann")
	react(stream.Annotate, r, "like", "ann")
	react(stream.Annotate, r, "boo", "ann")
	react(stream.Annotate, r, "wow", "cy")
	react(stream.Unannotate, r, "wow", "cy")
	react(stream.Unannotate, r, "wow", "cy")
	react(stream.Annotate, "a:distinct.v1", "x", "bob")
	react(stream.Annotate, "views:total.v1", "", "")
	w.must(stream.Entry{Kind: stream.Put, Key: "k"})
	s, err := message.Continue(nil, w.log)
	if err != nil {
		t.Fatal(err)
	}
	got := s.Annotations.Of(r)
	if len(s.Annotations) != 2 || len(got) != 2 || got[0].Name != "boo" || got[1].Name != "like" || len(got[1].Users) != 2 ||
		got[1].Users[0] != "ann" || s.Annotations.Of("views:total.v1") != nil || s.Version != 2 {
		t.Errorf("a put carries %+v at version %d", s.Annotations, s.Version)
	}
	react(stream.Unannotate, "a:distinct.v1", "x", "bob")
	if err := s.Apply(w.log[len(w.log)-1]); err != nil || len(s.Annotations) != 1 {
		t.Errorf("after the last of a type went: %+v, %v", s.Annotations, err)
	}
}
