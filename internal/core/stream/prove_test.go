package stream_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// shelf is a log with floor 10 and head 20 that began at base 5; the entry at serial n has time 1000·n and 100 bytes.
func shelf() stream.Bounds {
	return stream.Bounds{Stream: "now", Base: 5, Floor: 10, Head: 20, FloorTime: 10_000, HeadTime: 20_000, FloorCum: 1000,
		HeadCum: 2000, Born: 3000, Logged: true}
}

func seen(serial uint64, b stream.Bounds) stream.Witness {
	w := stream.Witness{}
	if serial >= b.Floor && serial <= b.Head {
		w.At = stream.EntryID{Time: int64(serial) * 1000, Serial: serial}
		w.Bytes = (b.Head - serial) * 100
		if serial < b.Head {
			w.Next = stream.EntryID{Time: int64(serial+1) * 1000, Serial: serial + 1}
		}
	}
	return w
}

func TestProve(t *testing.T) {
	now := int64(21_000)
	at := func(serial uint64) stream.Cursor { return stream.Cursor{Stream: "now", Serial: serial} }
	timed := func(ms int64, serial uint64) stream.Cursor {
		return stream.Cursor{Serial: serial, Time: ms, Timed: true}
	}
	for _, tt := range []struct {
		name   string
		cursor stream.Cursor
		change func(*stream.Bounds, *stream.Witness)
		window stream.Window
		want   stream.Reason
		count  uint64
	}{
		{"the head", at(20), nil, stream.Window{}, stream.Proven, 0},
		{"one missed", at(19), nil, stream.Window{}, stream.Proven, 1},
		{"the floor", at(10), nil, stream.Window{}, stream.Proven, 10},
		{"just below the floor", at(9), nil, stream.Window{}, stream.PositionExpired, 0},
		{"the base", at(5), nil, stream.Window{}, stream.PositionExpired, 0},
		{"below the base", at(4), nil, stream.Window{}, stream.StreamReset, 0},
		{"past the head", at(21), nil, stream.Window{}, stream.PositionAhead, 0},
		{"another id", stream.Cursor{Stream: "then", Serial: 15}, nil, stream.Window{}, stream.StreamReset, 0},
		{"another id past the head", stream.Cursor{Stream: "then", Serial: 99}, nil, stream.Window{}, stream.StreamReset, 0},
		{"no id, with the right time", timed(15_000, 15), nil, stream.Window{}, stream.Proven, 5},
		{"no id, with another time", timed(15_001, 15), nil, stream.Window{}, stream.PositionAhead, 0},
		{"no id and older than the stream", timed(2999, 15), nil, stream.Window{}, stream.StreamReset, 0},
		{"the right time at the floor", timed(10_000, 10), nil, stream.Window{}, stream.Proven, 10},
		{"not logged", at(20), func(b *stream.Bounds, _ *stream.Witness) { b.Logged = false }, stream.Window{}, stream.NotLogged, 0},
		{"a witness of another cursor", at(15), func(_ *stream.Bounds, w *stream.Witness) { w.At.Serial = 14 }, stream.Window{}, stream.StoreUnavailable, 0},
		{"a witness with a hole", at(15), func(_ *stream.Bounds, w *stream.Witness) { w.Next.Serial = 17 }, stream.Window{}, stream.StoreUnavailable, 0},
		{"no witness", at(15), func(_ *stream.Bounds, w *stream.Witness) { *w = stream.Witness{} }, stream.Window{}, stream.StoreUnavailable, 0},
		{"5 entries of 5", at(15), nil, stream.Window{Entries: 5}, stream.Proven, 5},
		{"5 entries of 4", at(15), nil, stream.Window{Entries: 4}, stream.WindowExceeded, 0},
		{"500 bytes of 500", at(15), nil, stream.Window{Bytes: 500}, stream.Proven, 5},
		{"500 bytes of 499", at(15), nil, stream.Window{Bytes: 499}, stream.WindowExceeded, 0},
		{"5 s of 5 s", at(15), nil, stream.Window{Age: 5 * time.Second}, stream.Proven, 5},
		{"5 s of 4.999 s", at(15), nil, stream.Window{Age: 4999 * time.Millisecond}, stream.WindowExceeded, 0},
		{"nothing missed has no age", at(20), nil, stream.Window{Age: time.Millisecond, Entries: 1, Bytes: 1}, stream.Proven, 0},
		{"a cursor's age", timed(20_000, 20), nil, stream.Window{CursorAge: time.Second}, stream.Proven, 0},
		{"a cursor too old", timed(20_000, 20), nil, stream.Window{CursorAge: 999 * time.Millisecond}, stream.WindowExceeded, 0},
		{"a cursor without age", at(20), nil, stream.Window{CursorAge: 1}, stream.Proven, 0},
		{"a matching id needs no birth", stream.Cursor{Stream: "now", Serial: 15, Time: 15_000, Timed: true},
			func(b *stream.Bounds, _ *stream.Witness) { b.Born = 16_000 }, stream.Window{}, stream.Proven, 5},
		{"a time that overflows", timed(-1<<63, 15), nil, stream.Window{CursorAge: 1}, stream.StreamReset, 0},
		{"the end of all serials", at(1<<64 - 1), nil, stream.Window{}, stream.PositionAhead, 0},
	} {
		b := shelf()
		w := seen(tt.cursor.Serial, b)
		if tt.change != nil {
			tt.change(&b, &w)
		}
		r, reason := stream.Prove(tt.cursor, b, w, tt.window, now)
		if reason != tt.want || r.Count() != tt.count {
			t.Errorf("%s: %v with %d entries, want %v with %d", tt.name, reason, r.Count(), tt.want, tt.count)
		}
		if reason == stream.Proven && (r.From() != tt.cursor.Serial || r.To() != 20 || r.Stream() != "now") {
			t.Errorf("%s: the replay is %+v", tt.name, r)
		}
		if reason != stream.Proven && r != (stream.Replay{}) {
			t.Errorf("%s: a refusal came with the replay %+v", tt.name, r)
		}
	}
}

func TestProveEmpty(t *testing.T) {
	b := stream.Bounds{Stream: "x", Logged: true}
	if _, r := stream.Prove(stream.Cursor{}, b, stream.Witness{}, stream.Window{}, 0); r != stream.Proven {
		t.Errorf("the start of an empty stream: %v", r)
	}
	if _, r := stream.Prove(stream.Cursor{Serial: 1}, b, stream.Witness{}, stream.Window{}, 0); r != stream.PositionAhead {
		t.Errorf("serial 1 of an empty stream: %v", r)
	}
}

// past is a simulated stream that remembers everything: which message was at which serial of which incarnation.
type past struct {
	incarnations []map[uint64]int64 // serial → time, trimmed ones too; the last is the present
	bounds       stream.Bounds
	now          int64
}

func (p *past) entries() map[uint64]int64 { return p.incarnations[len(p.incarnations)-1] }

func (p *past) begin() {
	p.incarnations = append(p.incarnations, map[uint64]int64{})
	p.bounds.Stream = stream.ID(fmt.Sprint("id", len(p.incarnations)))
}

// step does one thing that can happen to a stream.
func (p *past) step(r *rand.Rand) {
	p.now += 1 + r.Int64N(3)
	b := &p.bounds
	switch n := r.IntN(20); {
	case n < 13:
		b.Head, b.HeadTime, b.HeadCum = b.Head+1, p.now, b.HeadCum+1+r.Uint64N(50)
		p.entries()[b.Head] = p.now
	case n < 18:
		if b.Head > b.Floor {
			b.Floor += 1 + r.Uint64N(b.Head-b.Floor)
			b.FloorTime = p.entries()[b.Floor]
			b.FloorCum = b.HeadCum // only differences count; the test's witness has its own
		}
	case n < 19: // reset: the serials go on
		p.begin()
		b.Head++
		b.Base, b.Floor, b.HeadTime, b.FloorTime, b.FloorCum = b.Head, b.Head, p.now, p.now, b.HeadCum
	default: // forgotten: the serials begin anew
		p.begin()
		*b = stream.Bounds{Stream: b.Stream, Born: p.now, Logged: true}
		p.now++
	}
}

func (p *past) witness(c uint64) (w stream.Witness) {
	b := p.bounds
	if c < b.Floor || c > b.Head {
		return w
	}
	w.At = stream.EntryID{Time: p.entries()[c], Serial: c}
	if c == b.Floor {
		w.At.Time = b.FloorTime
	}
	if c < b.Head {
		w.Next = stream.EntryID{Time: p.entries()[c+1], Serial: c + 1}
		w.Bytes = (b.Head - c) * 10
	}
	return w
}

// TestProveAgainstPast judges proofs by what truly happened: a client that saw everything up to a serial of some
// incarnation may go on exactly if that incarnation is the present one and nothing after its serial was trimmed.
func TestProveAgainstPast(t *testing.T) {
	type client struct {
		incarnation int
		cursor      stream.Cursor // with id and time
	}
	var proven, refused int
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		p := &past{now: 1000}
		p.bounds.Logged = true
		p.begin()
		var clients []client
		for range 80 {
			p.step(r)
			b := p.bounds
			clients = append(clients, client{len(p.incarnations), stream.Cursor{Stream: b.Stream, Serial: b.Head, Time: b.HeadTime, Timed: true}})
			c := clients[r.IntN(len(clients))]
			window := stream.Window{Entries: r.Uint64N(12), Bytes: r.Uint64N(3) * 50}
			truth := c.incarnation == len(p.incarnations) && c.cursor.Serial >= b.Floor
			gap := b.Head - c.cursor.Serial
			fits := (window.Entries == 0 || gap <= window.Entries) && (window.Bytes == 0 || gap*10 <= window.Bytes)
			for _, cursor := range []stream.Cursor{c.cursor, {Stream: c.cursor.Stream, Serial: c.cursor.Serial},
				{Serial: c.cursor.Serial, Time: c.cursor.Time, Timed: true}} {
				if cursor.Stream == "" && cursor.Serial == 0 && b.Born > 0 {
					continue // before the first entry there is no time to tell incarnations apart
				}
				replay, reason := stream.Prove(cursor, b, p.witness(cursor.Serial), window, p.now)
				want := truth && fits
				if got := reason == stream.Proven; got != want {
					t.Fatalf("seed %d: client of incarnation %d with %+v; now incarnation %d with %+v: %v, want proven %v",
						seed, c.incarnation, cursor, len(p.incarnations), b, reason, want)
				}
				if truth && !fits && reason != stream.WindowExceeded {
					t.Fatalf("seed %d: %v, want window_exceeded", seed, reason)
				}
				if reason == stream.Proven {
					proven++
					if replay.From() != cursor.Serial || replay.To() != b.Head || replay.Stream() != b.Stream {
						t.Fatalf("seed %d: replay %+v of %+v", seed, replay, b)
					}
				} else {
					refused++
				}
			}
		}
	}
	if proven < 1000 || refused < 1000 {
		t.Fatalf("%d proofs and %d refusals: the simulation is lopsided", proven, refused)
	}
}

func FuzzProve(f *testing.F) {
	f.Add(true, uint8(1), uint64(15), int64(15_000), true, uint64(5), uint64(10), uint64(20), int64(3000), uint64(15), int64(15_000), uint64(16), uint64(500), uint64(0), uint64(0), int64(0), int64(0), int64(21_000))
	f.Fuzz(func(t *testing.T, logged bool, id uint8, serial uint64, ms int64, timed bool, base, floor, head uint64, born int64,
		atSerial uint64, atTime int64, next, bytes, entries, maxBytes uint64, age, cursorAge, now int64) {
		if base > floor || floor > head {
			return
		}
		b := stream.Bounds{Stream: "s", Base: base, Floor: floor, Head: head, Born: born, Logged: logged}
		c := stream.Cursor{Stream: []stream.ID{"", "s", "t"}[id%3], Serial: serial, Time: ms, Timed: timed}
		w := stream.Witness{At: stream.EntryID{Time: atTime, Serial: atSerial}, Next: stream.EntryID{Serial: next}, Bytes: bytes}
		lim := stream.Window{Entries: entries, Bytes: maxBytes, Age: time.Duration(age), CursorAge: time.Duration(cursorAge)}
		r, reason := stream.Prove(c, b, w, lim, now)
		if reason != stream.Proven {
			if r != (stream.Replay{}) {
				t.Fatalf("refused with %v and a replay %+v", reason, r)
			}
			return
		}
		switch {
		case !logged, c.Stream == "t", serial < floor, serial > head, c.Stream == "" && timed && ms < born:
			t.Fatalf("proven: %+v within %+v", c, b)
		case serial > 0 && atSerial != serial, serial < head && next != serial+1:
			t.Fatalf("proven without evidence: %+v by %+v", c, w)
		case timed && serial > 0 && ms != atTime:
			t.Fatalf("proven with another time: %+v by %+v", c, w)
		case entries > 0 && head-serial > entries, maxBytes > 0 && serial < head && bytes > maxBytes:
			t.Fatalf("proven beyond the window: %+v by %+v within %+v", c, w, lim)
		case r.From() != serial || r.To() != head || r.Stream() != "s" || r.Count() != head-serial:
			t.Fatalf("replay %+v", r)
		}
	})
}

func TestReasons(t *testing.T) {
	names := map[string]bool{}
	for _, r := range stream.Reasons() {
		if names[r.String()] || r == stream.Proven || r.String() == "reason" {
			t.Errorf("reason %d is called %q", r, r)
		}
		names[r.String()] = true
	}
	if len(names) != 7 {
		t.Errorf("%d reasons, want the 7 of the table", len(names))
	}
}
