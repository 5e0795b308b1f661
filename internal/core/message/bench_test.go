package message_test

import (
	"fmt"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

const fragment = " forty bytes of an answer that is growing"

// grown is a message with n fragments, and the next ones.
func grown(n, more int) (message.State, []*stream.Entry) {
	var s message.State
	entry := func(i int) *stream.Entry {
		e := &stream.Entry{Serial: uint64(i + 1), Time: int64(i), Message: 1, Version: uint32(i + 1), Kind: stream.Append, Data: text(fragment)}
		if i == 0 {
			e.Kind, e.Event = stream.Create, "answer"
		}
		return e
	}
	for i := range n {
		if err := s.Apply(entry(i)); err != nil {
			panic(err)
		}
	}
	next := make([]*stream.Entry, more)
	for i := range next {
		next[i] = entry(n + i)
	}
	return s, next
}

// Apply must cost the fragment, however long the text is. The text grows on from n to n + 4,000 and starts again, so the
// cost of growing the buffer is in the number.
func BenchmarkApplyAppend(b *testing.B) {
	for _, n := range []int{10, 4000} {
		b.Run(fmt.Sprint("fragment=", n), func(b *testing.B) {
			base, next := grown(n, 4000)
			b.ReportAllocs()
			s, i := base.Clone(), 0
			for b.Loop() {
				if i == len(next) {
					s, i = base.Clone(), 0
				}
				if err := s.Apply(next[i]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// A kept row every 64 fragments: what a store does to bound the reading of the latest version.
func BenchmarkFold64(b *testing.B) {
	for _, n := range []int{10, 4000} {
		b.Run(fmt.Sprint("fragment=", n), func(b *testing.B) {
			base, next := grown(n, 64)
			row := base.Encode(nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := message.Fold(row, next...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	s := full()
	row := s.Encode(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := message.Decode(row); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	s := full()
	b.ReportAllocs()
	for b.Loop() {
		s.Encode(nil)
	}
}

// The same as the benchmark, as a test: the fragments of a long text cost no allocation but for the growing buffer.
func TestAppendDoesNotCopyTheText(t *testing.T) {
	for _, n := range []int{10, 4000} {
		s, next := grown(n, 1001)
		i := 0
		allocs := testing.AllocsPerRun(1000, func() {
			if err := s.Apply(next[i]); err != nil {
				t.Fatal(err)
			}
			i++
		})
		if allocs > 0.1 {
			t.Errorf("an append at fragment %d allocates %.2f times", n, allocs)
		}
	}
}
