package message

import (
	"slices"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

var _ stream.Fold = Fold

// Fold is the stream.Fold of messages over their stored form. A tombstone has a state and is not live; a message that
// is not there has neither. What it returns is new; state and entries stay as they are. It reads and writes the stored
// form once, so that a run of appends costs its fragments and one copy of the text, not a copy for each.
func Fold(state []byte, entries ...*stream.Entry) (next []byte, live bool, err error) {
	s, err := Decode(state)
	if err != nil {
		return nil, false, err
	}
	var fragments []byte
	tail := &fragments
	if !s.Exists() || slices.ContainsFunc(entries, touchesData) {
		tail = nil
	}
	for _, e := range entries {
		if err := s.apply(e, tail); err != nil {
			return nil, false, err
		}
	}
	return s.encode(nil, fragments), s.Live(), nil
}

// touchesData reports whether e may do more to a message's data than add to its end.
func touchesData(e *stream.Entry) bool {
	return e.Kind.Row() || e.Kind.Mutation() && e.Kind != stream.Append
}

// Continue is the state after a kept row (nil or empty: nothing yet) and the entries of the same message or key after
// it: what a stream.Query with State answers. The zero State means that there is no such message. The state refers to
// the row and the entries.
func Continue(row []byte, entries []*stream.Entry) (State, error) {
	s, err := Decode(row)
	if err != nil {
		return State{}, err
	}
	for _, e := range entries {
		if err := s.Apply(e); err != nil {
			return State{}, err
		}
	}
	return s, nil
}

// AsOf is what a history row shows at a serial: row is a create or a put, later are entries after it in order, up to
// at or beyond, with all those of the row's message among them. A superseded put shows what was visible just before
// the next put of its key. Entries of other messages may be among them and are passed over.
func AsOf(row *stream.Entry, later []*stream.Entry, at uint64) (State, error) {
	var s State
	if err := s.Apply(row); err != nil {
		return State{}, err
	}
	for _, e := range later {
		switch {
		case e.Serial > at:
			return s, nil
		case e.Serial <= row.Serial || e.Message != row.Message:
			continue
		case e.Kind.Row():
			return s, nil
		}
		if err := s.Apply(e); err != nil {
			return State{}, err
		}
	}
	return s, nil
}

// Rows is what the history rows of a range show at its end: entries are all those of the stream from some serial on, in
// order; the answer has one state for each create and put among them, in the same order. Entries that change rows
// before the range fold to nothing.
func Rows(entries []*stream.Entry) ([]State, error) {
	var rows []State
	open := make(map[uint64]int) // message → its newest row in the range
	for _, e := range entries {
		if e.Kind.Row() {
			var s State
			if err := s.Apply(e); err != nil {
				return nil, err
			}
			if i, ok := open[e.Message]; ok && rows[i].Exists() {
				s.Begun, s.Annotations = rows[i].Begun, rows[i].Annotations
			}
			open[e.Message] = len(rows)
			rows = append(rows, s)
			continue
		}
		if i, ok := open[e.Message]; ok {
			if err := rows[i].Apply(e); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// Version is one version of a message in a listing.
type Version struct {
	State                // the message as this version left it
	Fragment stream.Data // what an append added; absent of the other kinds
}

// Shown is the data that a listing shows: an append its fragment, the others the message's data.
func (v *Version) Shown() stream.Data {
	if v.Edit.Kind == stream.Append {
		return v.Fragment
	}
	return v.Data
}

// Versions lists the versions that entries, all of one message or key and in order, make. base is the state before the
// first of them (the zero State before a row). Annotations make no version. The texts of a run of appends share their
// bytes.
func Versions(base State, entries []*stream.Entry) ([]Version, error) {
	var list []Version
	for _, e := range entries {
		if err := base.Apply(e); err != nil {
			return nil, err
		}
		if !base.Exists() || base.Edit.Serial != e.Serial {
			continue
		}
		v := Version{State: base}
		if e.Kind == stream.Append {
			v.Fragment = e.Data
		}
		list = append(list, v)
	}
	return list, nil
}
