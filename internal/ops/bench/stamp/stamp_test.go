package stamp

import (
	"fmt"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	for _, s := range []Stamp{{}, {Lane: 1, Seq: 2, Nano: 3}, {Lane: 1<<24 - 1, Seq: 1<<32 - 1, Nano: 1<<62 + 5}} {
		for _, size := range []int{0, Size, 200} {
			p := Append(nil, s, size)
			if want := max(size, Size); len(p) != want {
				t.Errorf("payload of %d bytes, want %d", len(p), want)
			}
			got, rest, ok := Next([]byte(`{"event":"e","data":"` + string(p) + `"}`))
			if !ok || got != s {
				t.Errorf("Next = %+v %v, want %+v", got, ok, s)
			}
			if string(rest[len(rest)-2:]) != `"}` {
				t.Errorf("rest = %q", rest)
			}
		}
	}
}

func TestNext(t *testing.T) {
	good := string(Append(nil, Stamp{Lane: 7, Seq: 9, Nano: 11}, 0))
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"empty", "", false},
		{"none", `{"event":"ping"}`, false},
		{"cut short", good[:Size-1], false},
		{"not hex", "~bm:00000g" + good[10:], false},
		{"upper case is not ours", "~bm:00000A" + good[10:], false},
		{"no dot", good[:10] + "_" + good[11:], false},
		{"no end", good[:Size-1] + "-", false},
		{"a broken one before a good one", "~bm:~bm:" + good, true},
		{"alone", good, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _, ok := Next([]byte(c.in))
			if ok != c.ok {
				t.Fatalf("ok = %v, want %v", ok, c.ok)
			}
			if want := (Stamp{Lane: 7, Seq: 9, Nano: 11}); ok && s != want {
				t.Fatalf("stamp = %+v, want %+v", s, want)
			}
		})
	}
}

func TestNextManyInOneFrame(t *testing.T) {
	var frame []byte
	for i := range 5 {
		frame = Append(frame, Stamp{Seq: uint32(i + 1)}, 60)
		frame = append(frame, '\n')
	}
	n := uint32(0)
	for s, rest, ok := Next(frame); ok; s, rest, ok = Next(rest) {
		if n++; s.Seq != n {
			t.Fatalf("seq %d, want %d", s.Seq, n)
		}
	}
	if n != 5 {
		t.Fatalf("%d marks, want 5", n)
	}
}

func TestTrack(t *testing.T) {
	track := NewTrack(10, 2)
	for i, c := range []struct {
		lane, seq uint32
		want      Verdict
	}{
		{10, 1, Verdict{}},
		{10, 2, Verdict{}},
		{10, 2, Verdict{Duplicate: true}},
		{10, 5, Verdict{Missing: 2}},
		{10, 4, Verdict{Duplicate: true}},
		{11, 2, Verdict{Missing: 1}},
		{9, 1, Verdict{Stray: true}},
		{12, 1, Verdict{Stray: true}},
	} {
		if got := track.Note(Stamp{Lane: c.lane, Seq: c.seq}); got != c.want {
			t.Errorf("step %d: %+v, want %+v", i, got, c.want)
		}
	}
	if track.Seen(10) != 5 || track.Seen(11) != 2 || track.Seen(3) != 0 {
		t.Errorf("seen = %d %d %d", track.Seen(10), track.Seen(11), track.Seen(3))
	}
}

func FuzzNext(f *testing.F) {
	f.Add(Append(nil, Stamp{Lane: 1, Seq: 2, Nano: 3}, 64))
	f.Add([]byte("~bm:~bm:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for s, rest, ok := Next(b); ok; s, rest, ok = Next(rest) {
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			if again, _, ok := Next(Append(nil, s, 0)); !ok || again != s {
				t.Fatalf("%+v does not survive a round trip", s)
			}
		}
	})
}

func ExampleNext() {
	payload := Append(nil, Stamp{Lane: 1, Seq: 42, Nano: 1000}, 64)
	s, _, ok := Next(payload)
	fmt.Println(s.Seq, ok, len(payload))
	// Output: 42 true 64
}
