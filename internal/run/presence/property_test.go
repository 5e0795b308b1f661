package presence_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/presence"
)

var seed = flag.Uint64("presence.seed", 0, "run this one seed of TestAnyInterleaving")

// dumb is who should be there: each user's connections, and when those that ended go (0: they are open).
type dumb map[string]map[string]int64

func (d dumb) enter(user, conn string) {
	if d[user] == nil {
		d[user] = map[string]int64{}
	}
	maps.DeleteFunc(d[user], func(_ string, until int64) bool { return until != 0 })
	d[user][conn] = 0
}

func (d dumb) exit(user, conn string, until int64) {
	if _, ok := d[user][conn]; ok {
		d[user][conn] = until
	}
	d.pass(now())
}

func (d dumb) pass(now int64) {
	for user, conns := range d {
		maps.DeleteFunc(conns, func(_ string, until int64) bool { return until != 0 && until <= now })
		if len(conns) == 0 {
			delete(d, user)
		}
	}
}

func (d dumb) crash(until int64) {
	for _, conns := range d {
		for c := range conns {
			conns[c] = until
		}
	}
}

func (d dumb) users() []string { return slices.Sorted(maps.Keys(d)) }

// Any interleaving of connections, tabs, drops, reconnects, updates, outages, crashes and trims: the members are those of
// a dumb model, transitions alternate for each user, and the members at a serial are the replay of the entries up to it.
func TestAnyInterleaving(t *testing.T) {
	seeds := []uint64{*seed}
	if *seed == 0 {
		seeds = seeds[:0]
		for range 60 {
			seeds = append(seeds, rand.Uint64())
		}
	}
	for _, s := range seeds {
		bubble(t, func(a *app.App) { a.Policies[0].Presence.Retention = stream.Retention{Entries: 40} }, func(w *world) {
			defer func() {
				if w.t.Failed() {
					t.Logf("go test ./internal/run/presence -run TestAnyInterleaving -presence.seed=%d", s)
				}
			}()
			newPlay(w, s).run(250)
		})
	}
}

// play is one random run.
type play struct {
	w       *world
	r       *rand.Rand
	want    dumb
	open    map[string]string // connection → user
	last    int
	failing bool
	all     []*stream.Entry // everything that was ever visible
}

func newPlay(w *world, seed uint64) *play {
	p := &play{w: w, r: rand.New(rand.NewPCG(seed, 1)), want: dumb{}, open: map[string]string{}}
	w.store.Watch(func(a stream.Advance) { p.all = append(p.all, a.Entries...) })
	return p
}

func (p *play) run(steps int) {
	for range steps {
		p.step()
		synctest.Wait()
		p.want.pass(now())
		if got, want := p.w.users(), p.want.users(); !slices.Equal(got, want) {
			p.w.t.Logf("log %q\nmodel %v failing %v", p.w.lines(), p.want, p.failing)
			p.w.t.Fatalf("the members are %q, want %q", got, want)
		}
	}
	p.w.fail.Store(nil)
	pass(time.Hour)
	p.want.pass(now())
	if got, want := p.w.users(), p.want.users(); !slices.Equal(got, want) {
		p.w.t.Fatalf("in the end the members are %q, want %q", got, want)
	}
	p.replay()
}

func (p *play) step() {
	grace := []time.Duration{0, 0, time.Second, 15 * time.Second}
	switch n := p.r.IntN(100); {
	case n < 35:
		p.last++
		id, user := fmt.Sprint("c", p.last), fmt.Sprint("u", p.r.IntN(6))
		if p.r.IntN(4) == 0 && len(p.open) > 0 { // the same connection enters again
			id = p.any()
			user = p.open[id]
		}
		p.open[id] = user
		p.want.enter(user, id)
		p.w.client(id).ask(user, fmt.Sprint(p.r.IntN(2)))
	case n < 65 && len(p.open) > 0:
		id := p.any()
		d := grace[p.r.IntN(len(grace))]
		p.want.exit(p.open[id], id, now()+d.Milliseconds())
		delete(p.open, id)
		p.w.reg.Exit(p.w.client(id), session.Exit{Tag: 1, Ref: room, Grace: d, Cause: corepresence.Timeout})
	case n < 70 && len(p.open) > 0:
		id := p.any()
		p.w.client(id).update(p.open[id], fmt.Sprint(p.r.IntN(9)))
	case n < 90:
		pass(time.Duration(p.r.IntN(5000)) * time.Millisecond)
	case n < 95:
		p.outage()
	case n < 98 && !p.failing:
		p.crash()
	}
}

func (p *play) any() string {
	ids := slices.Sorted(maps.Keys(p.open))
	return ids[p.r.IntN(len(ids))]
}

func (p *play) outage() {
	if p.failing = !p.failing; p.failing {
		var err error = fault.New(fault.Unavailable, "the disk is away")
		p.w.fail.Store(&err)
		return
	}
	p.w.fail.Store(nil)
	pass(2 * time.Second) // by then it is written
}

func (p *play) crash() {
	p.w.crash()
	p.open = map[string]string{}
	p.want.crash(now() + 15_000)
	if err := p.w.reg.Recover(p.w.t.Context()); err != nil {
		p.w.t.Fatal(err)
	}
}

// replay compares the members at serials that can be asked for with the replay of all entries up to them.
func (p *play) replay() {
	t := p.w.t
	here := map[string]string{} // user → info
	var at []map[string]string
	for i, e := range p.all {
		if e.Serial != uint64(i+1) {
			t.Fatalf("entry %d has serial %d", i+1, e.Serial)
		}
		_, was := here[e.Key]
		change := corepresence.ChangeOf(e)
		if was != (change != corepresence.Added) {
			t.Fatalf("entry %d: %v of %s, who was there: %v", e.Serial, change, e.Key, was)
		}
		if change == corepresence.Removed {
			delete(here, e.Key)
		} else {
			m, err := corepresence.Of(e.Key, e.Data)
			if err != nil || len(m.Conns) == 0 {
				t.Fatalf("entry %d: %+v %v", e.Serial, m, err)
			}
			if was && change == corepresence.None && here[e.Key] != string(m.Info) {
				t.Fatalf("entry %d changes the info of %s and is no update: %q", e.Serial, e.Key, p.w.lines())
			}
			here[e.Key] = string(m.Info)
		}
		at = append(at, maps.Clone(here))
	}
	for serial := range uint64(len(at)) {
		serial++
		id, b, err := p.w.reg.At(t.Context(), room, presence.When{AtSerial: true, Serial: serial})
		if serial < b.Floor {
			if fault.KindOf(err) != fault.NotProvable || fault.Of(err).Detail != b.Floor {
				t.Fatalf("members at %d below the floor %d: %v", serial, b.Floor, err)
			}
			continue
		}
		got := map[string]string{}
		for after, more := "", true; more; {
			page, err := p.w.reg.Members(t.Context(), room, id, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page.Members {
				info, _ := s.Info()
				got[s.User], after = string(info), s.User
			}
			more = page.More
		}
		if !maps.Equal(got, at[serial-1]) {
			t.Fatalf("members at %d are %v, want %v", serial, got, at[serial-1])
		}
	}
}
