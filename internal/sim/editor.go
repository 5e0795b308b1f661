package sim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
)

// editor is a backend that puts, changes and deletes messages of the state channel, and retries what it does not know
// the outcome of.
type editor struct {
	world  *world
	name   string
	rnd    *rand.Rand
	seq    int
	recent []uint64 // messages that it may change
}

const stateKeys = 8

func (w *world) editors() (all []*editor) {
	rnd := w.opts.random(rndState)
	for i := range 2 + rnd.IntN(3) {
		all = append(all, &editor{world: w, name: fmt.Sprint("editor", i), rnd: w.opts.random(rndState + 1 + uint64(i))})
	}
	return all
}

func (e *editor) live() {
	for !e.world.healed() {
		if e.rnd.IntN(5) == 0 {
			e.count()
		} else {
			e.change()
		}
		if e.rnd.IntN(3) > 0 {
			e.world.nap(time.Duration(e.rnd.IntN(100)) * time.Millisecond)
		}
	}
}

// change does something to some message. Its text is unique, so that nothing of it can be there twice unnoticed.
func (e *editor) change() {
	e.seq++
	text := fmt.Sprintf("<%s.%d>", e.name, e.seq)
	data := stream.Data{Type: stream.Text, Bytes: []byte(text)}
	key := fmt.Sprint("key", e.rnd.IntN(stateKeys))
	var x stream.Entry
	switch e.rnd.IntN(10) {
	case 0, 1:
		x = stream.Entry{Kind: stream.Create, Event: "chat", Data: data}
	case 2, 3, 4:
		x = stream.Entry{Kind: stream.Put, Key: key, Event: "price", Data: data}
	case 5, 6:
		x = stream.Entry{Kind: stream.Append, Data: data}
	case 7:
		x = stream.Entry{Kind: stream.Update, Set: stream.FieldData, Data: data}
	case 8:
		x = stream.Entry{Kind: stream.Delete, Set: stream.FieldData, Data: data}
	default:
		x = stream.Entry{Kind: stream.Annotate, User: e.name, Annot: &stream.Annotation{Type: reactions, Name: "like"}}
		if e.rnd.IntN(3) == 0 {
			x.Kind = stream.Unannotate
		}
	}
	if !x.Kind.Row() {
		if n := len(e.recent); n > 0 && e.rnd.IntN(2) == 0 {
			x.Message = e.recent[e.rnd.IntN(n)]
		} else {
			x.Key = key
		}
	}
	r, ok := e.publish(x, stream.Guard{})
	if !ok {
		return
	}
	at := place{string(r.Stream), r.Entry.Serial}
	if len(x.Data.Bytes) > 0 {
		e.world.ledger.acknowledged(at, x.Kind, text)
	}
	if x.Kind == stream.Create {
		e.recent = append(e.recent, r.Message)
		e.recent = e.recent[max(0, len(e.recent)-4):]
	}
}

// count reads a counter and writes it one higher, if nobody was faster.
func (e *editor) count() {
	s := e.world.running()
	if s == nil {
		return
	}
	const key = "counter"
	guard, value := stream.Guard{IfAbsent: true}, 1
	m, _, err := s.node.Message(context.Background(), stateRef, 0, key, 0)
	switch {
	case err == nil && m.Live():
		n, err := strconv.Atoi(string(m.Data.Bytes))
		if err != nil {
			e.world.ledger.complain("P4 %s: the counter is %q", stateChannel, m.Data.Bytes)
		}
		guard, value = stream.Guard{IfVersion: m.Version}, n+1
	case err != nil && fault.KindOf(err) != fault.NotFound:
		return
	}
	e.seq++
	r, ok := e.publish(stream.Entry{Kind: stream.Put, Key: key, Event: "count", Data: stream.Data{Type: stream.Text, Bytes: []byte(strconv.Itoa(value))}}, guard)
	if ok {
		e.world.ledger.counts(place{string(r.Stream), r.Entry.Serial}, r.Message, value, e.name)
	}
}

// publish tries until the outcome is known; ok is false when it was refused, or when it gives up.
func (e *editor) publish(x stream.Entry, guard stream.Guard) (r stream.Result, ok bool) {
	p := node.Publish{Ref: stateRef, Entry: x, Guard: guard, Position: true, TTL: time.Hour, Key: fmt.Sprintf("%s-%d", e.name, e.seq)}
	p.Fingerprint = [16]byte(sha256.New().Sum([]byte(p.Key + string(x.Data.Bytes)))[:16])
	for range 50 {
		if s := e.world.running(); s != nil {
			ctx, cancel := context.Background(), func() {}
			if e.rnd.IntN(20) == 0 {
				ctx, cancel = context.WithTimeout(ctx, time.Duration(e.rnd.IntN(3000))*time.Microsecond)
			}
			results, err := s.publish(ctx, p)
			cancel()
			if err == nil && results[0].Outcome != stream.Unknown {
				return results[0], e.judge(x, guard, results[0])
			}
		}
		e.world.nap(time.Duration(5+e.rnd.IntN(300)) * time.Millisecond)
	}
	return r, false
}

// judge reports whether a change was made. It may be refused for what others did to the message, and for nothing else.
func (e *editor) judge(x stream.Entry, guard stream.Guard, r stream.Result) bool {
	if r.Outcome != stream.Refused {
		return true
	}
	k := fault.KindOf(r.Err)
	free := x.Kind.Row() && guard == stream.Guard{}
	if free || k != fault.NotFound && k != fault.Conflict && (k != fault.Invalid || x.Kind != stream.Append) {
		e.world.ledger.complain("P1 %s: %v of %q was refused: %v", stateChannel, x.Kind, x.Key, r.Err)
	}
	return false
}

// disturbState trims and resets the state channel.
func (w *world) disturbState(rnd *rand.Rand) {
	for {
		w.nap(time.Duration(50+rnd.IntN(700)) * time.Millisecond)
		if w.healed() {
			return
		}
		s := w.running()
		if s == nil {
			continue
		}
		c := stream.Cut{Ref: stateRef, Kind: stream.Trim}
		if rnd.IntN(8) == 0 {
			c.Kind = stream.Reset
		} else {
			page, err := s.node.Store().Read(context.Background(), stream.Query{Ref: stateRef})
			if err != nil {
				continue
			}
			c.Through = page.Bounds.Floor + uint64(rnd.Int64N(int64(page.Bounds.Head-page.Bounds.Floor)+1))
		}
		_, _ = s.node.Cut(context.Background(), c)
	}
}
