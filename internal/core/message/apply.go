package message

import (
	"errors"
	"fmt"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// ErrGap is wrapped by Apply's error when an entry cannot follow the state: one between them is missing, or it was
// applied before. Whoever holds the state drops it and reads it again.
var ErrGap = errors.New("entry does not continue the message")

// Apply moves the state on by the next entry of its message or key. Entries that change a message which is not there
// (its beginning was trimmed) leave the zero State as it is. After an error the state is unchanged. The entry is shared:
// the state refers to its bytes and never changes them.
func (s *State) Apply(e *stream.Entry) error { return s.apply(e, nil) }

// apply is Apply; with a tail, fragments are added to that instead of to the data (see Fold).
func (s *State) apply(e *stream.Entry, tail *[]byte) error {
	if s.Exists() && (e.Serial <= s.Last || e.Key != s.Key) {
		return s.gap(e)
	}
	switch {
	case e.Kind == stream.Create:
		if s.Exists() {
			return s.gap(e)
		}
		s.begin(e)
	case e.Kind == stream.Put:
		return s.put(e)
	case e.Kind.Mutation(), e.Kind == stream.Annotate, e.Kind == stream.Unannotate:
		if !s.Exists() {
			return nil
		}
		return s.change(e, tail)
	default:
		return fmt.Errorf("entry %d of %v: not an entry about messages", e.Serial, e.Kind)
	}
	return nil
}

func (s *State) gap(e *stream.Entry) error {
	return fmt.Errorf("%w: %v at %d (version %d of message %d) after %d (version %d of message %d)", ErrGap,
		e.Kind, e.Serial, e.Version, e.Message, s.Last, s.Version, s.Message())
}

// begin starts the message that e is a row of.
func (s *State) begin(e *stream.Entry) {
	stamp := Stamp{Serial: e.Serial, Time: e.Time, User: e.User, Conn: e.Conn}
	*s = State{Begun: stamp, Row: stamp, Version: e.Version, Key: e.Key}
	if e.Message != e.Serial {
		s.Begun = Stamp{Serial: e.Message}
	}
	s.show(e, stamp)
	s.Content = Content{Event: e.Event, Data: e.Data, Tags: e.Tags, Extras: e.Extras}
}

// put begins the key's message, or supersedes its previous version: all of its content, none of its annotations.
func (s *State) put(e *stream.Entry) error {
	if !s.Exists() || e.Message == e.Serial {
		s.begin(e)
		return nil
	}
	if s.Deleted() || e.Message != s.Message() || e.Version != s.Version+1 {
		return s.gap(e)
	}
	begun, annotations := s.Begun, s.Annotations
	s.begin(e)
	s.Begun, s.Annotations = begun, annotations
	return nil
}

// change applies a mutation or an annotation.
func (s *State) change(e *stream.Entry, tail *[]byte) error {
	next := s.Version
	if e.Kind.Mutation() {
		next++
	}
	if s.Deleted() || e.Message != s.Message() || e.Version != next {
		return s.gap(e)
	}
	switch e.Kind {
	case stream.Annotate, stream.Unannotate:
		s.Annotations = s.Annotations.apply(e)
		s.Last = e.Serial
		return nil
	case stream.Append:
		if s.Data.Type != stream.Text || e.Data.Type != stream.Text {
			return fmt.Errorf("%w: append at %d to data that is not a text", ErrGap, e.Serial)
		}
		if tail != nil {
			*tail = append(*tail, e.Data.Bytes...)
		} else {
			s.append(e.Data.Bytes)
		}
		s.patch(e, stream.FieldExtras)
	default:
		s.patch(e, stream.FieldName|stream.FieldData|stream.FieldExtras)
	}
	s.Version = next
	s.show(e, Stamp{Serial: e.Serial, Time: e.Time, User: e.User, Conn: e.Conn})
	return nil
}

// patch replaces or clears those fields that e says, of those that it may.
func (s *State) patch(e *stream.Entry, may stream.Fields) {
	set, touched := e.Set&may, (e.Set|e.Clear)&may
	if touched&stream.FieldName != 0 {
		s.Event = ""
		if set&stream.FieldName != 0 {
			s.Event = e.Event
		}
	}
	if touched&stream.FieldData != 0 {
		s.Data, s.grow = stream.Data{}, nil
		if set&stream.FieldData != 0 {
			s.Data = e.Data
		}
	}
	if touched&stream.FieldExtras != 0 {
		s.Extras = nil
		if set&stream.FieldExtras != 0 {
			s.Extras = e.Extras
		}
	}
}

// show notes which entry made the version that is now visible.
func (s *State) show(e *stream.Entry, stamp Stamp) {
	s.Edit = Edit{Stamp: stamp, Kind: e.Kind, Frame: e.Frame, Note: e.Note}
	s.Last = e.Serial
}
