package view

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Row is what a history row (a create or a put) shows at a serial: the message as the entries after the row, up to the
// next put of its key, have made it.
func Row(ctx context.Context, r Reader, ref stream.Ref, row *stream.Entry, at uint64, mutated bool) (message.State, error) {
	if !mutated || row.Serial == at && row.Message == row.Serial {
		return message.AsOf(row, nil, at)
	}
	if row.Key == "" {
		s, _, err := Message(ctx, r, ref, row.Message, "", at)
		return s, err
	}
	for _, limit := range [...]int{1, nearEntries} { // mostly the entry after a put is the next put
		near, err := r.Read(ctx, stream.Query{Ref: ref, Key: row.Key, From: row.Serial + 1, To: at, Limit: limit, Bytes: nearBytes})
		if err != nil {
			return message.State{}, err
		}
		if s, ok, err := asOf(row, near.Entries, at, !near.More); ok {
			return s, err
		}
		if !near.More {
			break
		}
	}
	return far(ctx, r, ref, row, at)
}

// What is read of a key behind one of its puts, in the hope that the next put is among it.
const (
	nearEntries = 16
	nearBytes   = 64 << 10
)

// asOf is what a row shows when that is known from the entries after it, in order. all says that they are all there
// are of the row's message up to at. ok is false when more must be read: a put that is still the newest of its key shows
// what it carries on of the puts before it.
func asOf(row *stream.Entry, later []*stream.Entry, at uint64, all bool) (s message.State, ok bool, err error) {
	superseded := false
	for _, e := range later {
		if e.Kind.Row() && e.Serial > row.Serial && e.Serial <= at {
			superseded, all = e.Message == row.Message, true // another message of the key begins where this one has ended
			break
		}
	}
	if !superseded && (!all || row.Message != row.Serial) {
		return s, false, nil
	}
	s, err = message.AsOf(row, later, at)
	return s, true, err
}

// far is what a put shows when nothing is known of it.
func far(ctx context.Context, r Reader, ref stream.Ref, row *stream.Entry, at uint64) (message.State, error) {
	s, _, err := Message(ctx, r, ref, row.Message, row.Key, at)
	if err != nil || s.Row.Serial == row.Serial {
		return s, err
	}
	next, err := r.Read(ctx, stream.Query{Ref: ref, Key: row.Key, From: row.Serial + 1, To: at, RowsOnly: true, Limit: 1})
	if err != nil {
		return s, err
	}
	before := at
	if len(next.Entries) > 0 {
		before = next.Entries[0].Serial - 1
	}
	s, _, err = Message(ctx, r, ref, row.Message, row.Key, before)
	if err == nil && s.Row.Serial != row.Serial {
		return message.AsOf(row, nil, at)
	}
	return s, err
}

// Rows are what the rows of a page of history show at a serial. The page, in either order, was read with the bounds b.
// The log around it is read in one piece where it is dense, so that most rows cost no read of their own.
func Rows(ctx context.Context, r Reader, ref stream.Ref, rows []*stream.Entry, at uint64, b stream.Bounds) ([]message.State, error) {
	states := make([]message.State, len(rows))
	var around swept
	if b.Mutated && len(rows) > 1 {
		var err error
		if around, err = sweep(ctx, r, ref, rows, at, b.Stream); err != nil {
			return nil, err
		}
	}
	for i, row := range rows {
		s, ok, err := around.show(row, at)
		if !ok && err == nil {
			s, err = Row(ctx, r, ref, row, at, b.Mutated)
		}
		if err != nil {
			return nil, err
		}
		states[i] = s
	}
	return states, nil
}

// swept is what a piece of the log says about the messages of some rows.
type swept struct {
	upto    uint64                     // the end of the piece; 0: there is none
	entries map[uint64][]*stream.Entry // message → its entries
}

// How far a sweep goes beyond the page's last row, and how sparse the page's rows may be.
const (
	sweepBeyond = 256
	sweepSparse = 8
	sweepBytes  = 1 << 20
)

func sweep(ctx context.Context, r Reader, ref stream.Ref, rows []*stream.Entry, at uint64, id stream.ID) (swept, error) {
	var s swept
	first, last := rows[0].Serial, rows[len(rows)-1].Serial
	if first > last {
		first, last = last, first
	}
	to := min(at, last+sweepBeyond)
	n := to - first
	if to <= first || n > uint64(sweepSparse*len(rows)+sweepBeyond) {
		return s, nil
	}
	p, err := r.Read(ctx, stream.Query{Ref: ref, From: first + 1, To: to, Limit: int(n), Bytes: sweepBytes})
	if err != nil || p.Bounds.Stream != id || len(p.Entries) == 0 || p.Entries[0].Serial != first+1 {
		return s, err
	}
	s.upto = p.Entries[len(p.Entries)-1].Serial
	s.entries = make(map[uint64][]*stream.Entry, len(rows))
	for _, row := range rows {
		s.entries[row.Message] = nil
	}
	for _, e := range p.Entries {
		if list, ok := s.entries[e.Message]; ok {
			s.entries[e.Message] = append(list, e)
		}
	}
	return s, nil
}

// show is what a row shows, if the sweep knows.
func (s *swept) show(row *stream.Entry, at uint64) (message.State, bool, error) {
	if s.upto < row.Serial {
		return message.State{}, false, nil
	}
	return asOf(row, s.entries[row.Message], at, s.upto == at)
}
