package sim

import (
	"context"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// plantedState is a store that gets messages wrong.
type plantedState struct {
	planted
	ask    func(*stream.KeysQuery)
	keys   func(*stream.KeysQuery, *stream.KeysPage)
	before func(ops []stream.Op)
}

func (s plantedState) Keys(ctx context.Context, q stream.KeysQuery) (stream.KeysPage, error) {
	if s.ask != nil {
		s.ask(&q)
	}
	page, err := s.Store.Keys(ctx, q)
	if err == nil && s.keys != nil {
		page.Rows = append([]stream.KeyRow(nil), page.Rows...)
		s.keys(&q, &page)
	}
	return page, err
}

func (s plantedState) Append(ctx context.Context, ops []stream.Op) ([]stream.Result, error) {
	if s.before != nil {
		ops = append([]stream.Op(nil), ops...)
		s.before(ops)
	}
	return s.planted.Append(ctx, ops)
}

// TestStateIsJudged proves that faults in messages, keys and snapshots are found by what clients and editors see.
func TestStateIsJudged(t *testing.T) {
	tests := []struct {
		name, finds string
		plant       plantedState
	}{
		{"a snapshot lacks a key", "P4", plantedState{keys: func(_ *stream.KeysQuery, p *stream.KeysPage) {
			if n := len(p.Rows); n > 2 {
				p.Rows = append(p.Rows[:1], p.Rows[2:]...)
			}
		}}},
		{"a snapshot shows a key as it was before an edit", "P4", plantedState{keys: func(q *stream.KeysQuery, p *stream.KeysPage) {
			for i, row := range p.Rows {
				if s, err := message.Decode(row.State); err == nil && s.Version > 2 {
					s.Data.Bytes = []byte("old")
					p.Rows[i].State = s.Encode(nil)
				}
			}
		}}},
		{"a snapshot is newer than its serial", "P4", plantedState{ask: func(q *stream.KeysQuery) { q.At = 0 }}},
		{"an append is sent twice in replays", "P", plantedState{planted: planted{read: func(q stream.Query, p *stream.Page) {
			for i, e := range p.Entries {
				if q.Ref == stateRef && q.Limit > 1 && !q.RowsOnly && e.Kind == stream.Append && every(2, e) {
					c := *e
					c.Data.Bytes = append(c.Data.Bytes[:len(c.Data.Bytes):len(c.Data.Bytes)], c.Data.Bytes...)
					p.Entries[i] = &c
				}
			}
		}}}},
		{"an edit is sent with the text of another", "P4", plantedState{planted: planted{watch: func(a *stream.Advance) {
			for i, e := range a.Entries {
				if a.Ref == stateRef && e.Kind == stream.Append && every(3, e) {
					c := *e
					c.Data.Bytes = []byte("<wrong>")
					a.Entries[i] = &c
				}
			}
		}}}},
		{"guards are forgotten", "an update was lost", plantedState{before: func(ops []stream.Op) {
			for i := range ops {
				if ops[i].Ref == stateRef {
					ops[i].Guard = stream.Guard{}
				}
			}
		}}},
		{"receipts are forgotten", "P5", plantedState{before: func(ops []stream.Op) {
			for i := range ops {
				if ops[i].Ref == stateRef {
					ops[i].Receipt = nil
				}
			}
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for seed := uint64(1); seed <= 20; seed++ {
				r := live(t, Options{Seed: seed, Wrap: func(s stream.Store) stream.Store {
					p := tt.plant
					p.Store = s
					return p
				}})
				for _, v := range r.Violations {
					if strings.Contains(v, tt.finds) && strings.Contains(v, stateChannel) {
						return
					}
				}
			}
			t.Error("nobody noticed")
		})
	}
}
