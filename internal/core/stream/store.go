package stream

import (
	"context"
	"time"
)

// Store keeps logs. All methods may be called concurrently. What Read and Keys return is cut at the visible head:
// nothing that is not stable in its mode can be read, whoever asks. Entries and rows are shared: callers must not
// change them. Errors are faults: Unavailable when the log cannot be read or written now, Full at the free-space
// reserve, Invalid for a query that cannot be right. ctx bounds the waiting, never the outcome: an append whose
// caller gave up may still become visible.
type Store interface {
	// Append decides every op in order (see Meta.Decide) and answers each with its own Result when that result is
	// visible. The ops of one call that concern one stream are written in one atomic step: after a crash all of them
	// are there or none. An error means that no op was decided; a failed write or sync is Outcome Unknown in the
	// results of the ops that it concerns.
	Append(ctx context.Context, ops []Op) ([]Result, error)
	// Read returns a page of entries with the bounds and the witness of the same instant.
	Read(ctx context.Context, q Query) (Page, error)
	// Keys returns a page of the fold's rows at a serial, in order of key bytes: keyed messages only.
	Keys(ctx context.Context, q KeysQuery) (KeysPage, error)
	// Cut trims, purges or resets, through the committer, and returns the bounds after it.
	Cut(ctx context.Context, c Cut) (CutResult, error)
	// Watch calls f for every advance of a visible head and every cut, in order for each stream. f must return
	// quickly and must not call the store. The returned function ends the watch; f is not called after it returned.
	Watch(f func(Advance)) (stop func())
	// Info says what the store is and what it guarantees.
	Info() Info
}

// Op is one append.
type Op struct {
	Ref Ref
	// Entry is what to append. Serial, Time, Cum, Message and Version are allotted by the committer; for a mutation
	// or annotation Message names its target, or Key does.
	Entry   Entry
	Receipt *Receipt
	Guard   Guard
	// Early asks for the answer before visibility where the durability mode allows it (Interval): only for callers
	// whose answer names no serial.
	Early bool
}

// Receipt makes an append idempotent: the same key with the same fingerprint gets the first answer again.
type Receipt struct {
	Key         string // unique within the stream; 1–400 bytes
	Fingerprint [16]byte
	TTL         time.Duration
}

// Guard is a condition that the committer decides in batch order. The conditions that a kind implies (a mutation needs
// a message that is there and not deleted, an append one whose data is text) need no guard.
type Guard struct {
	IfVersion  uint32 // the message's current version must be this; 0 = any
	IfSerial   uint64 // the newest entry of the subject must have this serial; 0 = any
	IfAbsent   bool   // a put only if the key is not live
	IfCreator  string // a mutation only if this user began the message; empty = anyone
	MaxBytes   uint64 // size that a message's data may grow to; 0 = unlimited
	MaxVersion uint32 // versions that a message may have; 0 = unlimited
}

// Outcome of one op.
type Outcome uint8

// The outcomes.
const (
	Applied   Outcome = iota + 1
	Duplicate         // the receipt was there: this is the first answer again
	Refused           // a guard did not hold, or the op is impossible; Result.Err says why, nothing was written
	Unknown           // the write or sync failed: it may or may not be there after the store has reopened
)

// Result answers one op.
type Result struct {
	Outcome Outcome
	Stream  ID
	Entry   EntryID // zero for an early answer
	Message uint64  // serial of the message's create
	Row     uint64  // serial of the history row that the entry belongs to: the create, or the message's last put
	Version uint32
	// Err is a fault when Outcome is Refused (Conflict with Detail = current version, NotFound, Invalid, TooLarge,
	// LimitExceeded, Mismatch, Forbidden) or Unknown.
	Err error
}

// Query asks for entries. The zero value of a bound does not bound.
type Query struct {
	Ref      Ref
	From, To uint64 // serials, inclusive
	// FromTime and ToTime bound the entries' time, inclusive, unix ms.
	FromTime, ToTime int64
	Reverse          bool // newest first
	RowsOnly         bool // creates and puts only
	// Message or Key restricts the page to the entries of one message, or one key.
	Message uint64
	Key     string
	// State asks, with Message or Key, for the folded state: Page.State is the newest kept state row at or below At
	// (0: the head), and the page's entries are those after it up to At. What a put supersedes may be left out of them
	// when the state holds what the put carries on. From, To and Limit are ignored.
	State bool
	At    uint64
	// Limit is the largest number of entries; 0 reads no entry, only bounds and witness. Bytes bounds the sum of their
	// sizes (at least one entry is returned); 0 = no bound.
	Limit int
	Bytes int
	// Witness asks for the witness of a cursor at this serial; HasWitness tells it from serial 0.
	Witness    uint64
	HasWitness bool
}

// Page is an answer to a Query.
type Page struct {
	Bounds  Bounds
	Entries []*Entry
	Witness Witness
	More    bool // there are further entries within the query's bounds
	// State is the fold's row that the entries continue, nil to start from nothing; StateAt its serial.
	State   []byte
	StateAt uint64
}

// KeysQuery asks for rows of the fold.
type KeysQuery struct {
	Ref    Ref
	At     uint64 // serial; 0 = the head. Below the floor: fault NotProvable with Detail = floor
	After  string // keys greater than this
	Prefix string
	Limit  int
}

// KeyRow is the folded state of one live key.
type KeyRow struct {
	Key   string
	State []byte // as made by the Fold that the store was given
}

// KeysPage is an answer to a KeysQuery.
type KeysPage struct {
	Bounds Bounds
	At     uint64
	Rows   []KeyRow
	More   bool
}

// Fold continues the state of one message (nil: nothing yet) with its next entries, in order. live is false when nothing
// visible is left (a tombstone still is a state; a store drops rows that are not live from checkpoints). It is pure;
// state and entries must not be changed. One call for many entries costs one copy of the state.
//
// In the log Messages a put supersedes: beyond the message's serial, version, beginning and annotations its state owes
// nothing to what came before it. So a store may fold a key from its last put on, behind Header.Ancestor.
type Fold func(state []byte, entries ...*Entry) (next []byte, live bool, err error)

// CutKind says what a Cut does.
type CutKind uint8

// The cuts.
const (
	Trim  CutKind = iota + 1 // move the floor, folding into the checkpoint where the policy keeps the latest
	Purge                    // move the floor and drop checkpoint rows at or below it
	Reset                    // begin a new incarnation: head = floor = base = old head + 1
)

// Cut moves a floor or begins a new incarnation.
type Cut struct {
	Ref     Ref
	Kind    CutKind
	Through uint64 // Trim, Purge: the new floor; clamped to the head. Below the present floor nothing happens
}

// CutResult says what a Cut did.
type CutResult struct {
	Before, After Bounds
	Entries       uint64 // removed
	Bytes         uint64
}

// Advance tells a watcher that something became visible, or was cut. Entries may be nil when the store knows only
// that the head moved; otherwise they are contiguous and end at Bounds.Head.
type Advance struct {
	Ref     Ref
	Bounds  Bounds
	Entries []*Entry
	Cut     CutKind // 0 for an append
}

// Info describes a store.
type Info struct {
	Name  string
	Epoch string // 32 hex digits, one per store generation
	// What an acknowledged sync append survives.
	ProcessCrash, MachineCrash, Failover bool
	Note                                 string // one sentence for the operator
}
