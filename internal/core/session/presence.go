package session

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Presence is a log of its own (Ref.Log is stream.Presence), written by whoever answers Enter; core/presence says what
// its entries mean.

// Inputs about members.
type (
	// Entered answers Enter. The members are those of the presence log at Serial, which is not below the own join; a
	// follower that resumes from Stream and Serial misses nothing after them.
	Entered struct {
		Tag     Tag
		Members []Member // one per user, in order of their ids; cut at what the policy lists: then there are fewer than Count
		Count   int      // users
		Stream  stream.ID
		Serial  uint64
		// Err is a fault: LimitExceeded when the channel is full, Unavailable when the log cannot be read or written.
		Err error
	}
	// Counted tells a new number of subscriptions of a channel that Count asked about.
	Counted struct {
		Tag Tag
		N   int
	}
	// Watched tells which users of a watchlist came online or went offline: first those that are online at all.
	Watched struct{ Online, Offline []string }
)

// Member is one user of a channel.
type Member struct {
	User string
	Info []byte // JSON, or nil
}

// Effects about members.
type (
	// Enter joins the presence log of Ref as a user, answered by Entered. The same Tag again changes the info: then
	// Update is set and only a failure is answered.
	Enter struct {
		Tag    Tag
		Ref    stream.Ref
		Member Member
		Update bool
	}
	// Exit takes the member that entered under the tag out again, once Grace has passed without the user entering anew.
	Exit struct {
		Tag   Tag
		Ref   stream.Ref
		Grace time.Duration
		Cause string // disconnect, or timeout for a connection that was dropped
	}
	// Count asks for Counted, now and whenever the number of subscriptions of Ref changes, until the tag is unfollowed.
	Count struct {
		Tag Tag
		Ref stream.Ref
	}
	// Watch asks for Watched about these users of the app, in place of those asked for before.
	Watch struct{ Users []string }
)

func (Entered) input() {}
func (Counted) input() {}
func (Watched) input() {}

func (Enter) effect() {}
func (Exit) effect()  {}
func (Count) effect() {}
func (Watch) effect() {}
