package streamtest

import (
	"fmt"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

var receiptTests = []test{
	{"a receipt gives the first answer again", nil, (*world).testReceipt},
	{"receipts in one batch", nil, (*world).testReceiptBatch},
	{"receipts of many publishers", nil, (*world).testReceiptRace},
	{"receipts outlive trim, purge and reset", nil, (*world).testReceiptCut},
	{"receipts outlive a restart", func(h Harness) bool { return h.Reopen != nil }, (*world).testReceiptReopen},
}

func (w *world) wantDuplicate(r, first stream.Result) {
	w.Helper()
	if r.Outcome != stream.Duplicate || r.Err != nil || r.Entry != first.Entry || r.Stream != first.Stream || r.Message != first.Message ||
		r.Row != first.Row || r.Version != first.Version {
		w.Fatalf("got %+v, want the first answer %+v again", r, first)
	}
}

func (w *world) testReceipt() {
	op := withReceipt(create(room, "a"), "key", "print")
	first := w.applied(op)[0]
	w.applied(create(room, "between"))
	w.clock.advance(119 * time.Second)
	w.wantDuplicate(w.append(op)[0], first)
	w.wantRefused("another payload", w.append(withReceipt(create(room, "b"), "key", "other"))[0], fault.Mismatch)
	elsewhere := op
	elsewhere.Ref.Channel = "elsewhere"
	w.applied(elsewhere)
	w.clock.advance(time.Second)
	w.maintain()
	if second := w.applied(op)[0]; second.Entry.Serial != 3 {
		w.Fatalf("after the receipt expired: %+v", second)
	}
	w.wantDuplicate(w.append(op)[0], w.append(op)[0])
	if n := len(w.all(room)); n != 3 {
		w.Fatalf("%d entries, want 3", n)
	}
	refused := withReceipt(fragment(room, 99, "x"), "refused", "p")
	w.wantRefused("an append to nothing", w.append(refused)[0], fault.NotFound)
	w.applied(withReceipt(create(room, "y"), "refused", "q")) // a refusal claims no key
	for _, key := range []string{"", string(make([]byte, 401))} {
		w.wantRefused("a bad key", w.append(withReceipt(create(room, "a"), key, "p"))[0], fault.Invalid)
	}
	m := w.applied(withReceipt(put(room, "k", "1"), "put 1", "p"), put(room, "k", "2"), withReceipt(put(room, "k", "3"), "put 3", "p"))
	w.wantDuplicate(w.append(withReceipt(put(room, "k", "1"), "put 1", "p"))[0], m[0])
	w.wantDuplicate(w.append(withReceipt(put(room, "k", "3"), "put 3", "p"))[0], m[2])
}

func (w *world) testReceiptBatch() {
	op := withReceipt(create(room, "a"), "key", "print")
	r := w.append(create(room, "0"), op, op, withReceipt(create(room, "b"), "key", "other"), create(room, "1"))
	w.check(r[0], r[1], r[4])
	w.wantDuplicate(r[2], r[1])
	w.wantRefused("another payload", r[3], fault.Mismatch)
	if r[4].Entry.Serial != 3 {
		w.Fatalf("serial %d after a duplicate, want 3", r[4].Entry.Serial)
	}
}

func (w *world) testReceiptRace() {
	const publishers = 64
	var wg sync.WaitGroup
	results := make([]stream.Result, publishers)
	for n := range publishers {
		wg.Go(func() {
			r, err := w.store.Append(w.Context(), []stream.Op{withReceipt(create(room, "same"), fmt.Sprint(n%4), "p")})
			if err != nil {
				w.Errorf("append: %v", err)
				return
			}
			results[n] = r[0]
		})
	}
	wg.Wait()
	applied := map[int]stream.Result{}
	for n, r := range results {
		if r.Outcome == stream.Applied {
			if _, twice := applied[n%4]; twice {
				w.Fatalf("key %d was applied twice", n%4)
			}
			applied[n%4] = r
		}
	}
	for n, r := range results {
		if r.Outcome != stream.Applied {
			w.wantDuplicate(r, applied[n%4])
		}
	}
	if n := len(w.all(room)); n != 4 {
		w.Fatalf("%d entries of 4 keys", n)
	}
}

func (w *world) testReceiptCut() {
	op := withReceipt(create(room, "a"), "key", "print")
	first := w.applied(op)[0]
	w.applied(create(room, "b"))
	for _, kind := range []stream.CutKind{stream.Trim, stream.Purge, stream.Reset} {
		w.cut(room, kind, 1)
		w.wantDuplicate(w.append(op)[0], first)
	}
	w.class(room, stream.Interval)
	w.wantDuplicate(w.append(op)[0], first)
	w.applied(create(room, "c"))
	w.wantDuplicate(w.append(op)[0], first)
}

func (w *world) testReceiptReopen() {
	op := withReceipt(put(room, "k", "a"), "key", "print")
	first := w.applied(op)[0]
	w.store = w.h.Reopen()
	w.wantDuplicate(w.append(op)[0], first)
	w.wantRefused("another payload", w.append(withReceipt(put(room, "k", "b"), "key", "other"))[0], fault.Mismatch)
	w.clock.advance(2 * time.Minute)
	w.applied(op)
}
