package stream_test

import (
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func TestParseEntryID(t *testing.T) {
	for _, good := range []string{"0-0", "1700000000000-1", "0-9007199254740991", "9007199254740991-42"} {
		id, err := stream.ParseEntryID(good)
		if err != nil || id.String() != good {
			t.Errorf("%q is read as %v (%v)", good, id, err)
		}
	}
	for _, bad := range []string{"", "-", "1", "1-", "-1", "1-2-3", "01-2", "1-02", "+1-2", "1-+2", "1--2", " 1-2", "1-2 ", "1.0-2", "a-b",
		"9007199254740992-1", "1-9007199254740992", "99999999999999999999-1", "1-99999999999999999999", "١-٢"} {
		if id, err := stream.ParseEntryID(bad); err == nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q is read as %v (%v)", bad, id, err)
		}
	}
	_, err := stream.ParseEntryID(string(make([]byte, 1000)))
	if err == nil || len(err.Error()) > 500 {
		t.Errorf("a long id is repeated in the error: %d bytes", len(err.Error()))
	}
}

func FuzzParseEntryID(f *testing.F) {
	f.Add("1700000000000-42")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := stream.ParseEntryID(s)
		if err == nil && (id.String() != s || id.Serial > stream.MaxSerial || id.Time < 0) {
			t.Fatalf("%q is read as %v", s, id)
		}
	})
}

func FuzzParseDurability(f *testing.F) {
	f.Add("sync")
	f.Add("interval")
	f.Add("volatile")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := stream.ParseDurability(s)
		if (err == nil) != (s == "sync" || s == "interval" || s == "volatile") {
			t.Fatalf("%q: %v, %v", s, d, err)
		}
		if err == nil && d.String() != s {
			t.Fatalf("%q is read as %v", s, d)
		}
	})
}

func TestDeriveID(t *testing.T) {
	ids := map[stream.ID]string{}
	add := func(what, epoch string, ref stream.Ref, inc stream.Incarnation) {
		t.Helper()
		id := stream.DeriveID(epoch, ref, inc)
		if other, ok := ids[id]; ok {
			t.Errorf("%s and %s have one id", what, other)
		}
		if len(id) != 20 {
			t.Errorf("%s has the id %q", what, id)
		}
		if again := stream.DeriveID(epoch, ref, inc); again != id {
			t.Errorf("%s has the ids %s and %s", what, id, again)
		}
		ids[id] = what
	}
	r := stream.Ref{App: "app", Channel: "room"}
	add("plain", "e", r, stream.Incarnation{})
	add("another epoch", "f", r, stream.Incarnation{})
	add("reset", "e", r, stream.Incarnation{Resets: 1})
	add("forgotten", "e", r, stream.Incarnation{Forget: 1})
	add("both", "e", r, stream.Incarnation{Forget: 1, Resets: 1})
	add("presence", "e", stream.Ref{App: "app", Channel: "room", Log: stream.Presence}, stream.Incarnation{})
	add("a shifted border", "e", stream.Ref{App: "appr", Channel: "oom"}, stream.Incarnation{})
	add("a shifted epoch", "ea", stream.Ref{App: "pp", Channel: "room"}, stream.Incarnation{})
}

func TestRetention(t *testing.T) {
	b := func(floor, head uint64) stream.Bounds {
		return stream.Bounds{Floor: floor, Head: head, FloorCum: floor * 10, HeadCum: head * 10}
	}
	for _, tt := range []struct {
		r     stream.Retention
		b     stream.Bounds
		by    uint64
		floor uint64
		over  uint64
	}{
		{stream.Retention{}, b(5, 1000), 0, 5, 0},
		{stream.Retention{Entries: 160}, b(5, 165), 0, 5, 0},
		{stream.Retention{Entries: 160}, b(5, 174), 0, 5, 0},
		{stream.Retention{Entries: 160}, b(5, 175), 0, 15, 0},
		{stream.Retention{Entries: 1}, b(0, 1), 0, 0, 0},
		{stream.Retention{Entries: 1}, b(0, 2), 0, 1, 0},
		{stream.Retention{}, b(5, 100), 50, 50, 0},
		{stream.Retention{}, b(5, 100), 3, 5, 0},
		{stream.Retention{}, b(5, 100), 300, 100, 0},
		{stream.Retention{Entries: 16}, b(0, 100), 50, 84, 0},
		{stream.Retention{Bytes: 160}, b(0, 16), 0, 0, 0},
		{stream.Retention{Bytes: 160}, b(0, 17), 0, 0, 10},
		{stream.Retention{Bytes: 1600}, b(0, 169), 0, 0, 0},
		{stream.Retention{Bytes: 1600}, b(0, 170), 0, 0, 100},
	} {
		if floor, over := tt.r.Floor(tt.b, tt.by), tt.r.BytesOver(tt.b); floor != tt.floor || over != tt.over {
			t.Errorf("%+v of (%d, %d] by %d: floor %d and %d bytes over, want %d and %d", tt.r, tt.b.Floor, tt.b.Head, tt.by, floor, over,
				tt.floor, tt.over)
		}
	}
	if d := stream.DefaultRetention(); d.Age != 24*time.Hour || d.Entries != 10_000 || d.Bytes != 64<<20 {
		t.Errorf("defaults %+v", d)
	}
}

func TestMeta(t *testing.T) {
	m := stream.Meta{Extent: stream.Extent{Head: 10, HeadTime: 500, HeadCum: 100}, Keys: 3, Mutated: true}
	for _, floor := range []uint64{0, 11} {
		before := m
		if m.Trim(floor, 1, 1); m != before {
			t.Errorf("a trim to %d: %+v", floor, m)
		}
	}
	m.Trim(4, 200, 40)
	if m.Floor != 4 || m.FloorTime != 200 || m.FloorCum != 40 {
		t.Errorf("a trim to 4: %+v", m)
	}
	m.Reset(400)
	want := stream.Meta{Incarnation: stream.Incarnation{Resets: 1}, Extent: stream.Extent{Base: 11, Floor: 11, Head: 11, FloorTime: 500,
		HeadTime: 500, FloorCum: 100, HeadCum: 100}}
	if m != want {
		t.Errorf("a reset\n got %+v\nwant %+v", m, want)
	}
	b := m.Bounds("x")
	if b.Stream != "x" || !b.Logged || b.Truncated() || b.Retained() != 0 || b.RetainedBytes() != 0 || b.HeadID() != b.FloorID() {
		t.Errorf("bounds %+v", b)
	}
}

func TestFrameID(t *testing.T) {
	if id := (&stream.Entry{Serial: 7}).FrameID("s"); id != "s:7" {
		t.Errorf("derived frame id %q", id)
	}
	if id := (&stream.Entry{Serial: 7, Frame: "mine"}).FrameID("s"); id != "mine" {
		t.Errorf("own frame id %q", id)
	}
}
