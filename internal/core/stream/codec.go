package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The stored form of an entry: a version byte, then fields as (tag<<1|wire) varints in ascending order: wire 0 is a
// varint, wire 1 a length and bytes. A reader skips tags that it does not know, so fields can be added; a change that
// an old reader must not skip takes a new version byte. Serial is not stored: it is in the row's key.

const entryVersion = 1

const (
	tagKind = iota + 1
	tagTime
	tagCum
	tagMessage
	tagVersion
	tagKey
	tagFrame
	tagEvent
	tagDataType
	tagData
	tagTags
	tagExtras
	tagUser
	tagConn
	tagFlags
	tagSet
	tagClear
	tagDescription
	tagMetadata
	tagAnnotType
	tagAnnotName
	tagAnnotCount
	tagMemberUser
	tagMemberConn
	tagMemberNode
	tagMemberBoot
	tagMemberCause
)

const (
	flagNoEcho = 1 << iota
	flagMemberUpdate
	flagMember
)

// ErrCorrupt is wrapped by every error of a decoder of stored rows.
var ErrCorrupt = errors.New("stored row is corrupt")

type encoder struct{ b []byte }

func (w *encoder) num(tag int, v uint64) {
	if v != 0 {
		w.b = binary.AppendUvarint(w.b, uint64(tag)<<1)
		w.b = binary.AppendUvarint(w.b, v)
	}
}

func (w *encoder) str(tag int, s string) {
	if s != "" {
		w.b = binary.AppendUvarint(w.b, uint64(tag)<<1|1)
		w.b = binary.AppendUvarint(w.b, uint64(len(s)))
		w.b = append(w.b, s...)
	}
}

func (w *encoder) bytes(tag int, s []byte) {
	if len(s) > 0 {
		w.b = binary.AppendUvarint(w.b, uint64(tag)<<1|1)
		w.b = binary.AppendUvarint(w.b, uint64(len(s)))
		w.b = append(w.b, s...)
	}
}

// AppendEntry appends the stored form of e to dst.
func AppendEntry(dst []byte, e *Entry) []byte {
	w := encoder{append(dst, entryVersion)}
	w.num(tagKind, uint64(e.Kind))
	w.num(tagTime, uint64(e.Time))
	w.num(tagCum, e.Cum)
	if e.Message != e.Serial {
		w.num(tagMessage, e.Message)
	}
	if e.Version != 1 {
		w.num(tagVersion, uint64(e.Version)+1)
	}
	w.str(tagKey, e.Key)
	w.str(tagFrame, e.Frame)
	w.str(tagEvent, e.Event)
	w.num(tagDataType, uint64(e.Data.Type))
	w.bytes(tagData, e.Data.Bytes)
	w.bytes(tagTags, e.Tags)
	w.bytes(tagExtras, e.Extras)
	w.str(tagUser, e.User)
	w.str(tagConn, e.Conn)
	w.num(tagFlags, e.flags())
	w.num(tagSet, uint64(e.Set))
	w.num(tagClear, uint64(e.Clear))
	if n := e.Note; n != nil {
		w.str(tagDescription, n.Description)
		w.bytes(tagMetadata, n.Metadata)
	}
	if a := e.Annot; a != nil {
		w.str(tagAnnotType, a.Type)
		w.str(tagAnnotName, a.Name)
		w.num(tagAnnotCount, uint64(a.Count))
	}
	if m := e.Member; m != nil {
		w.str(tagMemberUser, m.User)
		w.str(tagMemberConn, m.Conn)
		w.str(tagMemberNode, m.Node)
		w.str(tagMemberBoot, m.Boot)
		w.str(tagMemberCause, m.Cause)
	}
	return w.b
}

func (e *Entry) flags() uint64 {
	var f uint64
	if e.NoEcho {
		f |= flagNoEcho
	}
	if e.Member != nil {
		f |= flagMember
		if e.Member.Update {
			f |= flagMemberUpdate
		}
	}
	return f
}

// Size is what the entry counts towards retention by bytes: its variable parts and a fixed overhead.
func (e *Entry) Size() int {
	n := 32 + len(e.Key) + len(e.Frame) + len(e.Event) + len(e.Data.Bytes) + len(e.Tags) + len(e.Extras) + len(e.User) + len(e.Conn)
	if e.Note != nil {
		n += len(e.Note.Description) + len(e.Note.Metadata)
	}
	if e.Annot != nil {
		n += len(e.Annot.Type) + len(e.Annot.Name)
	}
	if m := e.Member; m != nil {
		n += len(m.User) + len(m.Conn) + len(m.Node) + len(m.Boot) + len(m.Cause)
	}
	return n
}

// DecodeEntry reads the stored form of the entry at serial. The entry refers to b, which must not change afterwards.
func DecodeEntry(serial uint64, b []byte) (*Entry, error) {
	e := &Entry{}
	if err := e.Decode(serial, b); err != nil {
		return nil, err
	}
	return e, nil
}

// Decode is DecodeEntry into an entry that nobody else knows, for readers that look at many entries and keep none.
func (e *Entry) Decode(serial uint64, b []byte) error {
	*e = Entry{Serial: serial, Message: serial, Version: 1}
	if len(b) == 0 || b[0] != entryVersion {
		return fmt.Errorf("entry %d: unknown version: %w", serial, ErrCorrupt)
	}
	if err := fields(b[1:], func(tag int, v uint64, s []byte) { e.field(tag, v, s) }); err != nil {
		return fmt.Errorf("entry %d: %w", serial, err)
	}
	return nil
}

func (e *Entry) field(tag int, v uint64, s []byte) {
	switch tag {
	case tagKind:
		e.Kind = Kind(v)
	case tagTime:
		e.Time = int64(v)
	case tagCum:
		e.Cum = v
	case tagMessage:
		e.Message = v
	case tagVersion:
		e.Version = uint32(v - 1)
	case tagKey:
		e.Key = string(s)
	case tagFrame:
		e.Frame = string(s)
	case tagEvent:
		e.Event = string(s)
	case tagDataType:
		e.Data.Type = DataType(v)
	case tagData:
		e.Data.Bytes = s
	case tagTags:
		e.Tags = s
	case tagExtras:
		e.Extras = s
	case tagUser:
		e.User = string(s)
	case tagConn:
		e.Conn = string(s)
	case tagFlags:
		e.NoEcho = v&flagNoEcho != 0
		if v&flagMember != 0 {
			e.member().Update = v&flagMemberUpdate != 0
		}
	case tagSet:
		e.Set = Fields(v)
	case tagClear:
		e.Clear = Fields(v)
	default:
		e.rare(tag, v, s)
	}
}

func (e *Entry) rare(tag int, v uint64, s []byte) {
	switch tag {
	case tagDescription:
		e.note().Description = string(s)
	case tagMetadata:
		e.note().Metadata = s
	case tagAnnotType:
		e.annot().Type = string(s)
	case tagAnnotName:
		e.annot().Name = string(s)
	case tagAnnotCount:
		e.annot().Count = uint32(v)
	case tagMemberUser:
		e.member().User = string(s)
	case tagMemberConn:
		e.member().Conn = string(s)
	case tagMemberNode:
		e.member().Node = string(s)
	case tagMemberBoot:
		e.member().Boot = string(s)
	case tagMemberCause:
		e.member().Cause = string(s)
	}
}

func (e *Entry) note() *Note {
	if e.Note == nil {
		e.Note = &Note{}
	}
	return e.Note
}

func (e *Entry) annot() *Annotation {
	if e.Annot == nil {
		e.Annot = &Annotation{}
	}
	return e.Annot
}

func (e *Entry) member() *Member {
	if e.Member == nil {
		e.Member = &Member{}
	}
	return e.Member
}

// fields walks the fields of a stored row and checks their framing.
func fields(b []byte, f func(tag int, v uint64, s []byte)) error {
	for len(b) > 0 {
		head, n := binary.Uvarint(b)
		if n <= 0 || head>>1 == 0 || head>>1 > 1<<20 {
			return fmt.Errorf("field tag: %w", ErrCorrupt)
		}
		b = b[n:]
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("field %d: %w", head>>1, ErrCorrupt)
		}
		b = b[n:]
		if head&1 == 0 {
			f(int(head>>1), v, nil)
			continue
		}
		if v > uint64(len(b)) {
			return fmt.Errorf("field %d is longer than its row: %w", head>>1, ErrCorrupt)
		}
		f(int(head>>1), 0, b[:v:v])
		b = b[v:]
	}
	return nil
}
