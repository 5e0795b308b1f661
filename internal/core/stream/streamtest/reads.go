package streamtest

import (
	"fmt"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

var readTests = []test{
	{"ranges", nil, (*world).testRanges},
	{"pages by limit and bytes", nil, (*world).testPages},
	{"ranges of time", nil, (*world).testTimes},
	{"rows, messages and keys", nil, (*world).testFilters},
	{"witness", nil, (*world).testWitness},
	{"a page and its bounds are of one instant", nil, (*world).testInstant},
}

func (w *world) testRanges() {
	for i := range 10 {
		w.applied(create(room, fmt.Sprint(i)))
	}
	w.cut(room, stream.Trim, 2)
	for _, tt := range []struct {
		q    stream.Query
		want []uint64
		more bool
	}{
		{stream.Query{Limit: 100}, []uint64{3, 4, 5, 6, 7, 8, 9, 10}, false},
		{stream.Query{Limit: 3}, []uint64{3, 4, 5}, true},
		{stream.Query{From: 1, To: 4, Limit: 100}, []uint64{3, 4}, false},
		{stream.Query{From: 4, Limit: 2}, []uint64{4, 5}, true},
		{stream.Query{From: 9, Limit: 2}, []uint64{9, 10}, false},
		{stream.Query{From: 9, To: 99, Limit: 1}, []uint64{9}, true},
		{stream.Query{From: 11, Limit: 5}, nil, false},
		{stream.Query{From: 5, To: 4, Limit: 5}, nil, false},
		{stream.Query{To: 2, Limit: 5}, nil, false},
		{stream.Query{Reverse: true, Limit: 3}, []uint64{10, 9, 8}, true},
		{stream.Query{Reverse: true, From: 8, Limit: 3}, []uint64{10, 9, 8}, false},
		{stream.Query{Reverse: true, To: 5, Limit: 100}, []uint64{5, 4, 3}, false},
		{stream.Query{Reverse: true, From: 4, To: 6, Limit: 2}, []uint64{6, 5}, true},
		{stream.Query{Reverse: true, From: 5, To: 4, Limit: 2}, nil, false},
	} {
		tt.q.Ref = room
		p := w.read(tt.q)
		w.wantSerials(fmt.Sprintf("%+v", tt.q), p.Entries, tt.want...)
		if p.More != tt.more {
			w.Fatalf("%+v: more is %v", tt.q, p.More)
		}
		if p.Bounds != w.bounds(room) {
			w.Fatalf("%+v: bounds %+v", tt.q, p.Bounds)
		}
	}
	if p := w.read(stream.Query{Ref: room}); p.Entries != nil {
		w.Fatalf("limit 0 read %d entries", len(p.Entries))
	}
}

func (w *world) testPages() {
	size := 0
	for range 20 {
		w.applied(create(room, "0123456789"))
		size = w.all(room)[0].Size()
	}
	for _, reverse := range []bool{false, true} {
		for _, q := range []stream.Query{{Limit: 7}, {Limit: 100, Bytes: 3 * size}, {Limit: 100, Bytes: 1}, {Limit: 2, Bytes: 5 * size}} {
			q.Ref, q.Reverse = room, reverse
			var got []*stream.Entry
			for {
				p := w.read(q)
				if len(p.Entries) == 0 || len(p.Entries) > q.Limit || q.Bytes > 1 && len(p.Entries) > q.Bytes/size {
					w.Fatalf("%+v: a page of %d entries", q, len(p.Entries))
				}
				got = append(got, p.Entries...)
				if last := p.Entries[len(p.Entries)-1].Serial; reverse {
					q.To = last - 1
				} else {
					q.From = last + 1
				}
				if !p.More {
					break
				}
			}
			if len(got) != 20 {
				w.Fatalf("%+v: the pages have %d entries, want 20", q, len(got))
			}
			for i, e := range got {
				if want := uint64(i + 1); !reverse && e.Serial != want || reverse && e.Serial != 21-want {
					w.Fatalf("%+v: entry %d of the pages is %d", q, i, e.Serial)
				}
			}
		}
	}
}

func (w *world) testTimes() {
	start := w.clock.now()
	for range 6 { // serials 1,2 at start; 3,4 at +1 s; 5,6 at +2 s
		if n := w.bounds(room).Head; n > 0 && n%2 == 0 {
			w.clock.advance(time.Second)
		}
		w.applied(create(room, "x"))
	}
	at := func(ms int64) int64 { return start + ms }
	for _, tt := range []struct {
		q    stream.Query
		want []uint64
	}{
		{stream.Query{FromTime: at(0)}, []uint64{1, 2, 3, 4, 5, 6}},
		{stream.Query{FromTime: at(1)}, []uint64{3, 4, 5, 6}},
		{stream.Query{FromTime: at(1000)}, []uint64{3, 4, 5, 6}},
		{stream.Query{FromTime: at(1001), ToTime: at(1999)}, nil},
		{stream.Query{ToTime: at(1000)}, []uint64{1, 2, 3, 4}},
		{stream.Query{ToTime: at(-1)}, nil},
		{stream.Query{FromTime: at(2001)}, nil},
		{stream.Query{FromTime: at(1000), ToTime: at(1000), Reverse: true}, []uint64{4, 3}},
		{stream.Query{FromTime: at(1000), From: 4, ToTime: at(2000), To: 5}, []uint64{4, 5}},
		{stream.Query{ToTime: at(1500), Reverse: true}, []uint64{4, 3, 2, 1}},
	} {
		tt.q.Ref, tt.q.Limit = room, 10
		w.wantSerials(fmt.Sprintf("%+v", tt.q), w.read(tt.q).Entries, tt.want...)
	}
	w.cut(room, stream.Trim, 3)
	w.wantSerials("after a trim", w.read(stream.Query{Ref: room, FromTime: at(500), Limit: 10}).Entries, 4, 5, 6)
}

func (w *world) testFilters() {
	w.applied(create(room, "a"), put(room, "k", "1"), fragment(room, 1, "b"), put(room, "l", "1"), keyed(update(room, 0, "2"), "k"),
		create(room, "lonely"), put(room, "k", "3"), react(room, 1), remove(room, 1), react(room, 6))
	for _, tt := range []struct {
		q    stream.Query
		want []uint64
		more bool
	}{
		{stream.Query{RowsOnly: true, Limit: 10}, []uint64{1, 2, 4, 6, 7}, false},
		{stream.Query{RowsOnly: true, Limit: 2}, []uint64{1, 2}, true},
		{stream.Query{RowsOnly: true, Limit: 2, Reverse: true}, []uint64{7, 6}, true},
		{stream.Query{RowsOnly: true, Limit: 5}, []uint64{1, 2, 4, 6, 7}, false},
		{stream.Query{RowsOnly: true, From: 2, To: 6, Limit: 10}, []uint64{2, 4, 6}, false},
		{stream.Query{Message: 1, Limit: 10}, []uint64{1, 3, 8, 9}, false},
		{stream.Query{Message: 1, Limit: 2, Reverse: true}, []uint64{9, 8}, true},
		{stream.Query{Message: 1, From: 2, To: 8, Limit: 10}, []uint64{3, 8}, false},
		{stream.Query{Message: 1, RowsOnly: true, Limit: 10}, []uint64{1}, false},
		{stream.Query{Message: 6, Limit: 10}, []uint64{6, 10}, false},
		{stream.Query{Message: 2, Limit: 10}, []uint64{2, 5, 7}, false},
		{stream.Query{Message: 3, Limit: 10}, nil, false},
		{stream.Query{Message: 99, Limit: 10}, nil, false},
		{stream.Query{Key: "k", Limit: 10}, []uint64{2, 5, 7}, false},
		{stream.Query{Key: "k", Limit: 10, RowsOnly: true, Reverse: true}, []uint64{7, 2}, false},
		{stream.Query{Key: "k", Limit: 2}, []uint64{2, 5}, true},
		{stream.Query{Key: "none", Limit: 2}, nil, false},
	} {
		tt.q.Ref = room
		p := w.read(tt.q)
		w.wantSerials(fmt.Sprintf("%+v", tt.q), p.Entries, tt.want...)
		if p.More != tt.more && !(p.More && tt.q.RowsOnly) { // whether a row follows need not be known
			w.Fatalf("%+v: more is %v", tt.q, p.More)
		}
	}
	fresh := w.applied(create(room, "untouched"))[0]
	w.wantSerials("a message that nobody changed", w.read(stream.Query{Ref: room, Message: fresh.Message, Limit: 9}).Entries, 11)
}

func (w *world) testWitness() {
	for range 6 {
		w.clock.advance(time.Second)
		w.applied(create(room, "0123456789"))
	}
	entries := w.all(room)
	w.cut(room, stream.Trim, 2)
	for c := range uint64(9) {
		p := w.read(stream.Query{Ref: room, Witness: c, HasWitness: true, Limit: int(c % 2)})
		var want stream.Witness
		if c >= 2 && c <= 6 {
			want.At = entries[c-1].ID()
			want.Bytes = entries[5].Cum - entries[c-1].Cum
			if c < 6 {
				want.Next = entries[c].ID()
			}
		}
		if p.Witness != want {
			w.Fatalf("witness of %d: %+v, want %+v", c, p.Witness, want)
		}
		_, reason := stream.Prove(stream.Cursor{Serial: c, Stream: p.Bounds.Stream}, p.Bounds, p.Witness, stream.Window{}, w.clock.now())
		if proven := reason == stream.Proven; proven != (c >= 2 && c <= 6) {
			w.Fatalf("cursor %d: %v", c, reason)
		}
	}
	r := w.cut(room, stream.Reset, 0).After
	p := w.read(stream.Query{Ref: room, Witness: r.Head, HasWitness: true})
	if p.Witness != (stream.Witness{At: r.HeadID()}) {
		w.Fatalf("witness at the head of a new incarnation: %+v", p.Witness)
	}
}

// testInstant reads while others append and trim: every page must be whole within its own bounds.
func (w *world) testInstant() {
	w.applied(create(room, "0"), put(room, "k", ""))
	stop := make(chan struct{})
	var churn, readers sync.WaitGroup
	churn.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			ops := []stream.Op{create(room, "x"), put(room, "k", "y")}
			if _, err := w.store.Append(w.Context(), ops); err != nil {
				w.Errorf("append: %v", err)
				return
			}
			if i%4 == 0 {
				if _, err := w.store.Cut(w.Context(), stream.Cut{Ref: room, Kind: stream.Trim, Through: uint64(2 * i)}); err != nil {
					w.Errorf("trim: %v", err)
					return
				}
			}
		}
	})
	for n := range 2 {
		readers.Go(func() {
			for i := range 300 {
				q := stream.Query{Ref: room, Limit: 1 << 20, Reverse: (n+i)%2 == 1, HasWitness: true, Witness: uint64(i)}
				p, err := w.store.Read(w.Context(), q)
				if err != nil {
					w.Errorf("read: %v", err)
					return
				}
				if !wholePage(p, q.Reverse) {
					w.Errorf("the page (%d, %d] has serials %v", p.Bounds.Floor, p.Bounds.Head, serials(p.Entries))
					return
				}
				in := q.Witness >= p.Bounds.Floor && q.Witness <= p.Bounds.Head
				if in != (p.Witness.At.Serial == q.Witness && (q.Witness == p.Bounds.Head || p.Witness.Next.Serial == q.Witness+1)) {
					w.Errorf("bounds (%d, %d] with witness %+v of %d", p.Bounds.Floor, p.Bounds.Head, p.Witness, q.Witness)
					return
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	churn.Wait()
}

func wholePage(p stream.Page, reverse bool) bool {
	if uint64(len(p.Entries)) != p.Bounds.Retained() || p.More {
		return false
	}
	for i, e := range p.Entries {
		want := p.Bounds.Floor + uint64(i) + 1
		if reverse {
			want = p.Bounds.Head - uint64(i)
		}
		if e.Serial != want {
			return false
		}
	}
	return true
}
