package disk

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// puts makes ops that put keys, from a number on.
func puts(ref stream.Ref, from, n int, data string) []stream.Op {
	ops := make([]stream.Op, n)
	for i := range ops {
		ops[i] = stream.Op{Ref: ref, Entry: stream.Entry{Kind: stream.Put, Key: fmt.Sprintf("key-%06d", from+i), Event: "price",
			Data: stream.Data{Type: stream.Text, Bytes: []byte(data)}}}
	}
	return ops
}

func apply(t testing.TB, s *Store, ops []stream.Op) {
	t.Helper()
	results, err := s.Append(context.Background(), ops)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Outcome != stream.Applied {
			t.Fatal(r.Err)
		}
	}
}

// A page of keys that is being folded holds nobody up who appends or reads.
func TestKeysBlockNobody(t *testing.T) {
	ctx := context.Background()
	ref := channels(1)[0]
	var hold atomic.Bool
	reached, release := make(chan struct{}), make(chan struct{})
	fold := func(state []byte, entries ...*stream.Entry) ([]byte, bool, error) {
		if hold.CompareAndSwap(true, false) {
			close(reached)
			<-release
		}
		return message.Fold(state, entries...)
	}
	s := openT(t, "data", Options{FS: vfs.NewMem(), SweepEvery: -1, Folds: map[stream.Log]stream.Fold{stream.Messages: fold},
		Rules: func(stream.Ref) stream.Rules {
			return stream.Rules{Retention: stream.Retention{Entries: 400, KeepLatest: true}}
		}})
	defer s.Close()
	apply(t, s, puts(ref, 0, 200, "old"))
	hold.Store(true)
	type answer struct {
		p   stream.KeysPage
		err error
	}
	page := make(chan answer, 1)
	go func() {
		p, err := s.Keys(ctx, stream.KeysQuery{Ref: ref, Limit: 200})
		page <- answer{p, err}
	}()
	<-reached
	for range 10 { // more than the log holds: it is trimmed meanwhile
		apply(t, s, puts(ref, 0, 200, "new"))
	}
	if p, err := s.Read(ctx, stream.Query{Ref: ref, Key: "key-000199", State: true}); err != nil || p.Bounds.Head != 2200 {
		t.Fatal(p.Bounds, err)
	}
	s.life.Load().tasks.settle(ctx)
	close(release)
	got := <-page
	if got.err != nil || len(got.p.Rows) != 200 {
		t.Fatal(len(got.p.Rows), got.err)
	}
	for _, row := range got.p.Rows {
		m, err := message.Decode(row.State)
		if err != nil {
			t.Fatal(err)
		}
		// The page was begun anew, since retention had passed its serial: its bounds, its serial and its states agree.
		if got.p.At != got.p.Bounds.Head || string(m.Data.Bytes) != "new" || m.Version != 11 || m.Begun.Serial > 200 {
			t.Fatalf("at %d: %s %q version %d", got.p.At, row.Key, m.Data.Bytes, m.Version)
		}
	}
}

// A page that is slower than the trims is read from a snapshot of the rows.
func TestKeysSlowerThanTrims(t *testing.T) {
	ctx := context.Background()
	ref := channels(1)[0]
	var s *Store
	var race atomic.Bool
	times := 0
	fold := func(state []byte, entries ...*stream.Entry) ([]byte, bool, error) {
		if race.CompareAndSwap(true, false) {
			times++
			b, err := headOf(s, ref)
			if err == nil {
				_, err = s.Cut(ctx, stream.Cut{Ref: ref, Kind: stream.Trim, Through: b.Floor + 10})
			}
			if err != nil {
				t.Error(err)
			}
			race.Store(times < 20)
		}
		return message.Fold(state, entries...)
	}
	s = openT(t, "data", Options{FS: vfs.NewMem(), SweepEvery: -1, Folds: map[stream.Log]stream.Fold{stream.Messages: fold},
		Rules: func(stream.Ref) stream.Rules {
			return stream.Rules{Retention: stream.Retention{KeepLatest: true}}
		}})
	defer s.Close()
	for i := range 5 {
		apply(t, s, puts(ref, 0, 100, fmt.Sprint(i)))
	}
	race.Store(true)
	p, err := s.Keys(ctx, stream.KeysQuery{Ref: ref, Limit: 100})
	if err != nil || len(p.Rows) != 100 || p.At != 500 {
		t.Fatal(len(p.Rows), p.At, err)
	}
	for _, row := range p.Rows {
		if m, err := message.Decode(row.State); err != nil || string(m.Data.Bytes) != "4" || m.Version != 5 || m.Begun.Time == 0 {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	if times < hasty || times > 20 {
		t.Fatalf("%d trims came in between", times)
	}
}

// 100,000 keys are read in pages that each cost what they show, and none of them stays in memory.
func TestManyKeysInLittleMemory(t *testing.T) {
	const size, page = 400, 1000
	keys, most, pageMost := 100_000, int64(16<<20), uint64(8<<20)
	if raced { // the detector's own bookkeeping counts
		keys, most, pageMost = 10_000, 64<<20, 24<<20
	}
	ctx := context.Background()
	ref := channels(1)[0]
	s := openT(t, t.TempDir(), Options{Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold}, FreeReserve: -1,
		Rules: func(stream.Ref) stream.Rules {
			return stream.Rules{Durability: stream.Interval, Retention: stream.Retention{Entries: uint64(keys / 10), KeepLatest: true}}
		}})
	defer s.Close()
	heap := func() (held, total uint64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, m.TotalAlloc
	}
	before, _ := heap()
	data := strings.Repeat("x", size)
	for from := 0; from < keys; from += page {
		apply(t, s, puts(ref, from, page, data))
	}
	var b stream.Bounds
	for try := 0; b.Floor < uint64(keys-keys/9); try++ { // a caller may be answered a moment before the trim is due
		if err := s.Maintain(ctx); err != nil {
			t.Fatal(err)
		}
		var err error
		if b, err = headOf(s, ref); err != nil || b.Head != uint64(keys) || b.Keys != uint64(keys) || try > 10_000 {
			t.Fatalf("%+v, %v", b, err)
		}
	}
	seen, dearest := 0, uint64(0)
	for q, more := (stream.KeysQuery{Ref: ref, At: b.Head, Limit: page}), true; more; {
		_, start := heap()
		p, err := s.Keys(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range p.Rows {
			if want := fmt.Sprintf("key-%06d", seen+i); row.Key != want {
				t.Fatalf("key %s, want %s", row.Key, want)
			}
		}
		seen += len(p.Rows)
		q.After, more = p.Rows[len(p.Rows)-1].Key, p.More
		_, end := heap()
		dearest = max(dearest, end-start)
	}
	after, _ := heap()
	t.Logf("%d keys of %d bytes: heap grew by %d KiB, a page of %d allocated at most %d KiB", keys, size,
		(max(before, after)-before)>>10, page, dearest>>10)
	if held := int64(after) - int64(before); seen != keys || held > most || dearest > pageMost {
		t.Fatalf("%d keys seen, %d bytes held, a page allocated %d", seen, held, dearest)
	}
}

// A thousand editors append to one message at once: each fragment is there once, in commit order, in few commits.
func TestThousandAppends(t *testing.T) {
	const editors = 1000
	ctx := context.Background()
	ref := channels(1)[0]
	var commits atomic.Int64
	s := openT(t, t.TempDir(), Options{Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold}, FreeReserve: -1,
		Events: Events{Commit: func(CommitInfo) { commits.Add(1) }}})
	defer s.Close()
	apply(t, s, []stream.Op{{Ref: ref, Entry: stream.Entry{Kind: stream.Create, Data: stream.Data{Type: stream.Text}}}})
	before := commits.Load()
	results := make([]stream.Result, editors)
	ready, done := make(chan struct{}), make(chan error)
	for i := range editors {
		go func() {
			<-ready
			r, err := s.Append(ctx, []stream.Op{{Ref: ref, Entry: stream.Entry{Kind: stream.Append, Message: 1,
				Data: stream.Data{Type: stream.Text, Bytes: fmt.Appendf(nil, "<%d>", i)}}}})
			if err == nil {
				results[i] = r[0]
			}
			done <- err
		}()
	}
	close(ready)
	for range editors {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	inOrder := make([]string, editors)
	for i, r := range results {
		if r.Outcome != stream.Applied || uint64(r.Version) != r.Entry.Serial {
			t.Fatalf("%+v", r)
		}
		inOrder[r.Entry.Serial-2] = fmt.Sprintf("<%d>", i)
	}
	p, err := s.Read(ctx, stream.Query{Ref: ref, Message: 1, State: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := message.Continue(p.State, p.Entries)
	if want := strings.Join(inOrder, ""); err != nil || string(m.Data.Bytes) != want || m.Version != editors+1 {
		t.Fatalf("version %d, %v:\n%s\nwant\n%s", m.Version, err, m.Data.Bytes, want)
	}
	if n := commits.Load() - before; n > editors/4 {
		t.Fatalf("%d commits", n)
	} else {
		t.Logf("%d appends in %d commits", editors, n)
	}
}

// Headers that do not say when their message began, as earlier versions wrote them, are folded from state rows.
func TestHeadersWithoutABeginning(t *testing.T) {
	ctx := context.Background()
	ref := channels(1)[0]
	s := openT(t, "data", Options{FS: vfs.NewMem(), SweepEvery: -1, Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold}})
	defer s.Close()
	apply(t, s, puts(ref, 0, 1, "0"))
	l := s.life.Load()
	st, err := l.pin(ref)
	if err != nil {
		t.Fatal(err)
	}
	defer l.unpin(st)
	key := headerKey(nil, l.visible(st).num, stream.KeySubject("key-000000"))
	old, _, err := l.header(l.db, key)
	if err != nil {
		t.Fatal(err)
	}
	old.BegunAt = 0
	if err := l.db.Set(key, appendHeader(nil, &old), nil); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 100; i++ {
		apply(t, s, puts(ref, 0, 1, fmt.Sprint(i)))
	}
	for try := 0; ; try++ { // a caller may be answered a moment before the state is due
		if err := s.Maintain(ctx); err != nil {
			t.Fatal(err)
		}
		h, _, err := l.header(l.db, key)
		if err != nil || try > 10_000 {
			t.Fatalf("%+v, %v", h, err)
		}
		if h.base > 0 && h.chain <= 2*keyChain {
			break
		}
	}
	p, err := s.Keys(ctx, stream.KeysQuery{Ref: ref, Limit: 10})
	if err != nil || len(p.Rows) != 1 {
		t.Fatal(len(p.Rows), err)
	}
	m, err := message.Decode(p.Rows[0].State)
	if err != nil || string(m.Data.Bytes) != "99" || m.Version != 100 || m.Begun.Time == 0 {
		t.Fatalf("%+v, %v", m, err)
	}
}
