package message

import (
	"encoding/binary"
	"fmt"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

func (s *State) field(tag int, v uint64, b []byte, _ int) error {
	switch tag {
	case tagMessage:
		s.Begun.Serial = v
	case tagBegunTime, tagBegunUser, tagBegunConn:
		s.Begun.field(tag-tagMessage, v, b)
	case tagRowSerial, tagRowTime, tagRowUser, tagRowConn:
		s.Row.field(tag-tagRowSerial, v, b)
	case tagEditSerial, tagEditTime, tagEditUser, tagEditConn:
		s.Edit.field(tag-tagEditSerial, v, b)
	case tagKind:
		s.Edit.Kind = small[stream.Kind](v)
	case tagFrame:
		s.Edit.Frame = string(b)
	case tagFlags:
		if v&flagNote != 0 {
			s.note()
		}
	case tagDescription:
		s.note().Description = string(b)
	case tagMetadata:
		s.note().Metadata = b
	case tagLast:
		s.Last = v
	case tagVersion:
		s.Version = small[uint32](v)
	default:
		return s.content(tag, v, b)
	}
	return nil
}

func (s *State) content(tag int, v uint64, b []byte) error {
	switch tag {
	case tagKey:
		s.Key = string(b)
	case tagEvent:
		s.Event = string(b)
	case tagDataType:
		s.Data.Type = small[stream.DataType](v)
	case tagData:
		s.Data.Bytes = b
	case tagTags:
		s.Tags = b
	case tagExtras:
		s.Extras = b
	case tagSummary:
		sum, err := decodeSummary(b)
		if err != nil {
			return err
		}
		if n := len(s.Annotations); n > 0 && s.Annotations[n-1].Type >= sum.Type {
			return fmt.Errorf("annotation types out of order: %w", stream.ErrCorrupt)
		}
		s.Annotations = append(s.Annotations, sum)
	}
	return nil
}

// field sets the i-th field of a stamp.
func (s *Stamp) field(i int, v uint64, b []byte) {
	switch i {
	case 0:
		s.Serial = v
	case 1:
		s.Time = int64(v)
	case 2:
		s.User = string(b)
	case 3:
		s.Conn = string(b)
	}
}

func (s *State) note() *stream.Note {
	if s.Edit.Note == nil {
		s.Edit.Note = &stream.Note{}
	}
	return s.Edit.Note
}

// small narrows a stored number; what does not fit becomes the largest value, which no valid row has.
func small[T ~uint8 | ~uint32](v uint64) T {
	if v > uint64(^T(0)) {
		return ^T(0)
	}
	return T(v)
}

func decodeSummary(b []byte) (Summary, error) {
	var sum Summary
	all := string(b) // one allocation for all names and users
	seen := false
	err := fields(b, func(tag int, _ uint64, f []byte, at int) error {
		s := all[at : at+len(f)]
		switch {
		case tag == tagType && !seen:
			sum.Type, seen = s, true
		case tag == tagName && (len(sum.Names) == 0 || last(sum.Names).Name < s && len(last(sum.Names).Users) > 0):
			sum.Names = append(sum.Names, Reaction{Name: s})
		case tag == tagUser && len(sum.Names) > 0 && (len(last(sum.Names).Users) == 0 || *last(last(sum.Names).Users) < s):
			r := last(sum.Names)
			r.Users = append(r.Users, s)
		case tag == tagType || tag == tagName || tag == tagUser:
			return fmt.Errorf("annotations out of order: %w", stream.ErrCorrupt)
		}
		return nil
	})
	if err == nil && (!seen || len(sum.Names) == 0 || len(last(sum.Names).Users) == 0) {
		err = fmt.Errorf("annotations without a type, a name or a user: %w", stream.ErrCorrupt)
	}
	return sum, err
}

func last[V any](list []V) *V { return &list[len(list)-1] }

// fields walks the fields of a stored row and checks their framing. f gets a number, or bytes and where they begin.
func fields(b []byte, f func(tag int, v uint64, s []byte, at int) error) error {
	size := len(b)
	for len(b) > 0 {
		head, n := binary.Uvarint(b)
		if n <= 0 || head>>1 == 0 || head>>1 > 1<<20 {
			return fmt.Errorf("field tag: %w", stream.ErrCorrupt)
		}
		b = b[n:]
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("field %d: %w", head>>1, stream.ErrCorrupt)
		}
		b = b[n:]
		var s []byte
		at := size - len(b)
		if head&1 != 0 {
			if v > uint64(len(b)) {
				return fmt.Errorf("field %d is longer than its row: %w", head>>1, stream.ErrCorrupt)
			}
			s, b, v = b[:v:v], b[v:], 0
		}
		if err := f(int(head>>1), v, s, at); err != nil {
			return err
		}
	}
	return nil
}
