package disk

import (
	"context"
	"fmt"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// lastFold keeps the newest entry's data, as cheap as a fold can be.
func lastFold(_ []byte, entries ...*stream.Entry) ([]byte, bool, error) {
	e := entries[len(entries)-1]
	return e.Data.Bytes, e.Kind != stream.Delete, nil
}

func foldStore(b *testing.B) *Store {
	s := openT(b, b.TempDir(), Options{Folds: map[stream.Log]stream.Fold{stream.Messages: lastFold},
		Rules: func(stream.Ref) stream.Rules { return stream.Rules{} }})
	b.Cleanup(func() { s.Close() })
	return s
}

// BenchmarkFragment appends fragments to one message; the cost must not depend on how many it has.
func BenchmarkFragment(b *testing.B) {
	for _, at := range []int{10, 4000} {
		b.Run(fmt.Sprint("at ", at), func(b *testing.B) {
			s := foldStore(b)
			ref := channels(1)[0]
			if _, err := s.Append(context.Background(), []stream.Op{creation(ref)}); err != nil {
				b.Fatal(err)
			}
			fragment := stream.Op{Ref: ref, Entry: stream.Entry{Kind: stream.Append, Message: 1,
				Data: stream.Data{Type: stream.Text, Bytes: []byte("fragment")}}}
			ops := make([]stream.Op, at)
			for i := range ops {
				ops[i] = fragment
			}
			if _, err := s.Append(context.Background(), ops); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				r, err := s.Append(context.Background(), []stream.Op{fragment})
				if err != nil || r[0].Outcome != stream.Applied {
					b.Fatal(r, err)
				}
			}
		})
	}
}

// BenchmarkKeys reads a page of 1,000 keys, beside 1,000 entries of the same log.
func BenchmarkKeys(b *testing.B) {
	for _, puts := range []int{1, 3, 20} {
		s := foldStore(b)
		ref := channels(1)[0]
		for i := range puts {
			ops := make([]stream.Op, 5000)
			for k := range ops {
				ops[k] = stream.Op{Ref: ref, Entry: stream.Entry{Kind: stream.Put, Key: fmt.Sprintf("key-%05d", k),
					Data: stream.Data{Type: stream.Text, Bytes: payload}}}
			}
			if _, err := s.Append(context.Background(), ops); err != nil {
				b.Fatal(i, err)
			}
		}
		if err := s.Maintain(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("puts=%d/keys", puts), func(b *testing.B) {
			for b.Loop() {
				p, err := s.Keys(context.Background(), stream.KeysQuery{Ref: ref, After: "key-02000", Limit: 1000})
				if err != nil || len(p.Rows) != 1000 {
					b.Fatal(len(p.Rows), err)
				}
			}
		})
		b.Run(fmt.Sprintf("puts=%d/entries", puts), func(b *testing.B) {
			for b.Loop() {
				p, err := s.Read(context.Background(), stream.Query{Ref: ref, From: 2001, Limit: 1000})
				if err != nil || len(p.Entries) != 1000 {
					b.Fatal(len(p.Entries), err)
				}
			}
		})
	}
}
