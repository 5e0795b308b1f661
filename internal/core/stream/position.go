package stream

import (
	"strconv"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// MaxSerial is the largest serial: JSON numbers above it lose precision in JavaScript.
const MaxSerial = 1<<53 - 1

// EntryID is a serial together with the entry's time, which doubles as a fingerprint of the entry.
type EntryID struct {
	Time   int64 // unix ms
	Serial uint64
}

// String is the form "<unix ms>-<serial>".
func (id EntryID) String() string {
	return strconv.FormatInt(id.Time, 10) + "-" + strconv.FormatUint(id.Serial, 10)
}

// ParseEntryID reads "<unix ms>-<serial>": decimal digits without sign, leading zeros or space, serial ≤ MaxSerial.
func ParseEntryID(s string) (EntryID, error) {
	ms, serial, ok := strings.Cut(s, "-")
	if !ok || !decimal(ms) || !decimal(serial) {
		return EntryID{}, badEntryID(s)
	}
	t, err := strconv.ParseInt(ms, 10, 64)
	if err != nil || t > MaxSerial {
		return EntryID{}, badEntryID(s)
	}
	n, err := strconv.ParseUint(serial, 10, 64)
	if err != nil || n > MaxSerial {
		return EntryID{}, badEntryID(s)
	}
	return EntryID{Time: t, Serial: n}, nil
}

func badEntryID(s string) error {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return fault.New(fault.Invalid, "entry id %q is not of the form <unix ms>-<serial>", s)
}

func decimal(s string) bool {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Bounds says what of a stream can be read: the log holds (Floor, Head] without a hole.
type Bounds struct {
	Stream ID
	Base   uint64 // the floor at which this id began; "truncated by retention" means Floor > Base
	Floor  uint64 // the last trimmed serial, 0 at first
	Head   uint64 // the last visible serial
	// FloorTime and HeadTime are the times of the entries at Floor and Head (unix ms); 0 where there never was one.
	FloorTime int64
	HeadTime  int64
	FloorCum  uint64 // Entry.Cum at Floor
	HeadCum   uint64 // Entry.Cum at Head
	// Born is the time before which a cursor cannot be judged: the start of the process for a volatile stream, the
	// last forgetting for a channel without a row. 0: no such bound.
	Born int64
	// Logged is false when the channel keeps no log at all.
	Logged bool
	// Mutated is true once an entry of this incarnation was put, updated, appended to, deleted or annotated: only then
	// can an entry's visible state differ from the entry.
	Mutated bool
	Keys    uint64 // live keys
}

// HeadID is the entry id at the head.
func (b Bounds) HeadID() EntryID { return EntryID{Time: b.HeadTime, Serial: b.Head} }

// FloorID is the entry id at the floor.
func (b Bounds) FloorID() EntryID { return EntryID{Time: b.FloorTime, Serial: b.Floor} }

// Retained is how many entries can be read.
func (b Bounds) Retained() uint64 { return b.Head - b.Floor }

// RetainedBytes is the size of the entries that can be read.
func (b Bounds) RetainedBytes() uint64 { return b.HeadCum - b.FloorCum }

// Truncated reports whether retention has removed entries of this incarnation.
func (b Bounds) Truncated() bool { return b.Floor > b.Base }
