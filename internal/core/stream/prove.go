package stream

import "time"

// Reason says why continuity could not be proven. Each face maps it to its own words.
type Reason uint8

// The reasons. Proven is the zero value's opposite: a zero Reason means that there was none.
const (
	Proven           Reason = iota
	StreamReset             // the stream id (or the epoch) differs
	PositionExpired         // the entry after the cursor is at or below the floor
	WindowExceeded          // the gap is longer than the policy's entries, bytes or age
	PositionAhead           // past the head, malformed, or its time does not match the entry at that serial
	SlowConsumer            // a live follower's next entry was trimmed before it could be written
	NotLogged               // the channel keeps no log
	StoreUnavailable        // the log could not be read now
	reasons
)

var reasonNames = [reasons]string{Proven: "proven", StreamReset: "stream_reset", PositionExpired: "position_expired",
	WindowExceeded: "window_exceeded", PositionAhead: "position_ahead", SlowConsumer: "slow_consumer",
	NotLogged: "not_logged", StoreUnavailable: "store_unavailable"}

func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return "reason"
}

// Reasons lists every reason for a refusal, for tests that check a face's table.
func Reasons() []Reason {
	all := make([]Reason, 0, reasons-1)
	for r := StreamReset; r < reasons; r++ {
		all = append(all, r)
	}
	return all
}

// Cursor is what a client presents: everything up to and including Serial was seen.
type Cursor struct {
	Stream ID // empty: the protocol carries none, serials and time are all there is
	Serial uint64
	Time   int64 // of the entry at Serial, unix ms
	// Timed says that Time is to be compared; protocols whose cursor is a bare serial leave it false.
	Timed bool
}

// Witness is what one read of the store said about the entries at the cursor and after it. It must stem from the same
// instant as the bounds that it is judged with.
type Witness struct {
	At    EntryID // of the entry at the cursor (at the floor: of the floor); zero when the cursor is out of bounds
	Next  EntryID // of the entry after the cursor; zero when the cursor is the head
	Bytes uint64  // of the entries in (cursor, head]
}

// Window limits a replay. Zero fields do not limit.
type Window struct {
	Entries uint64
	Bytes   uint64
	Age     time.Duration // of the oldest entry that would be replayed
	// CursorAge limits the age of the cursor itself, also when nothing was missed (feed strict_window). Needs a timed cursor.
	CursorAge time.Duration
}

// Replay is a proof: the entries in (From, To] of one incarnation are there and continue the cursor without a gap.
// Only Prove makes one; the zero Replay replays nothing.
type Replay struct {
	stream   ID
	from, to uint64
}

// Stream is the incarnation that was proven.
func (r Replay) Stream() ID { return r.stream }

// From is the cursor: the last serial that the client has.
func (r Replay) From() uint64 { return r.from }

// To is the attach serial, fixed when the start was decided.
func (r Replay) To() uint64 { return r.to }

// Count is how many entries are replayed.
func (r Replay) Count() uint64 { return r.to - r.from }

// Prove decides whether the cursor can be continued within the bounds: a Replay up to the head and Proven, or a
// reason. It is pure; bounds and witness must come from one read of the store. The replay may be longer than one read.
func Prove(c Cursor, b Bounds, w Witness, lim Window, now int64) (Replay, Reason) {
	switch {
	case !b.Logged:
		return Replay{}, NotLogged
	case c.Stream != "" && c.Stream != b.Stream, c.Serial < b.Base, c.Stream == "" && c.Timed && c.Time < b.Born:
		return Replay{}, StreamReset
	case c.Serial > b.Head:
		return Replay{}, PositionAhead
	case c.Serial < b.Floor:
		return Replay{}, PositionExpired
	}
	gap := b.Head - c.Serial
	// The read must be evidence for this cursor, or nothing is proven.
	if c.Serial > 0 && w.At.Serial != c.Serial || gap > 0 && w.Next.Serial != c.Serial+1 {
		return Replay{}, StoreUnavailable
	}
	if c.Timed && c.Serial > 0 && c.Time != w.At.Time {
		return Replay{}, PositionAhead
	}
	if lim.exceeded(c, w, gap, now) {
		return Replay{}, WindowExceeded
	}
	return Replay{stream: b.Stream, from: c.Serial, to: b.Head}, Proven
}

func (lim Window) exceeded(c Cursor, w Witness, gap uint64, now int64) bool {
	if lim.CursorAge > 0 && c.Timed && now-c.Time > lim.CursorAge.Milliseconds() {
		return true
	}
	if gap == 0 {
		return false
	}
	return lim.Entries > 0 && gap > lim.Entries ||
		lim.Bytes > 0 && w.Bytes > lim.Bytes ||
		lim.Age > 0 && now-w.Next.Time > lim.Age.Milliseconds()
}
