package message

import (
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// State is the latest visible version of one message. The zero State is a message that is not there: it has not begun,
// or retention has ended it.
//
// A State is a value and may be copied; a copy keeps what it shows when Apply moves another one on. All bytes that it
// refers to (data, tags, extras, metadata, annotations) are shared and never change. Copies may be read by any
// goroutine at once, but copies that share a history may only be applied to by one at a time; Clone makes one that
// is independent.
type State struct {
	Begun   Stamp  // the create, or the first put of the message; see KnowsBegin
	Row     Stamp  // the history row: the create, or the last put
	Edit    Edit   // the entry that made the newest version
	Last    uint64 // newest entry folded in, annotations included
	Version uint32 // counts from 1
	Key     string
	Content
	Annotations Annotations

	grow *text // where Data.Bytes ends, if Apply may write behind it
}

// Stamp says when an entry happened and who published it. User is the signed-in user, token subject or client_id,
// Conn the session; both are empty for a backend.
type Stamp struct {
	Serial uint64
	Time   int64 // unix ms
	User   string
	Conn   string
}

// Edit is the entry that made a version.
type Edit struct {
	Stamp
	Kind  stream.Kind // create, put, update, append or delete
	Frame string      // the caller's own frame id, or empty; see State.FrameID
	Note  *stream.Note
}

// Content is what a publisher says in a message.
type Content struct {
	Event  string // the logical event name, carried over by mutations that do not replace it
	Data   stream.Data
	Tags   []byte // JSON object of strings, or nil; of the row, mutations do not change them
	Extras []byte // JSON object or nil; carried over by mutations that do not replace it
}

// Exists reports whether there is a message at all; a tombstone is one.
func (s *State) Exists() bool { return s.Begun.Serial != 0 }

// Deleted reports whether the newest version is a tombstone. Data that the delete did not clear is still visible.
func (s *State) Deleted() bool { return s.Edit.Kind == stream.Delete }

// Live reports whether the message exists and is not deleted.
func (s *State) Live() bool { return s.Exists() && !s.Deleted() }

// Message is the message's identity: the serial of its create or first put.
func (s *State) Message() uint64 { return s.Begun.Serial }

// ID is the entry id of the newest version.
func (s *State) ID() stream.EntryID {
	return stream.EntryID{Time: s.Edit.Time, Serial: s.Edit.Serial}
}

// FrameID is the frame id of the newest version: the same as stream.Entry.FrameID of the entry that made it.
func (s *State) FrameID(id stream.ID) string {
	if s.Edit.Frame != "" {
		return s.Edit.Frame
	}
	return string(id) + ":" + strconv.FormatUint(s.Edit.Serial, 10)
}

// KnowsBegin reports whether the entry that began the message was folded in. It is not when retention without
// `keep: latest` took a key's first put and left a later one, or when a superseded row is folded by itself: then Begun
// has only its serial, and annotations count from the row on.
func (s *State) KnowsBegin() bool { return s.Begun.Time != 0 || s.Begun.Serial == s.Row.Serial }

// Published is when the message began, or its row when that is not known.
func (s *State) Published() int64 {
	if s.KnowsBegin() {
		return s.Begun.Time
	}
	return s.Row.Time
}

// Clone gives a State that may be applied to while another goroutine applies to s.
func (s *State) Clone() State {
	c := *s
	c.grow = nil
	return c
}

// text is a growing buffer that several states show beginnings of. Bytes once written stay; only the state that shows
// all of it may write on.
type text struct{ b []byte }

// append adds a fragment to the data. It costs the fragment, not the text, but for the first time after a Decode or
// Clone and when the buffer has to grow (by a quarter, so that a large text does not hold twice its size).
func (s *State) append(fragment []byte) {
	old, t := s.Data.Bytes, s.grow
	if t == nil || len(t.b) != len(old) || len(old) > 0 && &t.b[0] != &old[0] {
		need := len(old) + len(fragment)
		t = &text{b: append(make([]byte, 0, need+need/4+64), old...)}
		s.grow = t
	}
	t.b = append(t.b, fragment...)
	s.Data.Bytes = t.b[:len(t.b):len(t.b)]
}
