package presence

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

var _ stream.Fold = Fold

// State is what the presence log says about one user at a serial. The zero State is a user who was never there, or
// whose departure retention has taken. Its bytes are shared and never change.
type State struct {
	User  string
	Here  bool
	Since stream.EntryID // when the user came; zero when that is not known any more
	// Event is the newest transition, At its entry. An entry that is no transition changes neither.
	Event Change
	At    stream.EntryID
	Last  stream.EntryID // the newest entry: what a guard compares
	Data  stream.Data    // the membership, see Member
}

// Member is the membership.
func (s *State) Member() (Member, error) { return Of(s.User, s.Data) }

// Info is the user's info alone, which lists of members show: it is cut out of the membership, not copied.
func (s *State) Info() (json.RawMessage, error) {
	const head = `{"info":`
	b := s.Data.Bytes
	if s.Data.Type == stream.JSON && bytes.HasPrefix(b, []byte(`{"conns":`)) {
		return nil, nil
	}
	if s.Data.Type == stream.JSON && bytes.HasPrefix(b, []byte(head)) {
		if n := valueEnd(b[len(head):]); n > 0 && bytes.HasPrefix(b[len(head)+n:], []byte(`,"conns":`)) {
			return json.RawMessage(b[len(head) : len(head)+n : len(head)+n]), nil
		}
	}
	m, err := s.Member()
	return m.Info, err
}

// valueEnd is the length of the JSON value that b begins with, given that b is valid JSON without white space; 0 when
// there is no end.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth == 0 && i+1 < len(b) && (b[i+1] == ',' || b[i+1] == '}') {
			return i + 1
		}
	}
	return 0
}

// Apply moves the state on by an entry of the same user.
func (s *State) Apply(e *stream.Entry) {
	if e.Kind != stream.Put && e.Kind != stream.Delete {
		return
	}
	change := ChangeOf(e)
	if change == None && !s.Here { // whoever wrote the beginning is gone: this is all that is known of it
		change = Added
	}
	s.User, s.Last = e.Key, e.ID()
	s.Here = change != Removed
	switch change {
	case Added:
		s.Since = e.ID()
	case Updated:
		if s.Since == (stream.EntryID{}) {
			s.Since = e.ID()
		}
	}
	if change != None {
		s.Event, s.At = change, e.ID()
	}
	if e.Kind == stream.Put || e.Set&stream.FieldData != 0 {
		s.Data = e.Data
	}
}

// Fold is the stream.Fold of presence logs: State in its stored form. A user who has left has a state and is not live.
func Fold(state []byte, entries ...*stream.Entry) (next []byte, live bool, err error) {
	s, err := Continue(state, entries)
	if err != nil {
		return nil, false, err
	}
	return s.append(nil), s.Here, nil
}

// Continue is the state after a kept row (nil or empty: nothing yet) and the entries of the same user after it: what a
// stream.Query with State answers.
func Continue(row []byte, entries []*stream.Entry) (State, error) {
	s, err := Decode(row)
	if err != nil {
		return State{}, err
	}
	for _, e := range entries {
		s.Apply(e)
	}
	return s, nil
}

// The stored form: a version byte, numbers as varints, then the user with its length, then the membership.
const stateVersion = 1

func (s *State) append(b []byte) []byte {
	b = append(b, stateVersion, byte(s.Event)<<1|bit(s.Here))
	for _, id := range [...]stream.EntryID{s.Since, s.At, s.Last} {
		b = binary.AppendUvarint(binary.AppendUvarint(b, id.Serial), uint64(id.Time))
	}
	b = append(binary.AppendUvarint(b, uint64(len(s.User))), s.User...)
	return append(append(b, byte(s.Data.Type)), s.Data.Bytes...)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Decode reads the stored form of a state; the state refers to b. Nothing is the zero State.
func Decode(b []byte) (State, error) {
	var s State
	if len(b) == 0 {
		return s, nil
	}
	if len(b) < 2 || b[0] != stateVersion || b[1]>>1 > byte(Removed) {
		return s, fmt.Errorf("presence state: unknown version: %w", stream.ErrCorrupt)
	}
	s.Here, s.Event = b[1]&1 != 0, Change(b[1]>>1)
	b = b[2:]
	num := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			b = nil
			return 0
		}
		b = b[n:]
		return v
	}
	for _, id := range [...]*stream.EntryID{&s.Since, &s.At, &s.Last} {
		id.Serial, id.Time = num(), int64(num())
	}
	size := num()
	if uint64(len(b)) <= size || b[size] > byte(stream.Bytes) {
		return State{}, fmt.Errorf("presence state: it ends too soon: %w", stream.ErrCorrupt)
	}
	s.User = string(b[:size])
	s.Data = stream.Data{Type: stream.DataType(b[size]), Bytes: b[size+1:]}
	return s, nil
}
