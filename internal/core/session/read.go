package session

import (
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Inputs that answer reads.
type (
	// Recalled answers Recall. Entry is nil when the channel remembers nothing; State is its visible version.
	Recalled struct {
		Tag    Tag
		Entry  *stream.Entry
		State  message.State
		Stream stream.ID
		Err    error
	}
	// Paged answers Page. Body is the JSON object that the server API answers such a request with.
	Paged struct {
		Tag  Tag
		Body []byte
		Err  error
	}
)

// HistoryQuery asks for a page of a channel's history.
type HistoryQuery struct {
	Limit       int
	OldestFirst bool
	Directed    bool   // the direction was asked for: a cursor must be of the same
	Cursor      string // of the page before, which brings direction and bounds with it; empty: the first page
	Serials     Span
	Times       Span // unix ms
}

// Span is an inclusive range with optional ends.
type Span struct {
	Start, End       uint64
	HasStart, HasEnd bool
}

// Effects that ask for reads.
type (
	// Recall asks for the event that a cache channel remembers, not newer than serial At; answered by Recalled.
	Recall struct {
		Tag Tag
		Ref stream.Ref
		At  uint64
	}
	// Page asks for history, answered by Paged with the same tag. Several may be under way.
	Page struct {
		Tag   Tag
		Ref   stream.Ref
		Query HistoryQuery
	}
)

func (Recalled) input() {}
func (Paged) input()    {}

func (Recall) effect() {}
func (Page) effect()   {}
