package sim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
)

// publisher is a backend: it publishes numbered payloads to every channel, one call after another, and retries what it
// does not know the outcome of.
type publisher struct {
	world  *world
	number int
	rnd    *rand.Rand
	seqs   map[string]int    // per channel
	open   map[string]uint64 // a message of each channel that may be appended to, by its serial
}

// text is a payload as it is published; parse reads it back.
func (p payload) text(pad int) string {
	return fmt.Sprintf("%d|%d|%t|%s", p.publisher, p.seq, p.ephemeral, strings.Repeat("x", pad))
}

func parse(text string) (p payload, ok bool) {
	parts := strings.Split(text, "|")
	if len(parts) != 4 {
		return p, false
	}
	var err [3]error
	p.publisher, err[0] = strconv.Atoi(parts[0])
	p.seq, err[1] = strconv.Atoi(parts[1])
	p.ephemeral, err[2] = strconv.ParseBool(parts[2])
	return p, err == [3]error{}
}

// job is one payload on its way.
type job struct {
	payload
	publish   node.Publish
	done      bool
	acked     bool
	uncertain bool // an attempt may have been written
}

func (p *publisher) live() {
	p.seqs, p.open = map[string]int{}, map[string]uint64{}
	for !p.world.healed() {
		k := p.world.kinds[p.rnd.IntN(len(p.world.kinds))]
		if p.rnd.IntN(6) == 0 {
			p.ephemeral(k.name)
		} else {
			p.batch(k)
		}
		if p.rnd.IntN(3) > 0 {
			p.world.nap(time.Duration(p.rnd.IntN(120)) * time.Millisecond)
		}
	}
}

func (p *publisher) ephemeral(channel string) {
	s := p.world.running()
	if s == nil {
		return
	}
	p.seqs["~"+channel]++
	one := payload{publisher: p.number, seq: p.seqs["~"+channel], ephemeral: true}
	hides := p.someone()
	p.world.oracle.attempt(channel, one, hides, false)
	_, _ = s.publish(context.Background(), node.Publish{Ref: stream.Ref{App: appID, Channel: channel}, Ephemeral: true,
		Entry: stream.Entry{Kind: stream.Create, Event: "typing", Data: stream.Data{Type: stream.Text, Bytes: []byte(one.text(0))}, Conn: hides, NoEcho: hides != ""}})
}

// someone is now and then the session of a client from which what is published is to be hidden.
func (p *publisher) someone() string {
	if p.rnd.IntN(4) > 0 {
		return ""
	}
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	best := ""
	for id := range p.world.live { // the smallest of them, so that the choice repeats
		if best == "" || id < best {
			best = id
		}
	}
	return best
}

// batch publishes one to three payloads in one call.
func (p *publisher) batch(k kind) {
	keyed := p.rnd.IntN(4) > 0
	var jobs []*job
	for range 1 + p.rnd.IntN(3)/2*p.rnd.IntN(3) {
		jobs = append(jobs, p.job(k, keyed))
	}
	for try := 0; ; try++ {
		rest := p.try(k, jobs)
		if len(rest) == 0 || !keyed || try > 50 {
			break
		}
		p.world.nap(time.Duration(5+p.rnd.IntN(400)) * time.Millisecond)
	}
	for _, j := range jobs {
		if !j.done && !j.uncertain {
			p.world.oracle.refusedPublish(k.name, j.payload)
		}
	}
	if keyed && p.rnd.IntN(5) == 0 {
		p.again(k, jobs[0])
	}
}

func (p *publisher) job(k kind, keyed bool) *job {
	p.seqs[k.name]++
	j := &job{payload: payload{publisher: p.number, seq: p.seqs[k.name]}}
	e := stream.Entry{Kind: stream.Create, Event: "news", Data: stream.Data{Type: stream.Text, Bytes: []byte(j.text(p.pad()))}}
	if p.rnd.IntN(5) == 0 {
		e.Conn = p.someone()
		e.NoEcho = e.Conn != ""
	}
	if at := p.open[k.name]; at > 0 && p.rnd.IntN(3) == 0 {
		e.Kind, e.Message, e.Event = stream.Append, at, ""
	}
	j.publish = node.Publish{Ref: stream.Ref{App: appID, Channel: k.name}, Entry: e, Position: p.rnd.IntN(3) > 0, TTL: time.Hour}
	if keyed {
		j.publish.Key = fmt.Sprintf("%s-%d-%d", k.name, p.number, j.seq)
		j.publish.Fingerprint = [16]byte(sha256.New().Sum(e.Data.Bytes)[:16])
	}
	hides := ""
	if e.NoEcho {
		hides = e.Conn
	}
	p.world.oracle.attempt(k.name, j.payload, hides, e.Kind == stream.Append)
	return j
}

func (p *publisher) pad() int {
	if p.rnd.IntN(20) == 0 {
		return p.rnd.IntN(2000)
	}
	return p.rnd.IntN(100)
}

// try publishes what is not done, and gives back what has to be tried again.
func (p *publisher) try(k kind, jobs []*job) (rest []*job) {
	var open []*job
	var ps []node.Publish
	for _, j := range jobs {
		if !j.done {
			open, ps = append(open, j), append(ps, j.publish)
		}
	}
	s := p.world.running()
	if s == nil {
		return open
	}
	ctx, cancel := context.Background(), func() {}
	if p.rnd.IntN(20) == 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(p.rnd.IntN(3000))*time.Microsecond)
	}
	results, err := s.publish(ctx, ps...)
	cancel()
	if err != nil {
		return open // nothing was decided
	}
	for i, r := range results {
		if j := open[i]; !p.take(k, j, r) {
			rest = append(rest, j)
		}
	}
	return rest
}

// take notes the answer to one job; false: it has to be tried again.
func (p *publisher) take(k kind, j *job, r stream.Result) bool {
	switch r.Outcome {
	case stream.Applied, stream.Duplicate:
		j.done, j.acked = true, true
		p.world.oracle.acknowledged(k.name, j.payload, place{string(r.Stream), r.Entry.Serial}, r.Outcome == stream.Duplicate)
		if j.publish.Entry.Kind == stream.Create && r.Entry.Serial > 0 {
			p.open[k.name] = r.Entry.Serial
		}
		return true
	case stream.Refused:
		j.done = true
		if kind := fault.KindOf(r.Err); j.publish.Entry.Kind != stream.Append || kind != fault.NotFound {
			p.world.oracle.complain("P1 %s: %v was refused: %v", k.name, j.payload, r.Err)
		}
		delete(p.open, k.name)
		if !j.uncertain {
			p.world.oracle.refusedPublish(k.name, j.payload)
		}
		return true
	default:
		j.uncertain = true
		return false
	}
}

// again publishes a payload once more under its key: the answer must be the first one, and another payload an error.
func (p *publisher) again(k kind, j *job) {
	s := p.world.running()
	if s == nil || !j.acked || k.volatile {
		return
	}
	other := j.publish
	other.Fingerprint[0]++
	p.world.oracle.attempt(k.name, j.payload, "", false)
	results, err := s.publish(context.Background(), j.publish, other)
	if err != nil {
		return
	}
	first, second := results[0], results[1]
	switch first.Outcome {
	case stream.Duplicate:
		p.world.oracle.acknowledged(k.name, j.payload, place{string(first.Stream), first.Entry.Serial}, true)
	case stream.Applied:
		p.world.oracle.complain("P5 %s: %v was appended again", k.name, j.payload)
	}
	if second.Outcome != stream.Unknown && (second.Outcome != stream.Refused || fault.KindOf(second.Err) != fault.Mismatch) {
		p.world.oracle.complain("P5 %s: another payload under the key of %v: %+v", k.name, j.payload, second)
	}
}
