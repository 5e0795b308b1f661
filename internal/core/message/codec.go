package message

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// The stored form of a state, in the scheme of entries: a version byte, then fields as (tag<<1|wire) varints in
// ascending order; wire 0 is a varint, wire 1 a length and bytes. A reader skips tags that it does not know, so fields
// can be added; a change that an old reader must not skip takes a new version byte. Equal states have equal forms.
//
// Serials and times are differences from the stamp before (begun, row, edit), which is 0 and so absent for a message
// that was never edited. A stamp with the serial of the one before it is that stamp.

const stateVersion = 1

const (
	tagMessage = iota + 1
	tagBegunTime
	tagBegunUser
	tagBegunConn
	tagRowSerial
	tagRowTime
	tagRowUser
	tagRowConn
	tagEditSerial
	tagEditTime
	tagEditUser
	tagEditConn
	tagKind
	tagFrame
	tagFlags
	tagDescription
	tagMetadata
	tagLast
	tagVersion
	tagKey
	tagEvent
	tagDataType
	tagData
	tagTags
	tagExtras
	tagSummary // repeated, one for each type of annotations
)

const flagNote = 1 // there is a note, whatever it says

// Fields of a summary: a name begins a reaction, users belong to the name before them.
const (
	tagType = iota + 1
	tagName
	tagUser
)

type encoder struct{ b []byte }

func (w *encoder) num(tag int, v uint64) {
	if v != 0 {
		w.b = binary.AppendUvarint(w.b, uint64(tag)<<1)
		w.b = binary.AppendUvarint(w.b, v)
	}
}

// head begins a field of n bytes.
func (w *encoder) head(tag, n int) {
	w.b = binary.AppendUvarint(w.b, uint64(tag)<<1|1)
	w.b = binary.AppendUvarint(w.b, uint64(n))
}

// put writes a field of bytes also when it is empty.
func put[T ~string | ~[]byte](w *encoder, tag int, s T) {
	w.head(tag, len(s))
	w.b = append(w.b, s...)
}

func opt[T ~string | ~[]byte](w *encoder, tag int, s T) {
	if len(s) > 0 {
		put(w, tag, s)
	}
}

// Encode appends the stored form of s to dst. A state that does not exist has none: it appends nothing.
func (s *State) Encode(dst []byte) []byte { return s.encode(dst, nil) }

// encode is Encode with more bytes at the end of the data.
func (s *State) encode(dst, tail []byte) []byte {
	if !s.Exists() {
		return dst
	}
	if dst == nil {
		dst = make([]byte, 0, s.size()+len(tail))
	}
	w := &encoder{append(dst, stateVersion)}
	w.num(tagMessage, s.Begun.Serial)
	w.num(tagBegunTime, uint64(s.Begun.Time))
	opt(w, tagBegunUser, s.Begun.User)
	opt(w, tagBegunConn, s.Begun.Conn)
	w.stamp(tagRowSerial, s.Row, s.Begun)
	w.stamp(tagEditSerial, s.Edit.Stamp, s.Row)
	w.num(tagKind, uint64(s.Edit.Kind))
	opt(w, tagFrame, s.Edit.Frame)
	if n := s.Edit.Note; n != nil {
		w.num(tagFlags, flagNote)
		opt(w, tagDescription, n.Description)
		opt(w, tagMetadata, n.Metadata)
	}
	w.num(tagLast, s.Last-s.Edit.Serial)
	w.num(tagVersion, uint64(s.Version))
	opt(w, tagKey, s.Key)
	opt(w, tagEvent, s.Event)
	w.num(tagDataType, uint64(s.Data.Type))
	if n := len(s.Data.Bytes) + len(tail); n > 0 {
		w.head(tagData, n)
		w.b = append(append(w.b, s.Data.Bytes...), tail...)
	}
	opt(w, tagTags, s.Tags)
	opt(w, tagExtras, s.Extras)
	for i := range s.Annotations {
		w.head(tagSummary, s.Annotations[i].encode(nil))
		s.Annotations[i].encode(w)
	}
	return w.b
}

func (w *encoder) stamp(tag int, s, before Stamp) {
	if s.Serial == before.Serial {
		return
	}
	w.num(tag, s.Serial-before.Serial)
	w.num(tag+1, uint64(s.Time-before.Time))
	opt(w, tag+2, s.User)
	opt(w, tag+3, s.Conn)
}

// encode writes the fields of a summary and says how many bytes they have; with a nil w it only counts.
func (s *Summary) encode(w *encoder) (n int) {
	field := func(tag int, v string) {
		n += 1 + uvarintLen(uint64(len(v))) + len(v)
		if w != nil {
			put(w, tag, v)
		}
	}
	field(tagType, s.Type)
	for i := range s.Names {
		field(tagName, s.Names[i].Name)
		for _, u := range s.Names[i].Users {
			field(tagUser, u)
		}
	}
	return n
}

func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// size is room enough for most stored forms, so that they are allocated once.
func (s *State) size() int {
	n := 96 + len(s.Begun.User) + len(s.Begun.Conn) + len(s.Row.User) + len(s.Row.Conn) + len(s.Edit.User) + len(s.Edit.Conn) +
		len(s.Edit.Frame) + len(s.Key) + len(s.Event) + len(s.Data.Bytes) + len(s.Tags) + len(s.Extras)
	if s.Edit.Note != nil {
		n += len(s.Edit.Note.Description) + len(s.Edit.Note.Metadata)
	}
	for i := range s.Annotations {
		n += 12 + s.Annotations[i].encode(nil)
	}
	return n
}

// Decode reads the stored form of a state. The state refers to b, which must not change afterwards. Nothing (an empty
// or nil b) is the zero State.
func Decode(b []byte) (State, error) {
	if len(b) == 0 {
		return State{}, nil
	}
	if b[0] != stateVersion {
		return State{}, fmt.Errorf("message state: version %d is not known: %w", b[0], stream.ErrCorrupt)
	}
	var s State
	if err := fields(b[1:], s.field); err != nil {
		return State{}, fmt.Errorf("message state: %w", err)
	}
	if err := s.settle(); err != nil {
		return State{}, fmt.Errorf("message state: %w", err)
	}
	return s, nil
}

// settle turns the differences of a state just decoded into serials and times, and checks what the fold relies on.
func (s *State) settle() error {
	if s.Row.Serial == 0 {
		s.Row = s.Begun
	} else {
		s.Row.Serial += s.Begun.Serial
		s.Row.Time += s.Begun.Time
	}
	if s.Edit.Serial == 0 {
		s.Edit.Stamp = s.Row
	} else {
		s.Edit.Serial += s.Row.Serial
		s.Edit.Time += s.Row.Time
	}
	s.Last += s.Edit.Serial
	if s.Begun.Serial == 0 || s.Row.Serial < s.Begun.Serial || s.Edit.Serial < s.Row.Serial || s.Last < s.Edit.Serial {
		return fmt.Errorf("serials out of order: %w", stream.ErrCorrupt)
	}
	if !s.Edit.Kind.Row() && !s.Edit.Kind.Mutation() || s.Version == 0 || s.Data.Type > stream.Bytes {
		return fmt.Errorf("kind %d, version %d, data type %d: %w", s.Edit.Kind, s.Version, s.Data.Type, stream.ErrCorrupt)
	}
	return nil
}
