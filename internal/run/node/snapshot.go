package node

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/view"
)

// Pin names the moment that a snapshot shows. Without Serial and Time it is now.
type Pin struct {
	Ref       stream.Ref
	Serial    uint64
	HasSerial bool
	Time      int64 // unix ms; the state after the last entry that is not newer
	HasTime   bool
}

// Pinned is a moment that was found.
type Pinned struct {
	Bounds stream.Bounds
	At     stream.EntryID // serial 0: before the first entry
	// Complete is false when retention has removed messages that were there, so that a snapshot cannot show them.
	Complete bool
}

// Pin finds the moment of a snapshot. NotProvable when it lies below the floor, Invalid when it lies ahead.
func (n *Node) Pin(ctx context.Context, p Pin) (Pinned, error) {
	if err := n.logged(p.Ref); err != nil {
		return Pinned{}, err
	}
	q := stream.Query{Ref: p.Ref}
	switch {
	case p.HasSerial && p.Serial > 0:
		q.From, q.To, q.Limit = p.Serial, p.Serial, 1
	case p.HasTime && p.Time > 0:
		q.ToTime, q.Reverse, q.Limit = p.Time, true, 1
	}
	page, err := n.store.Read(ctx, q)
	if err != nil {
		return Pinned{}, err
	}
	b := page.Bounds
	policy, err := n.policy(p.Ref)
	if err != nil {
		return Pinned{}, err
	}
	pin := Pinned{Bounds: b, At: b.HeadID(), Complete: !b.Truncated() || policy.Retention.KeepLatest}
	switch {
	case len(page.Entries) > 0:
		pin.At = page.Entries[0].ID()
		return pin, nil
	case p.HasSerial:
		return pin, pin.serial(p.Serial)
	case p.HasTime:
		return pin, pin.time(p.Time)
	}
	return pin, nil
}

// serial pins a serial at which there is no entry: the floor, or one that cannot be pinned.
func (p *Pinned) serial(at uint64) error {
	b := p.Bounds
	switch {
	case at > b.Head:
		return fault.New(fault.Invalid, "serial %d is in the future: the head is %d", at, b.Head).In("at_serial")
	case at != b.Floor:
		return notProvable(b.Floor, "serial", at)
	}
	p.At = b.FloorID()
	return nil
}

// time pins a time before every retained entry: the floor, if that was there already.
func (p *Pinned) time(at int64) error {
	b := p.Bounds
	if b.Floor > 0 && at < b.FloorTime {
		return notProvable(b.Floor, "time", at)
	}
	p.At = b.FloorID()
	return nil
}

func notProvable(floor uint64, what string, n any) error {
	return fault.New(fault.NotProvable, "the state at %s %d is not provable: retention has removed what is at or before serial %d", what, n, floor).With(floor)
}

// SnapshotQuery asks for a part of a snapshot: keyed messages in order of their keys first, then messages without a key
// in order of their serials.
type SnapshotQuery struct {
	Ref    stream.Ref
	At     uint64 // as pinned
	Prefix string // of keys; messages without a key are left out unless it is empty
	After  string // keys greater than this
	Rows   bool   // the keys are done
	Beyond uint64 // with Rows: serials greater than this
	Limit  int
	Bytes  int
}

// Snapshot is a part of a snapshot.
type Snapshot struct {
	Bounds stream.Bounds
	Items  []message.State
	// More is true when the snapshot goes on at Rows, After and Beyond. A part may have fewer items than the limit, even
	// none, and go on: what it looked at is bounded too.
	More   bool
	Rows   bool
	After  string
	Beyond uint64
}

// scanned is how many history rows a part of a snapshot looks at for each item that it may have.
const scanned = 4

// Snapshot reads a part of the fold of a stream at a serial. NotProvable when retention has passed the serial.
func (n *Node) Snapshot(ctx context.Context, q SnapshotQuery) (Snapshot, error) {
	if err := n.logged(q.Ref); err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Rows: q.Rows, After: q.After, Beyond: q.Beyond}
	if q.At == 0 { // nothing has happened yet: Keys would take 0 for the head
		page, err := n.store.Read(ctx, stream.Query{Ref: q.Ref})
		s.Bounds = page.Bounds
		return s, err
	}
	size := 0
	if !s.Rows {
		full, err := n.snapshotKeys(ctx, &q, &s, &size)
		if err != nil || full {
			return s, err
		}
		s.Rows, s.Beyond = true, 0
		if q.Prefix != "" {
			return s, nil
		}
		if len(s.Items) == q.Limit {
			s.More = true
			return s, nil
		}
	}
	return s, n.snapshotRows(ctx, &q, &s, size)
}

// snapshotKeys adds keyed messages. full reports that the part ends before the keys do.
func (n *Node) snapshotKeys(ctx context.Context, q *SnapshotQuery, s *Snapshot, size *int) (full bool, err error) {
	page, err := n.store.Keys(ctx, stream.KeysQuery{Ref: q.Ref, At: q.At, After: q.After, Prefix: q.Prefix, Limit: q.Limit})
	if err != nil {
		return false, err
	}
	s.Bounds, s.Items = page.Bounds, make([]message.State, 0, len(page.Rows))
	for _, row := range page.Rows {
		if *size += len(row.State); q.Bytes > 0 && *size > q.Bytes && len(s.Items) > 0 {
			s.More = true
			return true, nil
		}
		state, err := message.Decode(row.State)
		if err != nil {
			return false, err
		}
		s.Items, s.After = append(s.Items, state), row.Key
	}
	s.More = page.More
	return page.More, nil
}

// snapshotRows adds messages without a key: the creates of the history, each as it was at the pinned serial.
func (n *Node) snapshotRows(ctx context.Context, q *SnapshotQuery, s *Snapshot, size int) error {
	room := q.Limit - len(s.Items)
	page, err := n.store.Read(ctx, stream.Query{Ref: q.Ref, From: s.Beyond + 1, To: q.At, RowsOnly: true, Limit: max(room*scanned, 1), Bytes: q.Bytes})
	if err != nil {
		return err
	}
	b := page.Bounds
	if s.Bounds.Stream != "" && s.Bounds.Stream != b.Stream || b.Floor > q.At {
		return notProvable(b.Floor, "serial", q.At)
	}
	s.Bounds = b // rows that were trimmed between two parts have expired: they are not missed
	for entries := page.Entries; ; {
		room := q.Limit - len(s.Items)
		creates, rest := creations(entries, max(room, 1))
		if len(creates) == 0 {
			break
		}
		if s.More = true; room == 0 || q.Bytes > 0 && size > q.Bytes {
			return nil
		}
		states, err := view.Rows(ctx, n.store, q.Ref, creates, q.At, b)
		if err != nil {
			return err
		}
		for i := range states {
			if q.Bytes > 0 && size > q.Bytes {
				return nil
			}
			if states[i].Live() {
				s.Items = append(s.Items, states[i])
				size += len(states[i].Data.Bytes)
			}
			s.Beyond = creates[i].Serial
		}
		entries = rest
	}
	if s.More = page.More; len(page.Entries) > 0 {
		s.Beyond = page.Entries[len(page.Entries)-1].Serial
	}
	return nil
}

// creations are the first creates among rows, at most room, and the rows after them.
func creations(rows []*stream.Entry, room int) (creates, rest []*stream.Entry) {
	for i, e := range rows {
		if len(creates) == room {
			return creates, rows[i:]
		}
		if e.Kind == stream.Create {
			creates = append(creates, e)
		}
	}
	return creates, nil
}
