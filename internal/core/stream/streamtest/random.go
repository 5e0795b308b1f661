package streamtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// SeedVariable names the environment variable that replays one seed of the random operations, or as many seeds from 1
// on as are asked for with a leading plus: "17" is seed 17, "+5000" are five thousand seeds.
const SeedVariable = "STREAMTEST_SEED"

const (
	randomSeeds = 24
	randomSteps = 150
)

// runRandom runs the seeds, or the one that the environment asks for.
func runRandom(t *testing.T, open func(*testing.T, Options) Harness) {
	first, count := uint64(1), uint64(randomSeeds)
	if s := os.Getenv(SeedVariable); s != "" {
		number, many := strings.CutPrefix(s, "+")
		seed, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", SeedVariable, err)
		}
		first, count = seed, 1
		if many {
			first, count = 1, seed
		}
	}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { newWorld(t, open).random(seed) })
	}
}

// dice is one random run.
type dice struct {
	*world
	r      *rand.Rand
	refs   []stream.Ref
	models map[stream.Ref]*model
	ids    map[stream.Ref]stream.ID
	seen   map[stream.ID]stream.Ref
	// over are the streams that a crash may have left over their size limits: the next append sees to it.
	over map[stream.Ref]bool
	did  []string
}

func (w *world) random(seed uint64) {
	d := &dice{world: w, r: rand.New(rand.NewPCG(seed, 7)), models: map[stream.Ref]*model{}, ids: map[stream.Ref]stream.ID{},
		seen: map[stream.ID]stream.Ref{}, over: map[stream.Ref]bool{}}
	defer func() {
		if w.Failed() {
			w.Logf("the last operations:\n%s", strings.Join(d.did[max(0, len(d.did)-25):], "\n"))
			w.Logf("replay: %s=%d go test -run '%s' (in the store's package)", SeedVariable, seed, strings.Split(w.Name(), "/")[0])
		}
	}()
	for i, retention := range []stream.Retention{{}, {KeepLatest: true}, {KeepLatest: true, Entries: 20, MaxKeys: 4},
		{Entries: 12, MaxKeys: 3}, {Bytes: 900}} {
		ref := stream.Ref{App: "app", Channel: fmt.Sprint("c", i)}
		w.policy(ref, retention)
		d.refs, d.models[ref] = append(d.refs, ref), &model{}
		d.renew(ref)
	}
	for range randomSteps {
		d.step()
		if d.r.IntN(4) == 0 {
			d.look()
		}
	}
	for _, ref := range d.refs {
		d.checkAll(ref)
	}
}

func (d *dice) log(format string, args ...any) { d.did = append(d.did, fmt.Sprintf(format, args...)) }

func (d *dice) ref() stream.Ref { return d.refs[d.r.IntN(len(d.refs))] }

// renew learns the id of a new incarnation, which nobody may have seen before.
func (d *dice) renew(ref stream.Ref) {
	d.Helper()
	id := d.bounds(ref).Stream
	if of, used := d.seen[id]; used {
		d.Fatalf("the new incarnation of %v has the id %s, which was one of %v", ref, id, of)
	}
	d.seen[id], d.ids[ref] = ref, id
}

func (d *dice) step() {
	switch n := d.r.IntN(100); {
	case n < 62:
		d.stepAppend()
	case n < 82:
		d.stepCut()
	case n < 88:
		by := time.Duration(d.r.IntN(100_000)-20_000) * time.Millisecond
		if d.expired() {
			by = max(by, -by) // whether a receipt that expired comes back with the clock is not said
		}
		d.log("clock %v", by)
		d.clock.advance(by)
	case n < 91:
		ref := d.ref()
		class := stream.Durability(d.r.IntN(2))
		d.log("class of %v: %v", ref, class)
		d.class(ref, class)
	case n < 94:
		d.stepForget()
	case n < 96 && crashesHeld(d.h):
		d.stepCrash()
	default:
		reopen := d.h.Reopen
		if d.r.IntN(2) == 0 && d.h.Crash != nil {
			reopen = d.h.Crash
		}
		if reopen != nil {
			d.log("reopen")
			d.store = reopen()
		}
	}
	d.settle()
}

// expired reports whether any receipt has expired.
func (d *dice) expired() bool {
	for _, m := range d.models {
		for _, r := range m.receipts {
			if r.expires <= d.clock.now() {
				return true
			}
		}
	}
	return false
}

// settle lets retention do what is due, and learns from the bounds how far it went, within what it may.
func (d *dice) settle() {
	d.Helper()
	d.maintain()
	for _, ref := range d.refs {
		m, r := d.models[ref], d.rules.get(ref).Retention
		b := d.bounds(ref)
		if b.Floor > m.floor {
			if m.allowed(r, b.Floor) {
				m.cut(stream.Trim, b.Floor)
			} else {
				d.Fatalf("%v: retention %+v moved the floor from %d to %d; the head is %d", ref, r, m.floor, b.Floor, b.Head)
			}
		}
		if d.over[ref] {
			d.checkBounds(ref, b)
			continue
		}
		if r.Entries > 0 && b.Retained() > r.Entries+max(1, r.Entries/16) {
			d.Fatalf("%v: %d entries where %d are allowed", ref, b.Retained(), r.Entries)
		}
		if r.Bytes > 0 && b.RetainedBytes() > r.Bytes+r.Bytes/16 && b.Retained() > 1 {
			d.Fatalf("%v: %d bytes where %d are allowed", ref, b.RetainedBytes(), r.Bytes)
		}
		d.checkBounds(ref, b)
	}
}

// allowed reports whether retention may have moved the floor so far: what is left must not be less than the limits.
func (m *model) allowed(r stream.Retention, floor uint64) bool {
	if floor > m.head {
		return false
	}
	bytes := m.headCum
	if floor > m.base {
		bytes -= m.entries[floor-m.base-1].Cum
	}
	last := m.entries[floor-m.base-1]
	return r.Entries > 0 && m.head-floor >= r.Entries || r.Bytes > 0 && bytes+uint64(last.Size()) > r.Bytes
}

func (d *dice) checkBounds(ref stream.Ref, b stream.Bounds) {
	d.Helper()
	want := d.models[ref].bounds(d.rules.get(ref).Retention.KeepLatest)
	want.Stream, want.Born = d.ids[ref], b.Born
	if b != want {
		d.Fatalf("bounds of %v\n got %+v\nwant %+v", ref, b, want)
	}
}

func (d *dice) stepAppend() {
	refs := []stream.Ref{d.ref(), d.ref()}
	ops := make([]stream.Op, 1+d.r.IntN(4))
	for i := range ops {
		ref := refs[d.r.IntN(2)]
		ops[i] = d.op(ref, d.models[ref].head)
	}
	results := d.append(ops...)
	now := d.clock.now()
	before := map[stream.Ref]uint64{refs[0]: d.models[refs[0]].base, refs[1]: d.models[refs[1]].base}
	want := make([]stream.Result, len(ops))
	for i := range ops {
		want[i] = d.models[ops[i].Ref].append(ops[i], d.rules.get(ops[i].Ref), now)
		d.log("%v %v -> %+v", ops[i].Ref.Channel, describe(&ops[i]), results[i])
	}
	for ref, base := range before {
		if d.models[ref].base != base {
			d.renew(ref)
		}
	}
	for i, got := range results {
		w := want[i]
		if got.Outcome == stream.Refused && w.Outcome == stream.Refused && fault.KindOf(got.Err) == fault.KindOf(w.Err) {
			continue
		}
		if got.Outcome != stream.Applied {
			got.Stream = ""
		} else {
			d.over[ops[i].Ref] = false
			w.Stream = d.ids[ops[i].Ref]
		}
		if got != w {
			d.Fatalf("%v of %v\n got %+v\nwant %+v", describe(&ops[i]), ops[i].Ref, results[i], want[i])
		}
	}
}

// stepCrash crashes the store with a batch in flight. Afterwards each of its streams has all of its part, or none.
func (d *dice) stepCrash() {
	d.Helper()
	refs := []stream.Ref{d.ref(), d.ref()}
	ops := []stream.Op{create(refs[0], "in flight")} // something at least that needs a sync
	for range d.r.IntN(4) {
		ref := refs[d.r.IntN(2)]
		ops = append(ops, d.op(ref, d.models[ref].head))
	}
	reached := d.hold()
	d.laterAny(ops...)
	wait(d.world, "the sync", reached)
	d.store = d.h.Crash()
	now := d.clock.now()
	for i, ref := range refs {
		if i > 0 && ref == refs[0] {
			break
		}
		with := d.models[ref].clone()
		for _, op := range ops {
			if op.Ref == ref {
				with.append(op, d.rules.get(ref), now)
			}
		}
		b := d.bounds(ref)
		d.log("crash with %d ops in flight; %v has head %d", len(ops), ref.Channel, b.Head)
		if b.Head == d.models[ref].head {
			continue
		}
		if b.Head != with.head {
			d.Fatalf("%v: head %d after a crash; it was %d, and all of the batch makes %d", ref, b.Head, d.models[ref].head, with.head)
		}
		began := with.base != d.models[ref].base
		d.over[ref] = true
		if d.models[ref] = with; began {
			d.renew(ref)
		}
	}
}

func describe(op *stream.Op) string {
	e := &op.Entry
	s := fmt.Sprintf("%v message %d key %q %q set %d clear %d guard %+v", e.Kind, e.Message, e.Key, e.Data.Bytes, e.Set, e.Clear, op.Guard)
	if op.Receipt != nil {
		s += fmt.Sprintf(" receipt %s/%s", op.Receipt.Key, op.Receipt.Fingerprint[:1])
	}
	return s
}

// op makes something that might be appended, often wrong.
func (d *dice) op(ref stream.Ref, head uint64) stream.Op {
	r := d.r
	op := create(ref, strings.Repeat("x", r.IntN(30)))
	e := &op.Entry
	if r.IntN(6) == 0 {
		e.Data = stream.Data{Type: stream.JSON, Bytes: []byte("[1]")}
	}
	switch n := r.IntN(20); {
	case n < 5:
	case n < 10:
		e.Kind, e.Key = stream.Put, fmt.Sprint("k", r.IntN(5))
	default:
		e.Kind = []stream.Kind{stream.Update, stream.Append, stream.Append, stream.Delete, stream.Annotate, stream.Unannotate}[r.IntN(6)]
		if r.IntN(2) == 0 {
			e.Key = fmt.Sprint("k", r.IntN(5))
		} else {
			e.Message = head + 2 - min(head+2, r.Uint64N(14))
		}
		e.Set = stream.Fields(r.IntN(4))
		if r.IntN(4) == 0 {
			e.Clear = stream.FieldExtras
		}
		if e.Kind == stream.Annotate || e.Kind == stream.Unannotate {
			e.Annot = &stream.Annotation{Type: "reactions:distinct.v1", Name: "like"}
		}
	}
	switch r.IntN(12) {
	case 0:
		op.Guard.IfVersion = 1 + r.Uint32N(3)
	case 1:
		op.Guard.IfSerial = 1 + r.Uint64N(head+1)
	case 2:
		op.Guard.IfAbsent = true
	case 3:
		op.Guard.MaxBytes, op.Guard.MaxVersion = 1+r.Uint64N(60), r.Uint32N(5)
	}
	if r.IntN(3) == 0 {
		op = withReceipt(op, fmt.Sprint("r", r.IntN(12)), string(rune('a'+r.IntN(2))))
	}
	return op
}

func (d *dice) stepCut() {
	ref := d.ref()
	m := d.models[ref]
	kind := []stream.CutKind{stream.Trim, stream.Trim, stream.Trim, stream.Trim, stream.Trim, stream.Purge, stream.Reset}[d.r.IntN(7)]
	through := m.floor + d.r.Uint64N(m.head-m.floor+2)
	r := d.world.cut(ref, kind, through)
	d.log("%v cut %d through %d -> %+v", ref.Channel, kind, through, r)
	before := m.bounds(false)
	if kind == stream.Reset {
		if m.head == 0 {
			m.class = d.rules.get(ref).Durability
		}
		m.reset(d.clock.now())
		d.renew(ref)
	} else {
		m.cut(kind, through)
	}
	after := m.bounds(false)
	if want := min(after.Floor, before.Head) - before.Floor; r.Entries != want || r.Bytes != after.FloorCum-before.FloorCum {
		d.Fatalf("the cut removed %d entries of %d bytes, want %d of %d", r.Entries, r.Bytes, want, after.FloorCum-before.FloorCum)
	}
	d.checkBounds(ref, r.After)
}

func (d *dice) stepForget() {
	if d.h.Forget == nil || d.r.IntN(3) > 0 {
		return
	}
	d.clock.advance(40 * 24 * time.Hour)
	d.log("forget")
	if err := d.h.Forget(30 * 24 * time.Hour); err != nil {
		d.Fatalf("forget: %v", err)
	}
	forgot := false
	for _, ref := range d.refs {
		m := d.models[ref]
		keep := d.rules.get(ref).Retention.KeepLatest
		if b := m.bounds(keep); m.head > 0 && b.Retained() == 0 && b.Keys == 0 {
			d.models[ref], forgot = &model{}, true
		}
	}
	for _, ref := range d.refs {
		if forgot && d.models[ref].head == 0 {
			d.renew(ref)
		}
	}
}
