package session

import (
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Inputs of faces with tokens, histories of values and lists of members.
type (
	// Scrolled answers Scroll: the rows of one page, each as it was visible at the serial of the first page.
	Scrolled struct {
		Tag  Tag
		Rows []message.State
		More bool
		Next string // opaque cursor of the next page; empty if there is none
		// Truncated says that the range that was asked for begins before what is retained.
		Truncated bool
		Err       error
	}
	// Authenticated answers Authenticate. Err is a fault: AuthFailed, or Unavailable when the keys cannot be had now.
	Authenticated struct {
		Grant auth.Grant
		Err   error
	}
	// Listed answers List: the members of the presence log at Serial. A follower that resumes from Stream and Serial
	// misses nothing after them.
	Listed struct {
		Tag     Tag
		Members []Member // one per user, in order of their ids; cut at what the policy lists: then there are fewer than Count
		Count   int      // users
		Stream  stream.ID
		Serial  uint64
		// Err is a fault: NotProvable below what is retained, Invalid ahead of it, Unavailable.
		Err error
	}
)

// Effects of faces with tokens, adoptable sessions, histories of values and lists of members.
type (
	// Adopt makes the connection known under the id of a session that its client had before; whoever holds that id now is
	// told Terminate with Replaced. The machine has checked the secret. It must come before the first Follow.
	Adopt struct{ ID string }
	// Authenticate proves a token, answered by Authenticated.
	Authenticate struct{ Token string }
	// Scroll asks for history as values, answered by Scrolled. Several may be under way.
	Scroll struct {
		Tag   Tag
		Ref   stream.Ref
		Query HistoryQuery
	}
	// List asks who the members of a presence log are without joining it, answered by Listed: now, or at one serial, or
	// at a time (unix ms).
	List struct {
		Tag      Tag
		Ref      stream.Ref
		AtSerial bool
		Serial   uint64
		AtTime   bool
		Time     int64
	}
)

func (Authenticated) input() {}
func (Listed) input()        {}
func (Scrolled) input()      {}

func (Adopt) effect()        {}
func (Authenticate) effect() {}
func (List) effect()         {}
func (Scroll) effect()       {}
