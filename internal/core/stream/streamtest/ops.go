package streamtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func text(s string) stream.Data { return stream.Data{Type: stream.Text, Bytes: []byte(s)} }

func create(ref stream.Ref, s string) stream.Op {
	return stream.Op{Ref: ref, Entry: stream.Entry{Kind: stream.Create, Event: "said", Data: text(s)}}
}

func put(ref stream.Ref, key, s string) stream.Op {
	return stream.Op{Ref: ref, Entry: stream.Entry{Kind: stream.Put, Key: key, Event: "set", Data: text(s)}}
}

func fragment(ref stream.Ref, message uint64, s string) stream.Op {
	return stream.Op{Ref: ref, Entry: stream.Entry{Kind: stream.Append, Message: message, Data: text(s)}}
}

func update(ref stream.Ref, message uint64, s string) stream.Op {
	return stream.Op{Ref: ref, Entry: stream.Entry{Kind: stream.Update, Message: message, Set: stream.FieldData, Data: text(s)}}
}

func remove(ref stream.Ref, message uint64) stream.Op {
	return stream.Op{Ref: ref, Entry: stream.Entry{Kind: stream.Delete, Message: message}}
}

func react(ref stream.Ref, message uint64) stream.Op {
	return stream.Op{Ref: ref, Entry: stream.Entry{Kind: stream.Annotate, Message: message, User: "ann",
		Annot: &stream.Annotation{Type: "reactions:distinct.v1", Name: "like", Count: 1}}}
}

// keyed turns a mutation into one that names its message by key.
func keyed(op stream.Op, key string) stream.Op {
	op.Entry.Message, op.Entry.Key = 0, key
	return op
}

func withReceipt(op stream.Op, key, print string) stream.Op {
	op.Receipt = &stream.Receipt{Key: key, TTL: 2 * time.Minute}
	copy(op.Receipt.Fingerprint[:], print)
	return op
}

func guarded(op stream.Op, g stream.Guard) stream.Op {
	op.Guard = g
	return op
}

func (w *world) wantRefused(what string, r stream.Result, kind fault.Kind) {
	w.Helper()
	if r.Outcome != stream.Refused || r.Err == nil || fault.KindOf(r.Err) != kind {
		w.Fatalf("%s: outcome %d, error %v; want refused with %v", what, r.Outcome, r.Err, kind)
	}
	if r.Entry != (stream.EntryID{}) {
		w.Fatalf("%s: a refused op has entry id %v", what, r.Entry)
	}
}

func (w *world) wantFault(what string, err error, kind fault.Kind) {
	w.Helper()
	if err == nil || fault.KindOf(err) != kind {
		w.Fatalf("%s: %v; want a fault %v", what, err, kind)
	}
}

// Folded is what the suite's fold makes of a message.
type Folded struct {
	Key         string
	Message     uint64
	Row         uint64
	Last        uint64
	Version     uint32
	Deleted     bool
	Data        string
	IsText      bool
	Annotations int
}

var errGap = errors.New("the fold was given an entry that does not continue its state")

// Fold is the suite's own fold. It keeps a JSON text and fails when an entry is missing or comes twice.
func Fold(state []byte, entries ...*stream.Entry) ([]byte, bool, error) {
	var s *Folded
	if state != nil {
		s = &Folded{}
		if err := json.Unmarshal(state, s); err != nil {
			return nil, false, err
		}
	}
	next := s
	for _, e := range entries {
		var err error
		if next, err = next.apply(e); err != nil {
			return nil, false, err
		}
	}
	if next == nil {
		return nil, false, nil
	}
	b, err := json.Marshal(next)
	return b, !next.Deleted, err
}

// apply is the fold over values; a nil state is nothing yet, a nil result still nothing.
func (s *Folded) apply(e *stream.Entry) (*Folded, error) {
	if s != nil && e.Serial <= s.Last {
		return nil, fmt.Errorf("%w: %v %d after %d", errGap, e.Kind, e.Serial, s.Last)
	}
	if e.Kind.Row() {
		if s != nil && !s.Deleted && (e.Message != s.Message || e.Version != s.Version+1) {
			return nil, fmt.Errorf("%w: version %d of message %d after version %d of %d", errGap, e.Version, e.Message, s.Version, s.Message)
		}
		n := &Folded{Key: e.Key, Message: e.Message, Row: e.Serial, Last: e.Serial, Version: e.Version,
			Data: string(e.Data.Bytes), IsText: e.Data.Type == stream.Text}
		if s != nil && !s.Deleted {
			n.Annotations = s.Annotations
		}
		return n, nil
	}
	if s == nil {
		return nil, nil
	}
	n := *s
	n.Last = e.Serial
	if e.Kind.Mutation() {
		n.Version++
	}
	if e.Message != s.Message || e.Version != n.Version || s.Deleted {
		return nil, fmt.Errorf("%w: %v %d is version %d of message %d; the state is version %d of %d", errGap, e.Kind, e.Serial,
			e.Version, e.Message, s.Version, s.Message)
	}
	switch e.Kind {
	case stream.Append:
		n.Data += string(e.Data.Bytes)
	case stream.Annotate:
		n.Annotations++
	case stream.Unannotate:
		n.Annotations--
	case stream.Delete:
		n.Deleted = true
		fallthrough
	case stream.Update:
		if e.Set&stream.FieldData != 0 {
			n.Data, n.IsText = string(e.Data.Bytes), e.Data.Type == stream.Text
		}
		if e.Clear&stream.FieldData != 0 {
			n.Data, n.IsText = "", false
		}
	}
	return &n, nil
}

// foldPage continues a page's state with its entries.
func (w *world) foldPage(p stream.Page) *Folded {
	w.Helper()
	var s *Folded
	if p.State != nil {
		s = w.decode(p.State)
		if s.Last > p.StateAt {
			w.Fatalf("a state at %d holds an entry %d", p.StateAt, s.Last)
		}
	}
	for _, e := range p.Entries {
		next, err := s.apply(e)
		if err != nil {
			w.Fatalf("the page's entries do not continue its state: %v", err)
		}
		s = next
	}
	return s
}

func (w *world) decode(state []byte) *Folded {
	w.Helper()
	s := &Folded{}
	if err := json.Unmarshal(state, s); err != nil {
		w.Fatalf("state %q: %v", state, err)
	}
	return s
}

func (w *world) state(q stream.Query) *Folded {
	w.Helper()
	q.State = true
	return w.foldPage(w.read(q))
}
