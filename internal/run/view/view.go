// Package view reads the visible state of messages: pages of a store, folded at a serial.
package view

import (
	"context"
	"fmt"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Reader is what view needs of a stream.Store.
type Reader interface {
	Read(ctx context.Context, q stream.Query) (stream.Page, error)
}

// Message is the message at a serial (0: the head), found by its own serial, or by key when key is not empty. The zero
// State means that there is no such message. The cost is bounded: one kept state and the few entries after it.
func Message(ctx context.Context, r Reader, ref stream.Ref, serial uint64, key string, at uint64) (message.State, stream.Bounds, error) {
	q := stream.Query{Ref: ref, State: true, At: at, Key: key}
	if key == "" {
		q.Message = serial
	}
	page, err := r.Read(ctx, q)
	if err != nil {
		return message.State{}, stream.Bounds{}, err
	}
	s, err := message.Continue(page.State, page.Entries)
	if err != nil {
		return message.State{}, page.Bounds, fmt.Errorf("fold message %d %q of %v at %d: %w", serial, key, ref, at, err)
	}
	return s, page.Bounds, nil
}

// Row is what a history row (a create or a put) shows at a serial: the message as the entries after the row, up to the
// next put of its key, have made it.
func Row(ctx context.Context, r Reader, ref stream.Ref, row *stream.Entry, at uint64, mutated bool) (message.State, error) {
	if !mutated || row.Serial == at {
		return message.AsOf(row, nil, at)
	}
	s, _, err := Message(ctx, r, ref, row.Message, row.Key, at)
	if err != nil {
		return s, err
	}
	if s.Row.Serial == row.Serial || row.Key == "" {
		return s, nil
	}
	next, err := r.Read(ctx, stream.Query{Ref: ref, Key: row.Key, From: row.Serial + 1, To: at, RowsOnly: true, Limit: 1})
	if err != nil {
		return s, err
	}
	before := at
	if len(next.Entries) > 0 {
		before = next.Entries[0].Serial - 1
	}
	if before == row.Serial {
		return message.AsOf(row, nil, at)
	}
	s, _, err = Message(ctx, r, ref, row.Message, row.Key, before)
	if err == nil && s.Row.Serial != row.Serial {
		return message.AsOf(row, nil, at)
	}
	return s, err
}
