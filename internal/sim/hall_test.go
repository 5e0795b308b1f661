package sim

import (
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// TestHallIsJudged proves that faults of members are found by what is in the log and by what clients are shown.
func TestHallIsJudged(t *testing.T) {
	tests := []struct {
		name, finds string
		plant       plantedState
		from        uint64 // the seed to begin with, when few worlds show it
	}{
		{"a list lacks a member", "was shown", plantedState{keys: func(q *stream.KeysQuery, p *stream.KeysPage) {
			if n := len(p.Rows); q.Ref == hallRef && n > 2 {
				p.Rows = append(p.Rows[:1], p.Rows[2:]...)
			}
		}}, 0},
		{"the past is the present", "was shown", plantedState{ask: func(q *stream.KeysQuery) {
			if q.Ref == hallRef {
				q.At = 0
			}
		}}, 0},
		{"a coming is told to nobody", "", plantedState{planted: planted{watch: func(a *stream.Advance) {
			for i, e := range a.Entries {
				if a.Ref == hallRef && presence.ChangeOf(e) == presence.Added && every(2, e) {
					c := *e
					c.Version = 2
					a.Entries[i] = &c
				}
			}
		}}}, 0},
		{"a going is told to nobody", "", plantedState{planted: planted{watch: func(a *stream.Advance) {
			for i, e := range a.Entries {
				if a.Ref == hallRef && presence.ChangeOf(e) == presence.Removed {
					c := *e
					c.Kind = stream.Annotate
					a.Entries[i] = &c
				}
			}
		}}}, 0},
		{"a tab that closes takes its user out", "took", plantedState{before: func(ops []stream.Op) {
			for i := range ops {
				if e := &ops[i].Entry; ops[i].Ref == hallRef && e.Kind == stream.Put && e.Member.Cause != presence.Join {
					e.Kind, e.Set, e.Data = stream.Delete, stream.FieldData, stream.Data{}
				}
			}
		}}, 0},
		{"history has a hole", "the transitions from", plantedState{planted: planted{read: func(q stream.Query, p *stream.Page) {
			if q.Ref == hallRef && q.Limit > 100 && len(p.Entries) > 3 {
				p.Entries = append(p.Entries[:1], p.Entries[2:]...)
			}
		}}}, 0},
		{"a floor rises without a reason", "are refused", plantedState{planted: planted{read: func(q stream.Query, p *stream.Page) {
			if q.Ref == hallRef && q.Limit == 1 && !q.Reverse && q.From == q.To {
				p.Entries = nil
			}
		}}}, 0},
		{"orphans are not looked for", "the members end as", plantedState{keys: func(q *stream.KeysQuery, p *stream.KeysPage) {
			if q.Ref == hallRef && q.Limit == 1000 {
				p.Rows = nil
			}
		}}, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for n := range uint64(20) {
				seed := max(1, tt.from) + n
				r := live(t, Options{Seed: seed, Wrap: func(s stream.Store) stream.Store {
					p := tt.plant
					p.Store = s
					return p
				}})
				for _, v := range r.Violations {
					if strings.HasPrefix(v, hallChannel) && strings.Contains(v, tt.finds) {
						t.Logf("seed %d: %s", seed, v)
						return
					}
				}
			}
			t.Error("nobody noticed")
		})
	}
}
