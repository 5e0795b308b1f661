package presence

import (
	"encoding/json"
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// The causes of transitions: Member.Cause of an entry.
const (
	Join       = "join"
	Disconnect = "disconnect"        // the client left, or closed its connection
	Timeout    = "timeout"           // a connection was lost and did not come back in time
	Forced     = "forced_disconnect" // the application ended the connection
	Orphan     = "orphan_cleanup"    // the node of the connection stopped and the user did not come back
)

// Quiet is the Entry.Event of a transition in a channel with more members than its policy tells about: faces that would
// tell each one tell nothing, and those that tell the number do so for the transitions whose Note has one.
const Quiet = "quiet"

// IsQuiet reports whether a transition is not to be told in detail.
func IsQuiet(e *stream.Entry) bool { return e.Event == Quiet }

// Note is what an entry says beside the membership.
type Note struct {
	ObservedAt int64 `json:"observed_at"` // unix ms: the last sign of life of a connection that went; 0: the entry's own time
	Count      int   `json:"count"`       // members after a quiet transition, as far as its writer knew; 0: a later one says it
}

// Extras is the note as an entry carries it, nil when it says nothing.
func (n Note) Extras() []byte {
	if n == (Note{}) {
		return nil
	}
	b := []byte{'{'}
	if n.ObservedAt != 0 {
		b = strconv.AppendInt(append(b, `"observed_at":`...), n.ObservedAt, 10)
	}
	if n.Count != 0 {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `"count":`...), int64(n.Count), 10)
	}
	return append(b, '}')
}

// NoteOf reads the note of an entry; one that makes no sense says nothing.
func NoteOf(e *stream.Entry) Note {
	var n Note
	if len(e.Extras) == 0 || json.Unmarshal(e.Extras, &n) != nil {
		return Note{}
	}
	return n
}
