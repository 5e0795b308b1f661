package rooms

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

var _ session.Encoder = Members{}

// Members makes the frames of a room's presence log.
type Members struct{}

// Binary implements session.Encoder: JSON is text.
func (Members) Binary() bool { return false }

// Whole implements session.Encoder.
func (Members) Whole() bool { return false }

// State implements session.Encoder: every entry carries its membership whole.
func (Members) State(stream.Kind) bool { return false }

// Position implements session.Encoder: the positions of a room are those of its messages.
func (Members) Position([]byte, stream.Ref, stream.ID, uint64) []byte { return nil }

// Choose says what of a page a client is told that was behind: the last number of members, and what came of the
// transitions before and after it. Those after it count from that number, so they are not set off against those before.
func (Members) Choose(page []*stream.Entry) []bool {
	last := len(page) - 1
	for last >= 0 && !(presence.IsQuiet(page[last]) && presence.NoteOf(page[last]).Count > 0) {
		last--
	}
	if last < 0 {
		return presence.Net(page)
	}
	keep := append(presence.Net(page[:last]), true)
	return append(keep, presence.Net(page[last+1:])...)
}

// changedEvery is how long the number of members of a large room may wait for a newer one.
const changedEvery = time.Second

// Rollup is changedEvery, for the hub.
func (Members) Rollup() time.Duration { return changedEvery }

// Gathers says that the last of several numbers of members is enough.
func (Members) Gathers(e *stream.Entry) bool {
	return presence.IsQuiet(e) || presence.ChangeOf(e) == presence.None
}

// transitions are the frames of transitions that are told in detail.
var transitions = map[presence.Change]string{presence.Added: "presence.joined", presence.Updated: "presence.updated", presence.Removed: "presence.left"}

// Entry implements session.Encoder: that a user came, changed or left, or how many there are now.
func (Members) Entry(dst []byte, d session.Delivery) (payload []byte, ok bool) {
	e := d.Entry
	change := presence.ChangeOf(e)
	if change == presence.None {
		return dst, false
	}
	if presence.IsQuiet(e) {
		count := presence.NoteOf(e).Count
		if count == 0 {
			return dst, false // one of a burst, whose last tells the number
		}
		f := roomFrame(dst, "presence.changed", d.Ref.Channel)
		f.uint("presence_id", e.Serial)
		f.int("ts", e.Time)
		f.int("count", int64(count))
		return f.end(), true
	}
	f := roomFrame(dst, transitions[change], d.Ref.Channel)
	f.uint("presence_id", e.Serial)
	f.int("ts", e.Time)
	f.text("user_id", e.Key)
	if change == presence.Removed {
		if e.Member != nil && e.Member.Cause != "" {
			f.text("cause", e.Member.Cause)
		}
		return f.end(), true
	}
	if m, err := presence.Of(e.Key, e.Data); err == nil && len(m.Info) > 0 {
		f.raw("info", m.Info)
	}
	return f.end(), true
}
