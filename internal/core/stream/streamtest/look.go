package streamtest

import (
	"fmt"
	"maps"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// look compares one stream's answers with the model's.
func (d *dice) look() {
	d.Helper()
	ref := d.ref()
	m, keep := d.models[ref], d.rules.get(ref).Retention.KeepLatest
	for range 4 {
		d.lookPage(ref, m, keep)
	}
	at := m.floor + d.r.Uint64N(m.head-m.floor+1)
	for i := range 5 {
		d.lookState(ref, m, keep, fmt.Sprint("k", i), at)
	}
	q := stream.KeysQuery{Ref: ref, At: at, Limit: 1 + d.r.IntN(4)}
	if d.r.IntN(3) == 0 {
		q.After = fmt.Sprint("k", d.r.IntN(5))
	}
	if d.r.IntN(3) == 0 {
		q.Prefix = fmt.Sprint("k", d.r.IntN(5))[:1+d.r.IntN(2)]
	}
	if at == 0 {
		at = m.head
	}
	if got, want := d.keyData(q), m.rows(keep, at, q.After, q.Prefix); !maps.Equal(got, want) {
		d.Fatalf("keys %+v\n got %v\nwant %v", q, got, want)
	}
}

func (d *dice) lookPage(ref stream.Ref, m *model, keep bool) {
	d.Helper()
	r := d.r
	q := stream.Query{Ref: ref, Limit: 1 + r.IntN(12), Reverse: r.IntN(2) == 0, RowsOnly: r.IntN(4) == 0,
		HasWitness: true, Witness: m.floor + r.Uint64N(m.head-m.floor+3) - min(m.floor, 1)}
	if r.IntN(3) == 0 {
		q.From, q.To = r.Uint64N(m.head+2), r.Uint64N(m.head+2)
	}
	if all := m.retained(); r.IntN(4) == 0 && len(all) > 0 {
		q.FromTime = all[r.IntN(len(all))].Time + int64(r.IntN(3)) - 1
		q.ToTime = all[r.IntN(len(all))].Time + int64(r.IntN(3)) - 1
	}
	if r.IntN(4) == 0 {
		q.Bytes = 1 + r.IntN(500)
	}
	switch r.IntN(4) {
	case 0:
		q.Key = fmt.Sprint("k", r.IntN(5))
	case 1:
		q.Message = m.floor + r.Uint64N(m.head-m.floor+2)
		if s := m.key(m.keyOf(q.Message), keep, m.head); q.Message <= m.floor && (s == nil || s.Message != q.Message) {
			q.Message = 0 // what is left of an ended message may be answered or not
		}
	}
	got := d.read(q)
	want, more := m.page(q)
	d.wantSerials(fmt.Sprintf("%+v", q), got.Entries, serials(want)...)
	for i, e := range got.Entries {
		d.wantEntry(e, want[i])
	}
	if got.More != more && !(q.RowsOnly && got.More) {
		d.Fatalf("%+v: more is %v, want %v", q, got.More, more)
	}
	d.checkBounds(ref, got.Bounds)
	if w := m.witness(q.Witness, got.Bounds); got.Witness != w {
		d.Fatalf("%+v: witness %+v, want %+v", q, got.Witness, w)
	}
}

func (d *dice) lookState(ref stream.Ref, m *model, keep bool, key string, at uint64) {
	d.Helper()
	q := stream.Query{Ref: ref, Key: key, At: at}
	if at == 0 {
		at = m.head
	}
	d.wantState(q, d.state(q), m.key(key, keep, at), m, keep)
	if all := m.retained(); len(all) > 0 {
		e := all[d.r.IntN(len(all))]
		if e.Kind == stream.Create {
			q := stream.Query{Ref: ref, Message: e.Serial, At: max(at, e.Serial)}
			d.wantState(q, d.state(q), m.message(e.Serial, q.At), m, keep)
		}
	}
}

func (d *dice) wantState(q stream.Query, got, want *Folded, m *model, keep bool) {
	d.Helper()
	if got != nil && want != nil && (m.purged > m.base || m.floor > m.base && !keep) {
		got.Annotations = want.Annotations // a state row may remember reactions of before the floor
	}
	if got == nil && want == nil || got != nil && want != nil && *got == *want {
		return
	}
	d.Fatalf("state %+v\n got %+v\nwant %+v", q, got, want)
}

func (d *dice) checkAll(ref stream.Ref) {
	d.Helper()
	got, want := d.all(ref), d.models[ref].retained()
	for i, e := range got {
		d.wantEntry(e, want[i])
	}
}
