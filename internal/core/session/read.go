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
	// Paged answers Page.
	Paged struct {
		Tag  Tag
		Page History
		Err  error
	}
)

// History is one page of a channel's history, its rows as they were visible at the serial of the first page.
type History struct {
	Query  HistoryQuery // as it was answered, bounds and limit clamped
	Bounds stream.Bounds
	Oldest stream.EntryID // of the oldest retained entry, zero when there is none
	Rows   []HistoryRow
	More   bool
	Next   string // opaque cursor of the next page; empty if there is none
	// Truncated says that the range that was asked for begins before what is retained.
	Truncated bool
}

// HistoryRow is one message: the create or put that began its row, and what is visible of it.
type HistoryRow struct {
	Entry *stream.Entry
	State message.State
}

// HistoryQuery asks for a page of a channel's history. Zero bounds do not bound.
type HistoryQuery struct {
	Limit            int // 0: the default
	OldestFirst      bool
	Cursor           string
	From, To         uint64 // serials, inclusive
	FromTime, ToTime int64  // unix ms, inclusive
}

// Effects that ask for reads.
type (
	// Recall asks for the event that a cache channel remembers, not newer than serial At; answered by Recalled.
	Recall struct {
		Tag Tag
		Ref stream.Ref
		At  uint64
	}
	// Page asks for history, answered by Paged.
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
