package stream

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Durability says what an acknowledgement of an append means.
type Durability uint8

// The durability modes. Values are stored: append only.
const (
	Sync     Durability = iota // on stable storage before the acknowledgement and before anybody sees it
	Interval                   // synced every few milliseconds; an answer that names no serial may come before
	Volatile                   // memory only
)

func (d Durability) String() string {
	return [...]string{Sync: "sync", Interval: "interval", Volatile: "volatile"}[d%3]
}

// ParseDurability reads "sync", "interval" or "volatile".
func ParseDurability(s string) (Durability, error) {
	for _, d := range []Durability{Sync, Interval, Volatile} {
		if s == d.String() {
			return d, nil
		}
	}
	return 0, fault.New(fault.Invalid, "durability %q: use sync, interval or volatile", s)
}

// Retention bounds a log; whichever bound is reached first trims. Zero fields do not bound.
type Retention struct {
	Age     time.Duration
	Entries uint64
	Bytes   uint64
	// KeepLatest folds what is trimmed into the checkpoint: one row per live key.
	KeepLatest bool
	MaxKeys    uint64 // live keys that KeepLatest may hold; 0 = unlimited
}

// DefaultRetention is what a newcomer gets: 24 h, 10,000 entries or 64 MiB, whichever comes first.
func DefaultRetention() Retention {
	return Retention{Age: 24 * time.Hour, Entries: 10_000, Bytes: 64 << 20}
}

// Rules are what a store needs to know about a stream's policy. A store asks for them whenever it needs them, so a
// reload takes effect at once.
type Rules struct {
	Durability Durability
	Retention  Retention
}

// Floor says up to which serial a log must be trimmed by count and age, given its bounds: by is the serial of the last
// entry older than the age limit (0 if none). Trims come in steps of at least 1/16 of the limit, so limits may be
// overrun by a step; it answers b.Floor when nothing is due.
func (r Retention) Floor(b Bounds, by uint64) uint64 {
	floor := b.Floor
	if r.Entries > 0 && b.Retained() >= r.Entries+max(1, r.Entries/16) {
		floor = b.Head - r.Entries
	}
	return max(floor, min(by, b.Head))
}

// BytesOver is how many bytes the log must lose, 0 while it is within the limit and its step.
func (r Retention) BytesOver(b Bounds) uint64 {
	if r.Bytes == 0 || b.RetainedBytes() < r.Bytes+max(1, r.Bytes/16) {
		return 0
	}
	return b.RetainedBytes() - r.Bytes
}
