package message_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// world keeps the rows of one stream in maps and lets stream.Meta.Decide decide every append, as an engine does.
type world struct {
	t       *testing.T
	rules   stream.Rules
	meta    stream.Meta
	headers map[stream.Subject]stream.Header
	log     []*stream.Entry // everything ever appended; log[i].Serial == i+1
	now     int64
}

func newWorld(t *testing.T, keepLatest bool) *world {
	return &world{t: t, rules: stream.Rules{Retention: stream.Retention{KeepLatest: keepLatest}},
		headers: make(map[stream.Subject]stream.Header), now: 1_000}
}

func (w *world) Header(s stream.Subject) (stream.Header, bool, error) {
	h, ok := w.headers[s]
	return h, ok, nil
}

func (w *world) Entry(serial uint64) (*stream.Entry, error) {
	if serial <= w.meta.Floor || serial > uint64(len(w.log)) {
		return nil, nil
	}
	return w.log[serial-1], nil
}

func (w *world) Receipt(string) (stream.Kept, bool, error) { return stream.Kept{}, false, nil }

// append returns the entry, or nil when the committer refused it.
func (w *world) append(e stream.Entry) (*stream.Entry, stream.Header) {
	w.t.Helper()
	w.now += 7
	d, err := w.meta.Decide(&stream.Op{Entry: e}, w.rules, w, w.now)
	if err != nil {
		w.t.Fatalf("decide %v: %v", e.Kind, err)
	}
	if d.Entry == nil {
		switch kind := fault.KindOf(d.Result.Err); kind {
		case fault.NotFound, fault.Conflict, fault.Invalid:
		default:
			w.t.Fatalf("%v refused with %v: %v", e.Kind, kind, d.Result.Err)
		}
		return nil, stream.Header{}
	}
	h := stream.HeaderOf(d.Entry)
	if d.Subject != "" {
		h = d.Header
		w.headers[d.Subject] = h
	}
	if d.Alias {
		w.headers[stream.MessageSubject(d.Entry.Serial)] = stream.Header{Alias: d.Entry.Key}
	}
	w.log = append(w.log, d.Entry)
	return d.Entry, h
}

// must is append for entries that cannot be refused.
func (w *world) must(e stream.Entry) *stream.Entry {
	w.t.Helper()
	got, _ := w.append(e)
	if got == nil {
		w.t.Fatalf("%v of message %d, key %q was refused", e.Kind, e.Message, e.Key)
	}
	return got
}

// trim moves the floor; there are no rows to remove, since reads look at the floor.
func (w *world) trim(to uint64) {
	if to > w.meta.Floor {
		e := w.log[to-1]
		w.meta.Trim(to, e.Time, e.Cum)
	}
}

func text(s string) stream.Data { return stream.Data{Type: stream.Text, Bytes: []byte(s)} }
func json(s string) stream.Data { return stream.Data{Type: stream.JSON, Bytes: []byte(s)} }

func subject(e *stream.Entry) stream.Subject {
	if e.Key != "" {
		return stream.KeySubject(e.Key)
	}
	return stream.MessageSubject(e.Message)
}

var users = []string{"", "ann", "bob", "cy", "dee"}

// randomEntry makes something that might be appended, often wrong.
func randomEntry(r *rand.Rand, head uint64) stream.Entry {
	e := stream.Entry{Event: fmt.Sprint("ev", r.IntN(4)), User: users[r.IntN(len(users))], Data: randomData(r)}
	if r.IntN(3) == 0 {
		e.Extras = fmt.Appendf(nil, `{"n":%d}`, r.IntN(100))
	}
	if r.IntN(4) == 0 {
		e.Tags, e.Frame, e.Conn = []byte(`{"a":"b"}`), fmt.Sprint("f", head), fmt.Sprint("c", r.IntN(3))
		e.NoEcho = r.IntN(2) == 0
	}
	switch n := r.IntN(20); {
	case n < 2:
		e.Kind = stream.Create
		return e
	case n < 5:
		e.Kind, e.Key = stream.Put, fmt.Sprint("k", r.IntN(3))
		return e
	case n < 11:
		e.Kind, e.Data = stream.Append, text(fmt.Sprintf("<%d>", r.IntN(1000)))
	case n < 14:
		e.Kind = stream.Update
	case n < 15:
		e.Kind = stream.Delete
	case n < 18:
		e.Kind, e.Data = stream.Annotate, stream.Data{}
	default:
		e.Kind, e.Data = stream.Unannotate, stream.Data{}
	}
	if e.Kind == stream.Annotate || e.Kind == stream.Unannotate {
		types := []string{"reactions:distinct.v1", "votes:distinct.v1", "views:total.v1"}
		e.Annot = &stream.Annotation{Type: types[r.IntN(3)], Name: fmt.Sprint("n", r.IntN(2)), Count: 1}
	} else {
		e.Set = stream.Fields(r.IntN(8))
		e.Clear = stream.Fields(r.IntN(8)) &^ e.Set
		if r.IntN(2) == 0 {
			e.Note = &stream.Note{Description: "why", Metadata: []byte(`{"by":1}`)}
		}
	}
	if r.IntN(2) == 0 {
		e.Key = fmt.Sprint("k", r.IntN(3))
	} else {
		e.Message = head - min(head, r.Uint64N(12))
	}
	return e
}

func randomData(r *rand.Rand) stream.Data {
	switch r.IntN(5) {
	case 0:
		return json(fmt.Sprintf(`{"v":%d}`, r.IntN(100)))
	case 1:
		return stream.Data{}
	case 2:
		return stream.Data{Type: stream.Bytes, Bytes: []byte{0, 255, byte(r.IntN(256))}}
	default:
		return text(fmt.Sprint("t", r.IntN(100)))
	}
}

// agree checks the state against what the committer knows.
func agree(t *testing.T, s *message.State, h stream.Header) {
	t.Helper()
	got := stream.Header{Message: s.Message(), Row: s.Row.Serial, Last: s.Last, Version: s.Version, Deleted: s.Deleted(),
		Text: s.Data.Type == stream.Text, Len: uint64(len(s.Data.Bytes)), Creator: s.Begun.User, BegunAt: s.Begun.Time, BegunConn: s.Begun.Conn}
	want := h
	want.StateAt, want.Since, want.LenAt, want.Annotated = 0, 0, 0, false
	if !s.KnowsBegin() {
		want.Creator, want.BegunAt, want.BegunConn = "", 0, ""
	}
	if len(s.Annotations) > 0 && !h.Annotated {
		t.Fatalf("the header knows nothing of %v", s.Annotations)
	}
	if got != want {
		t.Fatalf("state says %+v\nheader says %+v", got, want)
	}
}

func equal(t *testing.T, what string, got, want *message.State) {
	t.Helper()
	if g, w := got.Encode(nil), want.Encode(nil); !bytes.Equal(g, w) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, *got, *want)
	}
}
