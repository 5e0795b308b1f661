package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/presence"
)

// usher asks who was there, and who came and went, at any moment of the past; and it trims and resets the log.
type usher struct {
	world *world
	rnd   *rand.Rand
}

func (u *usher) live() {
	for {
		u.world.nap(time.Duration(20+u.rnd.IntN(300)) * time.Millisecond)
		if u.world.healed() {
			return
		}
		s := u.world.running()
		if s == nil {
			continue
		}
		done, err := s.call()
		if err != nil {
			continue
		}
		switch n := u.rnd.IntN(20); {
		case n < 10:
			u.past(s.members)
		case n < 16:
			u.history(s.members)
		case n < 19:
			u.trim(s)
		default:
			_, _ = s.members.Reset(context.Background(), hallRef)
		}
		done()
	}
}

// bounds is what the log has now; ok is false when the store does not say.
func (u *usher) bounds(g *presence.Register) (b stream.Bounds, ok bool) {
	b, _, err := g.Bounds(context.Background(), hallRef)
	return b, err == nil && b.Head > 0
}

func (u *usher) trim(s *server) {
	if b, ok := u.bounds(s.members); ok {
		through := b.Floor + uint64(u.rnd.Int64N(int64(b.Head-b.Floor)+1))
		_, _ = s.node.Cut(context.Background(), stream.Cut{Ref: hallRef, Kind: stream.Trim, Through: through})
	}
}

// past asks for the members at a serial, or at a time.
func (u *usher) past(g *presence.Register) {
	b, ok := u.bounds(g)
	if !ok {
		return
	}
	when := presence.When{AtSerial: true, Serial: u.rnd.Uint64N(b.Head + 3)}
	if u.rnd.IntN(3) == 0 {
		when = presence.When{AtTime: true, Time: now() - u.rnd.Int64N(2000)}
	}
	at, then, err := g.At(context.Background(), hallRef, when)
	h := u.world.hall
	switch kind := fault.KindOf(err); {
	case err == nil:
		u.members(g, when, at, then)
	case kind == fault.NotProvable && when.AtSerial && when.Serial >= then.Floor && then.Stream == b.Stream:
		h.complain("the members at %d are refused with the floor at %d: %v", when.Serial, then.Floor, err)
	case kind == fault.NotProvable && when.AtTime && when.Time >= then.FloorTime && then.Stream == b.Stream:
		h.complain("the members at %d ms are refused with the floor at %d ms: %v", when.Time, then.FloorTime, err)
	case kind == fault.Invalid && (!when.AtSerial || when.Serial <= then.Head):
		h.complain("the members at %+v are refused with the head at %d: %v", when, then.Head, err)
	}
}

// members reads the members at an entry in pages, in no hurry, and has them judged.
func (u *usher) members(g *presence.Register, when presence.When, at stream.EntryID, b stream.Bounds) {
	shown, after := map[string]string{}, ""
	for more := true; more; {
		page, err := g.Members(context.Background(), hallRef, at, after, 1+u.rnd.IntN(3))
		if err != nil || page.Bounds.Stream != b.Stream {
			return // retention, a reset or the disk
		}
		for i := range page.Members {
			after = page.Members[i].User
			info, err := page.Members[i].Info()
			if _, twice := shown[after]; err != nil || twice {
				u.world.hall.complain("the members at %v have %s twice, or damaged: %v", at, after, err)
			}
			shown[after] = string(info)
		}
		if more = page.More; more {
			u.world.nap(time.Duration(u.rnd.IntN(30)) * time.Millisecond)
		}
	}
	h := u.world.hall
	h.mu.Lock()
	defer h.mu.Unlock()
	h.claims = append(h.claims, claim{"who asked for " + string(b.Stream), at.Serial, shown})
	if r := h.streams[string(b.Stream)]; when.AtTime && r != nil {
		for _, e := range r.entries {
			if e.Serial > at.Serial && e.Serial <= b.Head && e.Time <= when.Time || e.Serial <= at.Serial && e.Time > when.Time {
				h.complain("the members at %d ms are those at %v; entry %d is of %d ms", when.Time, at, e.Serial, e.Time)
				return
			}
		}
	}
}

// history reads some transitions in pages, and compares them with the entries.
func (u *usher) history(g *presence.Register) {
	b, ok := u.bounds(g)
	if !ok {
		return
	}
	from := 1 + u.rnd.Uint64N(b.Head)
	q := presence.HistoryQuery{Ref: hallRef, From: from, To: from + u.rnd.Uint64N(b.Head), Reverse: u.rnd.IntN(2) == 0, Limit: 1 + u.rnd.IntN(8), Stream: b.Stream}
	low, high := q.From, min(q.To, b.Head)
	var got []uint64
	floor := uint64(0)
	for more := true; more; {
		page, err := g.History(context.Background(), q)
		if err != nil {
			return
		}
		for _, e := range page.Rows {
			got = append(got, e.Serial)
		}
		floor = max(floor, page.Bounds.Floor)
		if more = page.More; q.Reverse {
			q.To = page.Last - 1
			more = more && q.To >= low
		} else {
			q.From = page.Last + 1
		}
	}
	if q.Reverse {
		slices.Reverse(got)
	}
	h := u.world.hall
	h.mu.Lock()
	defer h.mu.Unlock()
	var want []uint64
	for _, e := range h.streams[string(b.Stream)].entries {
		if e.Serial >= low && e.Serial <= high && corepresence.ChangeOf(e) != corepresence.None {
			want = append(want, e.Serial)
		}
	}
	trimmed := func(all []uint64) []uint64 {
		return slices.DeleteFunc(all, func(serial uint64) bool { return serial <= floor || serial > high })
	}
	if want, got = trimmed(want), trimmed(got); !slices.Equal(got, want) {
		h.complain("the transitions from %d to %d are told as %v; they are %v (reverse %v, floor %d)", low, high, got, want, q.Reverse, floor)
	}
}
