package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// hallChannel is the channel that has members.
const hallChannel = "presence-hall"

var hallRef = stream.Ref{App: appID, Channel: hallChannel, Log: stream.Presence}

// hallPolicy keeps little of the log, lets grace times end while the world lives and, in some worlds, tells numbers
// instead of names.
func hallPolicy(p app.Policy, rnd *rand.Rand) app.Policy {
	p.Pattern = hallChannel
	p.Presence.Retention = stream.Retention{Entries: 20 << rnd.IntN(4)}
	p.Presence.DropGrace = time.Duration(100+rnd.IntN(900)) * time.Millisecond
	p.Presence.DropGraceV1 = time.Duration(rnd.IntN(3)*150) * time.Millisecond
	p.Presence.CleanGrace = time.Duration(rnd.IntN(4)/3*100) * time.Millisecond
	if rnd.IntN(4) == 0 {
		p.Presence.BroadcastLimit = 2
	}
	if rnd.IntN(5) == 0 {
		p.Presence.ListLimit = 2
	}
	return p
}

// hall judges the channel that has members: every entry that became visible, as the durable store told it, and what
// clients were shown. Its fold is the plainest, written apart from the one that servers use.
type hall struct {
	oracle     *Oracle
	policy     app.PresencePolicy
	complaints atomic.Int32

	mu      sync.Mutex
	streams map[string]*roster
	booted  map[int]int64 // when each process began, unix ms
	tabs    []*tab
	claims  []claim
	entries int
}

// roster is one incarnation of the log.
type roster struct {
	base, floor uint64
	entries     []*stream.Entry // base+1, base+2, …
	here        []guests        // after each
}

// guests are the members at a serial.
type guests map[string]guest

type guest struct {
	Info  json.RawMessage
	Conns []struct{ ID, Node, Boot string }
}

// infos is what lists of members show.
func (g guests) infos() map[string]string {
	all := map[string]string{}
	for user, one := range g {
		all[user] = string(one.Info)
	}
	return all
}

// claim is a list of members that somebody was shown, to be judged when all is known.
type claim struct {
	who    string
	serial uint64
	shown  map[string]string
}

func newHall(o *Oracle, p app.PresencePolicy) *hall {
	return &hall{oracle: o, policy: p, streams: map[string]*roster{}, booted: map[int]int64{}}
}

// complain leaves room for what others have to say.
func (h *hall) complain(format string, args ...any) {
	if h.complaints.Add(1) <= 5 {
		h.oracle.complain(hallChannel+": "+format, args...)
	}
}

// boot takes what a process finds, and listens to what it writes.
func (h *hall) boot(durable stream.Store, number int) {
	h.mu.Lock()
	h.booted[number] = now()
	h.mu.Unlock()
	for range 100 { // the disk may not answer
		page, err := durable.Read(context.Background(), stream.Query{Ref: hallRef, Limit: 10_000})
		if err == nil {
			h.take(page.Bounds, page.Entries, 0)
			break
		}
	}
	durable.Watch(func(a stream.Advance) {
		if a.Ref == hallRef {
			h.take(a.Bounds, a.Entries, number)
		}
	})
}

// take takes entries that are visible, some of them again. They are of the process that runs, or (0) were found.
func (h *hall) take(b stream.Bounds, entries []*stream.Entry, boot int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := string(b.Stream)
	r := h.streams[id]
	if r == nil {
		r = &roster{base: b.Base}
		h.streams[id] = r
	}
	r.floor = max(r.floor, b.Floor)
	for _, e := range entries {
		if e.Serial <= r.base+uint64(len(r.entries)) {
			continue
		}
		if e.Serial != r.base+uint64(len(r.entries))+1 {
			h.complain("P1 serial %d of %s became visible after %d", e.Serial, id, r.base+uint64(len(r.entries)))
			return
		}
		before := guests{}
		if n := len(r.here); n > 0 {
			before = r.here[n-1]
		}
		r.entries, r.here = append(r.entries, e), append(r.here, h.step(before, e, boot))
		h.entries++
	}
}

// step judges one entry, and gives the members after it; mu is held.
func (h *hall) step(before guests, e *stream.Entry, boot int) guests {
	after := maps.Clone(before)
	was, here := before[e.Key]
	change := presence.ChangeOf(e)
	if e.Kind == stream.Delete {
		if !here || change != presence.Removed {
			h.complain("entry %d: %s leaves, who was there: %v", e.Serial, e.Key, here)
		}
		delete(after, e.Key)
		h.left(e, was, boot)
		return after
	}
	var g guest
	err := json.Unmarshal(e.Data.Bytes, &g)
	changed := string(g.Info) != string(was.Info)
	switch {
	case err != nil || len(g.Conns) == 0:
		h.complain("entry %d: the membership of %s is %s", e.Serial, e.Key, e.Data.Bytes)
	case here == (change == presence.Added), here && changed && change != presence.Updated:
		h.complain("entry %d is %v of %s, who was there: %v, as %s, and is now %s", e.Serial, change, e.Key, here, was.Info, g.Info)
	}
	after[e.Key] = g
	return after
}

// left judges a departure: nobody goes who is connected, and nobody before the grace time is over; mu is held.
func (h *hall) left(e *stream.Entry, was guest, boot int) {
	seen := presence.NoteOf(e).ObservedAt
	switch cause := e.Member.Cause; {
	case cause == presence.Orphan && seen == 0:
		h.complain("entry %d: %s is an orphan, last seen never", e.Serial, e.Key)
	case cause == presence.Orphan && boot > 0:
		if early := h.booted[boot] + h.policy.DropGrace.Milliseconds() - e.Time; early > 0 {
			h.complain("entry %d: the orphan %s was taken out %d ms too early", e.Serial, e.Key, early)
		}
		for _, c := range was.Conns {
			if n, _ := strconv.Atoi(c.Boot); n >= boot {
				h.complain("entry %d: %s is taken out as an orphan by run %d, with connection %+v", e.Serial, e.Key, boot, c)
			}
		}
	case cause == presence.Timeout && h.policy.DropGraceV1 > 0 && e.Time-seen < min(h.policy.DropGraceV1, h.policy.DropGrace).Milliseconds():
		h.complain("entry %d: %s, last seen at %d, was taken out at %d", e.Serial, e.Key, seen, e.Time)
	}
	for _, t := range h.tabs {
		if boot > 0 && t.user == e.Key && !t.watches && t.state == inside && t.server.number == boot && t.link.alive() {
			t.doubt, t.doubted = fmt.Sprintf("entry %d (%s of %s, with %+v)", e.Serial, e.Member.Cause, e.Member.Conn, was.Conns), time.Now()
		}
	}
}

// at is the members at a serial, as each incarnation that has it says.
func (h *hall) at(serial uint64) (all []guests) {
	for _, r := range h.streams {
		switch {
		case serial == r.base:
			all = append(all, guests{})
		case serial > r.base && serial <= r.base+uint64(len(r.here)):
			all = append(all, r.here[serial-r.base-1])
		}
	}
	return all
}

// judgeHall compares what everybody was shown and ended with to the log, when all is whole again.
func (w *world) judgeHall() {
	h := w.hall
	page, err := w.running().node.Store().Read(context.Background(), stream.Query{Ref: hallRef})
	if err != nil {
		h.complain("the log cannot be read at the end: %v", err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.claims {
		if all := h.at(c.serial); !slices.ContainsFunc(all, func(g guests) bool { return maps.Equal(g.infos(), c.shown) }) {
			h.complain("%s was shown %v at %d; the log says %v", c.who, c.shown, c.serial, all)
		}
	}
	here := guests{}
	if r := h.streams[string(page.Bounds.Stream)]; r != nil && len(r.here) > 0 {
		here = r.here[len(r.here)-1]
	} else if page.Bounds.Keys > 0 {
		h.complain("the stream %s was never seen", page.Bounds.Stream)
	}
	h.judgeMembers(here)
	for _, t := range h.tabs {
		h.judgeTab(t, here)
	}
	h.oracle.count(func(c *Counts) { c.Transitions += h.entries; c.Lists += len(h.claims) })
}

// judgeMembers demands that exactly those are members who are connected, with their connections; mu is held.
func (h *hall) judgeMembers(here guests) {
	want := map[string]int{}
	for _, t := range h.tabs {
		if !t.gone && !t.watches {
			want[t.user]++
		}
	}
	got := map[string]int{}
	for user, g := range here {
		got[user] = len(g.Conns)
	}
	if !maps.Equal(got, want) {
		h.complain("the members end as %v, with connections %v; connected are %v", got, here, want)
	}
}

// judgeTab demands that a client that follows knows the members; mu is held.
func (h *hall) judgeTab(t *tab, here guests) {
	switch {
	case t.gone:
		return
	case t.state != inside:
		h.complain("%s ended outside", t.name)
		return
	case t.doubt != "":
		h.complain("%s is connected, and %s took %s out", t.name, t.doubt, t.user)
	}
	if t.face == faceRooms && t.count != len(here) {
		h.complain("%s ended with the number %d; there are %d", t.name, t.count, len(here))
	}
	if !t.whole || h.policy.BroadcastLimit < maxGuests {
		return
	}
	want := here.infos()
	if t.face == faceV1 { // it is not told of changes
		for user := range want {
			if _, known := t.list[user]; known {
				want[user] = t.list[user]
			}
		}
	}
	if !maps.Equal(t.list, want) {
		h.complain("%s ended with %v; there are %v", t.name, t.list, want)
	}
}

// maxGuests is more than any world has.
const maxGuests = 100

func (g guest) String() string { return fmt.Sprintf("%s%+v", g.Info, g.Conns) }
