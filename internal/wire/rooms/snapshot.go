package rooms

import (
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Snapshot is a page of the state of a room.
type Snapshot struct {
	Room    string
	Stream  stream.ID
	At      uint64 // the event id that a join continues from
	Items   []message.State
	Members *session.Listed // nil: they are not shown
	Next    string          // cursor of the next page; empty: this is the last
}

// AppendSnapshot appends a page as the body of an answer.
func AppendSnapshot(dst []byte, s *Snapshot) []byte {
	f := frame{append(dst, '{')}
	f.text("room_id", s.Room)
	f.text("stream_id", string(s.Stream))
	f.uint("event_id", s.At)
	f.name("messages")
	f.b = append(f.b, '[')
	for i := range s.Items {
		f.comma()
		f.b = AppendMessage(f.b, s.Room, &s.Items[i])
	}
	f.b = append(f.b, ']')
	if m := s.Members; m != nil {
		l := members{m.Members, m.Count, m.Stream, m.Serial}
		l.append(&f)
	}
	f.bool("has_more", s.Next != "")
	if s.Next != "" {
		f.text("next_cursor", s.Next)
	} else {
		f.raw("next_cursor", []byte("null"))
	}
	return f.end()
}
