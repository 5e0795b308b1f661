package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/pusher"
)

// stateClient loads a snapshot, follows from its serial, and folds what it is sent by the rules of the protocol. When
// its continuity is lost it loads the next one.
type stateClient struct {
	world  *world
	name   string
	rnd    *rand.Rand
	reader *client // how it reads
	known  bool    // it has a state
	at     place
	seen   shapes
	link   *link
	loads  int
}

func (w *world) stateClients() (all []*stateClient) {
	rnd := w.opts.random(rndState + 100)
	for i := range 2 + rnd.IntN(4) {
		c := &stateClient{world: w, name: fmt.Sprint("state client ", i), rnd: w.opts.random(rndState + 101 + uint64(i))}
		c.reader = &client{world: w, name: c.name, rnd: c.rnd, outbox: 1000 << c.rnd.IntN(7), room: 100 << c.rnd.IntN(7), tls: c.rnd.IntN(3) == 0, pace: c.rnd.IntN(paces)}
		all = append(all, c)
	}
	return all
}

func (c *stateClient) live(stop <-chan struct{}) {
	for {
		if c.known || c.load() {
			c.session()
		}
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(c.rnd.IntN(600)) * time.Millisecond):
		}
	}
}

var errPassed = errors.New("the snapshot was passed by retention, or by a reset")

// load takes a snapshot in pages, in no hurry.
func (c *stateClient) load() bool {
	s := c.world.running()
	if s == nil {
		return false
	}
	pin, err := s.pin()
	if err != nil {
		return false
	}
	id, seen, whole := pin.Bounds.Stream, shapes{}, shapes{}
	q := node.SnapshotQuery{Ref: stateRef, At: pin.At.Serial, Limit: 1 + c.rnd.IntN(12)}
	for more := true; more; {
		page, err := s.snapshot(q)
		if err == nil && page.Bounds.Stream != id {
			err = errPassed
		}
		if err != nil {
			return false
		}
		for i := range page.Items {
			item := &page.Items[i]
			if _, twice := seen[item.Message()]; twice {
				c.world.ledger.complain("P4 %s: message %d is twice in a snapshot", stateChannel, item.Message())
			}
			whole[item.Message()] = shapeOf(item)
			seen[item.Message()] = shapeOf(item).plain()
		}
		more, q.Rows, q.After, q.Beyond = page.More, page.Rows, page.After, page.Beyond
		if !c.world.healed() {
			c.world.nap(time.Duration(c.rnd.IntN(60)) * time.Millisecond)
		}
	}
	c.at, c.seen, c.known = place{string(id), pin.At.Serial}, seen, true
	c.loads++
	c.world.ledger.compare("a snapshot of "+c.name, c.at, whole, func(s shape) shape { return s })
	return true
}

// session is one connection from dial to end.
func (c *stateClient) session() {
	s := c.world.running()
	if s == nil {
		return
	}
	if c.link = s.dial(pusher.Query{Protocol: pusher.V2}, c.reader.room, c.reader.tls, c.reader.outbox); c.link == nil {
		return
	}
	c.reader.link = c.link
	keep, link := c.rnd.IntN(2*c.reader.room), c.link
	cut := time.AfterFunc(time.Duration(c.rnd.ExpFloat64()*2000)*time.Millisecond, func() {
		if !c.world.healed() {
			link.sever(keep)
		}
	})
	defer cut.Stop()
	defer link.sever(0)
	c.reader.listen(link, c.frame, c.reader.dismissed)
}

// changed is a frame about a message.
type changed struct {
	incoming
	Extras struct {
		Headers struct {
			Action  string `json:"sockudo_action"`
			Message string `json:"sockudo_message_serial"`
			Version string `json:"sockudo_version_serial"`
		}
	}
}

func (c *stateClient) frame(body []byte) bool {
	var f changed
	if err := json.Unmarshal(body, &f); err != nil {
		c.world.ledger.complain("%s was sent %q: %v", c.name, body, err)
		return true
	}
	switch f.Event {
	case "sockudo:connection_established":
		c.link.send(frameText, fmt.Appendf(nil, `{"event":"sockudo:subscribe","data":{"channel":%q}}`, stateChannel))
		c.link.send(frameText, fmt.Appendf(nil, `{"event":"sockudo:resume","data":{"channel_positions":{%q:{"stream_id":%q,"serial":%d}}}}`,
			stateChannel, c.at.stream, c.at.serial))
	case "sockudo_internal:subscription_succeeded":
		if f.place() != c.at {
			c.world.ledger.complain("P3 %s: %s presented %v and was answered %s", stateChannel, c.name, c.at, body)
		}
	case "sockudo:resume_success":
		c.compare()
	case "sockudo:resume_failed":
		c.known = false
	case "sockudo_internal:position":
		c.moved(f.place(), body)
	case "chat", "price", "count", "sockudo:message.update", "sockudo:message.append", "sockudo:message.delete":
		c.change(&f, body)
	default:
		c.world.ledger.complain("%s was sent %s", c.name, body)
	}
	return c.known
}

// moved takes the next position.
func (c *stateClient) moved(at place, body []byte) bool {
	if at.stream != c.at.stream || at.serial < c.at.serial {
		c.world.ledger.complain("P2 %s: %s, at %v, was sent %s", stateChannel, c.name, c.at, body)
		return false
	}
	c.at = at
	return true
}

// change folds a frame.
func (c *stateClient) change(f *changed, body []byte) {
	h := &f.Extras.Headers
	message, err := strconv.ParseUint(h.Message, 10, 64)
	if err != nil || h.Version != strconv.FormatUint(f.Serial, 10) || f.Serial <= c.at.serial {
		c.world.ledger.complain("P2 %s: %s, at %v, was sent %s", stateChannel, c.name, c.at, body)
		return
	}
	if !c.moved(f.place(), body) {
		return
	}
	var data string
	if len(f.Data) > 0 {
		_ = json.Unmarshal(f.Data, &data)
	}
	s, known := c.seen[message]
	switch {
	case f.Event == "price" || f.Event == "count" || f.Event == "chat":
		s = shape{key: s.key, data: data}
		if f.Event != "chat" && !known {
			s.key = c.world.ledger.keyOf(f.place())
		}
	case !known: // it ended before the snapshot: there is nothing to change
		return
	case f.Event == "sockudo:message.append":
		s.data += data
	default:
		s.data, s.deleted = data, f.Event == "sockudo:message.delete"
	}
	s.edit = f.Serial
	c.seen[message] = s
	if c.rnd.IntN(8) == 0 {
		c.compare()
	}
}

func (c *stateClient) compare() {
	c.world.ledger.compare(c.name, c.at, c.seen, shape.plain)
}

// keyOf is the key of an entry: frames of this protocol do not name it.
func (l *ledger) keyOf(p place) string {
	l.reach(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.streams[p.stream]
	if h == nil || p.serial <= h.base || p.serial > h.base+uint64(len(h.entries)) {
		return ""
	}
	return h.entries[p.serial-h.base-1].Key
}

// judgeState compares where the clients came to, when all is whole again.
func (w *world) judgeState(clients []*stateClient) {
	page, err := w.running().node.Store().Read(context.Background(), stream.Query{Ref: stateRef})
	if err != nil {
		w.ledger.complain("%s: the log cannot be read at the end: %v", stateChannel, err)
		return
	}
	head := place{string(page.Bounds.Stream), page.Bounds.Head}
	for _, c := range clients {
		switch behind := w.ledger.shown(c.at, head); {
		case !c.known || c.at.stream != head.stream || behind > 0:
			w.ledger.complain("P2 %s: %s ended at %v, known %v, the stream is at %v", stateChannel, c.name, c.at, c.known, head)
		default:
			c.compare()
		}
		w.oracle.count(func(n *Counts) { n.Snapshots += c.loads })
	}
	w.ledger.audit()
}

// shown is how many entries between two positions a client has to be shown.
func (l *ledger) shown(from, to place) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.streams[to.stream]
	if h == nil || from.stream != to.stream {
		return 0
	}
	for _, e := range h.entries {
		if e.Serial > from.serial && e.Serial <= to.serial && (e.Kind.Row() || e.Kind.Mutation()) {
			n++
		}
	}
	return n
}
