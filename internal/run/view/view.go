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
