package stream_test

import (
	"errors"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// rows keeps what an engine would keep, and nothing else.
type rows struct {
	headers  map[stream.Subject]stream.Header
	receipts map[string]stream.Kept
	log      map[uint64]*stream.Entry
	err      error
}

func (r *rows) Header(s stream.Subject) (stream.Header, bool, error) {
	h, ok := r.headers[s]
	return h, ok, r.err
}
func (r *rows) Entry(serial uint64) (*stream.Entry, error) { return r.log[serial], r.err }
func (r *rows) Receipt(key string) (stream.Kept, bool, error) {
	k, ok := r.receipts[key]
	return k, ok, r.err
}

// bench decides ops in order and writes what they mean.
type bench struct {
	t     *testing.T
	meta  stream.Meta
	rules stream.Rules
	rows  rows
	now   int64
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, now: 1000, rows: rows{headers: map[stream.Subject]stream.Header{}, receipts: map[string]stream.Kept{},
		log: map[uint64]*stream.Entry{}}}
}

func (b *bench) op(op stream.Op) stream.Decision {
	b.t.Helper()
	before := b.meta
	d, err := b.meta.Decide(&op, b.rules, &b.rows, b.now)
	if err != nil {
		b.t.Fatalf("decide: %v", err)
	}
	if (d.Entry == nil) != (b.meta == before) || (d.Entry != nil) != (d.Result.Outcome == stream.Applied) {
		b.t.Fatalf("outcome %d, entry %v, meta from %+v to %+v", d.Result.Outcome, d.Entry, before, b.meta)
	}
	if d.Reset {
		b.rows.headers, b.rows.log = map[stream.Subject]stream.Header{}, map[uint64]*stream.Entry{}
	}
	if d.Entry != nil {
		b.rows.log[d.Entry.Serial] = d.Entry
	}
	if d.Subject != "" {
		b.rows.headers[d.Subject] = d.Header
	}
	if d.Alias {
		b.rows.headers[stream.MessageSubject(d.Entry.Serial)] = stream.Header{Alias: d.Entry.Key}
	}
	if d.Receipt != nil {
		b.rows.receipts[op.Receipt.Key] = *d.Receipt
	}
	return d
}

func (b *bench) entry(e stream.Entry) stream.Decision {
	b.t.Helper()
	return b.op(stream.Op{Entry: e})
}

func (b *bench) trim(floor uint64) {
	e := b.rows.log[floor]
	b.meta.Trim(floor, e.Time, e.Cum)
}

func text(s string) stream.Data { return stream.Data{Type: stream.Text, Bytes: []byte(s)} }

func (b *bench) want(what string, d stream.Decision, kind fault.Kind) {
	b.t.Helper()
	if d.Result.Outcome != stream.Refused || fault.KindOf(d.Result.Err) != kind {
		b.t.Errorf("%s: outcome %d, %v; want refused with %v", what, d.Result.Outcome, d.Result.Err, kind)
	}
}

func TestDecideCreate(t *testing.T) {
	b := newBench(t)
	d := b.entry(stream.Entry{Kind: stream.Create, Data: text("a"), Serial: 77, Time: 5, Cum: 9, Message: 8, Version: 7})
	if e := d.Entry; e.Serial != 1 || e.Time != 1000 || e.Message != 1 || e.Version != 1 || e.Cum != uint64(e.Size()) {
		t.Errorf("the caller's numbers were taken: %+v", e)
	}
	if d.Subject != "" || d.First != nil || d.Alias || d.Receipt != nil || d.Reset {
		t.Errorf("a create costs more than its entry: %+v", d)
	}
	b.now = 400
	if d := b.entry(stream.Entry{Kind: stream.Create}); d.Entry.Time != 1000 || d.Entry.Serial != 2 {
		t.Errorf("time went back: %+v", d.Entry)
	}
	if b.meta.Mutated || b.meta.Keys != 0 {
		t.Errorf("creates mutate: %+v", b.meta)
	}
}

func TestDecideFirst(t *testing.T) {
	b := newBench(t)
	b.entry(stream.Entry{Kind: stream.Create, Data: text("ab"), User: "ann"})
	d := b.entry(stream.Entry{Kind: stream.Append, Message: 1, Data: text("c")})
	if d.First == nil || d.First.Serial != 1 || d.Subject != stream.MessageSubject(1) {
		t.Errorf("the first change of a message does not index its create: %+v", d)
	}
	want := stream.Header{Message: 1, Row: 1, Last: 2, Version: 2, Text: true, Len: 3, Since: 2, Creator: "ann", BegunAt: 1000}
	if d.Header != want {
		t.Errorf("header %+v, want %+v", d.Header, want)
	}
	if d := b.entry(stream.Entry{Kind: stream.Append, Message: 1, Data: text("d")}); d.First != nil {
		t.Error("the create is indexed twice")
	}
	if !b.meta.Mutated {
		t.Error("a changed stream is not marked as mutated")
	}
}

func TestDecideReceipts(t *testing.T) {
	b := newBench(t)
	op := stream.Op{Entry: stream.Entry{Kind: stream.Put, Key: "k", Data: text("a")},
		Receipt: &stream.Receipt{Key: "r", Fingerprint: [16]byte{1}, TTL: time.Second}}
	first := b.op(op)
	if k := first.Receipt; k == nil || k.Expires != 2000 || k.Entry != first.Entry.ID() || k.Message != 1 || k.Row != 1 || k.Version != 1 {
		t.Fatalf("receipt %+v", first.Receipt)
	}
	b.now = 1999
	if d := b.op(op); d.Result.Outcome != stream.Duplicate || d.Result.Entry != first.Entry.ID() || d.Entry != nil {
		t.Errorf("within its time: %+v", d)
	}
	other := op
	other.Receipt = &stream.Receipt{Key: "r", Fingerprint: [16]byte{2}, TTL: time.Second}
	b.want("another payload", b.op(other), fault.Mismatch)
	b.now = 2000
	if d := b.op(other); d.Result.Outcome != stream.Applied || d.Result.Version != 2 || d.Receipt.Expires != 3000 {
		t.Errorf("after its time: %+v", d)
	}
}

func TestDecideClass(t *testing.T) {
	b := newBench(t)
	b.rules.Durability = stream.Interval
	if d := b.entry(stream.Entry{Kind: stream.Put, Key: "k"}); d.Reset || b.meta.Class != stream.Interval {
		t.Errorf("the first append of a stream resets it: %+v", d)
	}
	b.rules.Durability = stream.Sync
	d := b.entry(stream.Entry{Kind: stream.Update, Key: "k", Set: stream.FieldData})
	b.want("a change of what the new class begins without", d, fault.NotFound)
	if b.meta.Class != stream.Interval || d.Reset {
		t.Error("a refused op began an incarnation")
	}
	d = b.entry(stream.Entry{Kind: stream.Put, Key: "k"})
	if !d.Reset || d.Entry.Serial != 3 || d.Entry.Version != 1 || b.meta.Base != 2 || b.meta.Floor != 2 || b.meta.Resets != 1 || b.meta.Keys != 1 {
		t.Errorf("another class: %+v, meta %+v", d, b.meta)
	}
	if d := b.entry(stream.Entry{Kind: stream.Create}); d.Reset {
		t.Error("the next append begins an incarnation too")
	}
}

func TestDecideGuards(t *testing.T) {
	for _, tt := range []struct {
		name  string
		e     stream.Entry
		guard stream.Guard
		want  fault.Kind // 0: applied
	}{
		{"if_version that holds", stream.Entry{Kind: stream.Delete, Message: 1}, stream.Guard{IfVersion: 2}, 0},
		{"if_version that does not", stream.Entry{Kind: stream.Delete, Message: 1}, stream.Guard{IfVersion: 1}, fault.Conflict},
		{"if_serial that holds", stream.Entry{Kind: stream.Delete, Message: 1}, stream.Guard{IfSerial: 3}, 0},
		{"if_serial that does not", stream.Entry{Kind: stream.Delete, Message: 1}, stream.Guard{IfSerial: 1}, fault.Conflict},
		{"a put if absent", stream.Entry{Kind: stream.Put, Key: "k"}, stream.Guard{IfAbsent: true}, fault.Conflict},
		{"a put of a new key if absent", stream.Entry{Kind: stream.Put, Key: "new"}, stream.Guard{IfAbsent: true}, 0},
		{"a put with if_version", stream.Entry{Kind: stream.Put, Key: "k"}, stream.Guard{IfVersion: 1}, 0},
		{"a put of a new key with if_version", stream.Entry{Kind: stream.Put, Key: "new"}, stream.Guard{IfVersion: 1}, fault.Conflict},
		{"a put of a new key with if_serial", stream.Entry{Kind: stream.Put, Key: "new"}, stream.Guard{IfSerial: 1}, fault.Conflict},
		{"as many bytes as allowed", stream.Entry{Kind: stream.Append, Message: 1, Data: text("c")}, stream.Guard{MaxBytes: 3}, 0},
		{"one byte more", stream.Entry{Kind: stream.Append, Message: 1, Data: text("cd")}, stream.Guard{MaxBytes: 3}, fault.TooLarge},
		{"shrinking a message that is too large", stream.Entry{Kind: stream.Update, Message: 1, Set: stream.FieldData, Data: text("x")}, stream.Guard{MaxBytes: 1}, 0},
		{"as many versions as allowed", stream.Entry{Kind: stream.Update, Message: 1, Set: stream.FieldName}, stream.Guard{MaxVersion: 3}, 0},
		{"one version more", stream.Entry{Kind: stream.Update, Message: 1, Set: stream.FieldName}, stream.Guard{MaxVersion: 2}, fault.LimitExceeded},
		{"a put at the limit of versions", stream.Entry{Kind: stream.Put, Key: "k"}, stream.Guard{MaxVersion: 1}, fault.LimitExceeded},
		{"a reaction at the limit of versions", stream.Entry{Kind: stream.Annotate, Message: 1}, stream.Guard{MaxVersion: 2}, 0},
		{"an append to JSON", stream.Entry{Kind: stream.Append, Key: "k", Data: text("x")}, stream.Guard{}, fault.Invalid},
		{"an entry that is no message", stream.Entry{Kind: stream.Delete, Message: 3}, stream.Guard{}, fault.NotFound},
		{"a message of the future", stream.Entry{Kind: stream.Delete, Message: 9}, stream.Guard{}, fault.NotFound},
		{"a keyed message by its serial", stream.Entry{Kind: stream.Delete, Message: 2}, stream.Guard{}, 0},
		{"an unknown key", stream.Entry{Kind: stream.Delete, Key: "none"}, stream.Guard{}, fault.NotFound},
		{"a key that is too long", stream.Entry{Kind: stream.Put, Key: string(make([]byte, 201))}, stream.Guard{}, fault.Invalid},
	} {
		b := newBench(t)
		b.entry(stream.Entry{Kind: stream.Create, Data: text("a")})
		b.entry(stream.Entry{Kind: stream.Put, Key: "k", Data: stream.Data{Type: stream.JSON, Bytes: []byte("1")}})
		b.entry(stream.Entry{Kind: stream.Append, Message: 1, Data: text("b")})
		d := b.op(stream.Op{Entry: tt.e, Guard: tt.guard})
		if tt.want != 0 {
			b.want(tt.name, d, tt.want)
		} else if d.Result.Outcome != stream.Applied {
			t.Errorf("%s: %v", tt.name, d.Result.Err)
		}
	}
}

func TestDecideKeys(t *testing.T) {
	b := newBench(t)
	b.rules.Retention = stream.Retention{KeepLatest: true, MaxKeys: 2}
	put := func(key string) stream.Decision {
		return b.entry(stream.Entry{Kind: stream.Put, Key: key, Data: text(key)})
	}
	if d := put("a"); !d.Alias || d.Header.Message != 1 {
		t.Errorf("the first put: %+v", d)
	}
	put("b")
	b.want("a third key", put("c"), fault.LimitExceeded)
	if d := put("a"); d.Alias || d.Entry.Message != 1 || d.Entry.Version != 2 || d.Result.Row != 3 {
		t.Errorf("the second put: %+v", d)
	}
	if d := b.entry(stream.Entry{Kind: stream.Delete, Message: 1}); d.Entry.Key != "a" || b.meta.Keys != 1 {
		t.Errorf("a delete by serial: %+v, %d keys", d.Entry, b.meta.Keys)
	}
	b.want("a change after the delete", b.entry(stream.Entry{Kind: stream.Annotate, Key: "a"}), fault.Conflict)
	if d := put("c"); d.Entry.Serial != 5 || b.meta.Keys != 2 {
		t.Errorf("a put in the place of the deleted key: %+v", d.Entry)
	}
	b.trim(4)
	b.want("a key whose tombstone was trimmed", b.entry(stream.Entry{Kind: stream.Annotate, Key: "a"}), fault.NotFound)
	if d := b.entry(stream.Entry{Kind: stream.Append, Message: 2, Data: text("+")}); d.Entry == nil || d.Entry.Key != "b" || d.Entry.Version != 2 {
		t.Errorf("a key in the checkpoint: %+v", d)
	}
	b.entry(stream.Entry{Kind: stream.Delete, Key: "b"})
	put("b") // 8
	b.want("the key's message before", b.entry(stream.Entry{Kind: stream.Annotate, Message: 2}), fault.NotFound)
	b.entry(stream.Entry{Kind: stream.Delete, Key: "b"})
	put("b") // 10
	b.want("one that was deleted above the floor", b.entry(stream.Entry{Kind: stream.Annotate, Message: 8}), fault.Conflict)
	b.trim(10)
	b.rules.Retention.KeepLatest = false
	b.want("a key that nothing keeps", b.entry(stream.Entry{Kind: stream.Annotate, Key: "b"}), fault.NotFound)
}

func TestDecideStateRows(t *testing.T) {
	b := newBench(t)
	var h stream.Header
	for i := range 200 { // puts and deletes of one key in turn are as dear to fold as appends
		e := stream.Entry{Kind: stream.Put, Key: "k", Data: text("x")}
		if i%2 == 1 {
			e = stream.Entry{Kind: stream.Delete, Key: "k"}
		}
		h = b.entry(e).Header
		if h.Since != uint32(i%64)+1 || h.StateDue() != (i%64 == 63) {
			t.Fatalf("op %d: %d entries since the last state row, due: %v", i, h.Since, h.StateDue())
		}
		if h.StateDue() {
			h.StateAt, h.Since, h.LenAt = h.Last, 0, h.Len
			b.rows.headers[stream.KeySubject("k")] = h
		}
	}
	for _, tt := range []struct {
		h    stream.Header
		want bool
	}{
		{stream.Header{Since: 63}, false}, {stream.Header{Since: 64}, true},
		{stream.Header{Since: 8, Len: 2000, LenAt: 1000}, true}, {stream.Header{Since: 8, Len: 1999, LenAt: 1000}, false},
		{stream.Header{Since: 7, Len: 9999}, false}, {stream.Header{Since: 8, Len: 1023}, false},
	} {
		if got := tt.h.StateDue(); got != tt.want {
			t.Errorf("%+v: due is %v", tt.h, got)
		}
	}
}

func TestDecideLastSerial(t *testing.T) {
	b := newBench(t)
	b.meta.Head = stream.MaxSerial - 1
	if d := b.entry(stream.Entry{Kind: stream.Create}); d.Entry == nil || d.Entry.Serial != stream.MaxSerial {
		t.Fatalf("the last serial: %+v", d)
	}
	b.want("one more", b.entry(stream.Entry{Kind: stream.Create}), fault.LimitExceeded)
}

func TestDecideUnreadable(t *testing.T) {
	for name, op := range map[string]stream.Op{
		"receipt": {Entry: stream.Entry{Kind: stream.Create}, Receipt: &stream.Receipt{Key: "r"}},
		"header":  {Entry: stream.Entry{Kind: stream.Put, Key: "k"}},
		"create":  {Entry: stream.Entry{Kind: stream.Delete, Message: 1}},
	} {
		for _, cause := range []error{errors.New("broken"), fault.New(fault.Unavailable, "closed")} {
			b := newBench(t)
			b.meta.Head = 5
			before := b.meta
			b.rows.err = cause
			d, err := b.meta.Decide(&op, b.rules, &b.rows, b.now)
			if !errors.Is(err, cause) || d.Entry != nil || b.meta != before {
				t.Errorf("%s: %+v, %v", name, d, err)
			}
		}
	}
}
