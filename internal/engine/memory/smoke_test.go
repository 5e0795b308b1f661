package memory

import (
	"context"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

func TestSmoke(t *testing.T) {
	now := int64(1000)
	s := New(Options{Now: func() int64 { now++; return now }})
	ref := stream.Ref{App: "a", Channel: "c"}
	var heads []uint64
	s.Watch(func(a stream.Advance) { heads = append(heads, a.Bounds.Head) })
	for range 3 {
		r, err := s.Append(context.Background(), []stream.Op{{Ref: ref, Entry: stream.Entry{Kind: stream.Create}}, {Ref: ref, Entry: stream.Entry{Kind: stream.Put, Key: "k"}}})
		t.Log(r, err)
	}
	p, err := s.Read(context.Background(), stream.Query{Ref: ref, Limit: 10, Reverse: true})
	t.Log(len(p.Entries), p, err, heads)
	c, err := s.Cut(context.Background(), stream.Cut{Ref: ref, Kind: stream.Trim, Through: 4})
	t.Log(c, err)
	c, err = s.Cut(context.Background(), stream.Cut{Ref: ref, Kind: stream.Reset, Through: 4})
	t.Log(c, err)
}
