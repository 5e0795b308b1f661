package stream_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

func hot(l stream.HotLimits, from, to uint64) *stream.Hot[string] {
	w := stream.NewHot[string](l)
	for s := from; s <= to; s++ {
		w.Push(&stream.Entry{Serial: s}, int64(s))
	}
	return w
}

func served(w *stream.Hot[string], cursor, to uint64, limit int) []uint64 {
	var out []uint64
	for _, e := range w.After(nil, cursor, to, limit) {
		out = append(out, e.Serial)
	}
	return out
}

func TestHotWindow(t *testing.T) {
	empty := hot(stream.HotLimits{}, 1, 0)
	if empty.Len() != 0 || empty.Oldest() != 0 || empty.Newest() != 0 || empty.At(0) != nil || served(empty, 0, 9, 9) != nil {
		t.Error("an empty window has something")
	}
	w := hot(stream.HotLimits{}, 5, 9)
	for _, tt := range []struct {
		cursor, to uint64
		limit      int
		want       []uint64
	}{
		{4, 9, 99, []uint64{5, 6, 7, 8, 9}},
		{4, 9, 2, []uint64{5, 6}},
		{6, 8, 99, []uint64{7, 8}},
		{8, 99, 99, []uint64{9}},
		{9, 99, 99, nil},
		{3, 9, 99, nil}, // the entry after the cursor is not there
		{0, 9, 99, nil},
		{7, 6, 99, nil},
		{1<<64 - 1, 9, 99, nil},
	} {
		if got := served(w, tt.cursor, tt.to, tt.limit); !slices.Equal(got, tt.want) {
			t.Errorf("after %d up to %d, at most %d: %v, want %v", tt.cursor, tt.to, tt.limit, got, tt.want)
		}
	}
	if w.At(4) != nil || w.At(10) != nil || w.At(7).Serial != 7 {
		t.Error("At")
	}
	w.At(7).With = "frames"
	w.Push(&stream.Entry{Serial: 7}, 20)
	if w.Len() != 5 || w.At(7).With != "frames" {
		t.Error("an entry that is there was pushed over")
	}
	w.Push(&stream.Entry{Serial: 12}, 21)
	if w.Len() != 1 || w.Oldest() != 12 || w.Bytes() != 32 {
		t.Errorf("after a gap the window holds [%d, %d] and %d bytes", w.Oldest(), w.Newest(), w.Bytes())
	}
	w.Clear()
	if w.Len() != 0 || w.Bytes() != 0 {
		t.Error("a cleared window has something")
	}
	if w.Push(&stream.Entry{Serial: 3}, 22); w.Oldest() != 3 {
		t.Error("a window cannot be used after it was cleared")
	}
}

func TestHotWindowLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		l    stream.HotLimits
		want uint64 // oldest of 1…100, each of 32 bytes, pushed at their serial in ms
	}{
		"none":      {stream.HotLimits{}, 1},
		"entries":   {stream.HotLimits{Entries: 10}, 91},
		"bytes":     {stream.HotLimits{Bytes: 320}, 91},
		"age":       {stream.HotLimits{Age: 9 * time.Millisecond}, 91},
		"one entry": {stream.HotLimits{Entries: 1}, 100},
		"one byte":  {stream.HotLimits{Bytes: 1}, 100},
	} {
		w := hot(tt.l, 1, 100)
		if w.Oldest() != tt.want || w.Newest() != 100 || w.Bytes() != 32*w.Len() {
			t.Errorf("%s: [%d, %d], %d bytes", name, w.Oldest(), w.Newest(), w.Bytes())
		}
	}
	w := hot(stream.HotLimits{Age: time.Second}, 1, 100)
	w.Evict(1050)
	if w.Oldest() != 50 {
		t.Errorf("at 1050 ms the oldest is %d, want 50", w.Oldest())
	}
	if w.Evict(1 << 40); w.Len() != 1 || w.Oldest() != 100 {
		t.Error("the newest entry did not stay")
	}
}

// TestHotWindowAgainstSlice compares random pushes with a slice that is cut anew each time.
func TestHotWindowAgainstSlice(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 9))
		l := stream.HotLimits{Entries: r.IntN(40), Bytes: r.IntN(3) * 900, Age: time.Duration(r.IntN(3)*50) * time.Millisecond}
		w := stream.NewHot[int](l)
		type item struct {
			e  *stream.Entry
			at int64
		}
		var want []item
		next, now := uint64(1), int64(0)
		for range 400 {
			now += r.Int64N(5)
			if r.IntN(60) == 0 {
				next += 1 + r.Uint64N(3) // a gap
				want = nil
			}
			e := &stream.Entry{Serial: next, Event: string(make([]byte, r.IntN(60)))}
			next++
			w.Push(e, now)
			want = append(want, item{e, now})
			for len(want) > 1 {
				size := 0
				for _, i := range want {
					size += i.e.Size()
				}
				if (l.Entries == 0 || len(want) <= l.Entries) && (l.Bytes == 0 || size <= l.Bytes) &&
					(l.Age == 0 || now-want[0].at <= l.Age.Milliseconds()) {
					break
				}
				want = want[1:]
			}
			got := w.After(nil, want[0].e.Serial-1, next, 1<<20)
			if len(got) != len(want) || w.Len() != len(want) {
				t.Fatalf("seed %d, %+v: %d entries, want %d", seed, l, w.Len(), len(want))
			}
			size := 0
			for i := range got {
				size += want[i].e.Size()
				if got[i].Entry != want[i].e {
					t.Fatalf("seed %d: entry %d is %d, want %d", seed, i, got[i].Serial, want[i].e.Serial)
				}
			}
			if size != w.Bytes() {
				t.Fatalf("seed %d: %d bytes, want %d", seed, w.Bytes(), size)
			}
		}
	}
}

func TestHotWindowPrepend(t *testing.T) {
	page := func(from, to uint64) (entries []*stream.Entry) {
		for n := from; n <= to; n++ {
			entries = append(entries, &stream.Entry{Serial: n})
		}
		return entries
	}
	size := (&stream.Entry{Serial: 1}).Size()
	for name, c := range map[string]struct {
		window         *stream.Hot[string]
		from, to       uint64
		added          int
		oldest, newest uint64
	}{
		"to an empty one":               {hot(stream.HotLimits{}, 1, 0), 5, 9, 5, 5, 9},
		"right before":                  {hot(stream.HotLimits{}, 10, 12), 5, 9, 5, 5, 12},
		"overlapping":                   {hot(stream.HotLimits{}, 8, 12), 5, 9, 3, 5, 12},
		"all there":                     {hot(stream.HotLimits{}, 5, 12), 6, 9, 0, 5, 12},
		"with a gap":                    {hot(stream.HotLimits{}, 11, 12), 5, 9, 0, 11, 12},
		"nothing":                       {hot(stream.HotLimits{}, 11, 12), 5, 4, 0, 11, 12},
		"as many as may be":             {hot(stream.HotLimits{Entries: 5}, 10, 12), 5, 9, 2, 8, 12},
		"into a full one":               {hot(stream.HotLimits{Entries: 3}, 10, 12), 5, 9, 0, 10, 12},
		"as many bytes as may be":       {hot(stream.HotLimits{Bytes: 4 * size}, 10, 12), 5, 9, 1, 9, 12},
		"to an empty one with a limit":  {hot(stream.HotLimits{Entries: 2}, 1, 0), 5, 9, 2, 8, 9},
		"to one whose front was shed":   {hot(stream.HotLimits{Entries: 4}, 1, 40), 30, 36, 0, 37, 40},
		"to an empty one, and then one": {hot(stream.HotLimits{}, 1, 0), 9, 9, 1, 9, 9},
	} {
		t.Run(name, func(t *testing.T) {
			w := c.window
			if added := w.Prepend(page(c.from, c.to), 7); added != c.added || w.Oldest() != c.oldest || w.Newest() != c.newest {
				t.Fatalf("added %d, holds %d to %d", added, w.Oldest(), w.Newest())
			}
			bytes := 0
			for n := w.Oldest(); n <= w.Newest(); n++ {
				if e := w.At(n); e == nil || e.Serial != n {
					t.Fatalf("no entry %d", n)
				}
				bytes += w.At(n).Size()
			}
			if bytes != w.Bytes() {
				t.Fatalf("counts %d bytes of %d", w.Bytes(), bytes)
			}
			w.Push(&stream.Entry{Serial: c.newest + 1}, 8)
			if w.Newest() != c.newest+1 {
				t.Fatal("cannot be pushed to any more")
			}
		})
	}
}
