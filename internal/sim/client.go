package sim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/continuo-rt/continuo/internal/wire/pusher"
)

// client is a subscriber on a bad network. It keeps the position of every frame that has a channel and a serial, as the
// SDKs do, and presents it when it comes back.
type client struct {
	world   *world
	name    string
	rnd     *rand.Rand
	v1      bool
	first   bool // it resumes before it subscribes
	outbox  int
	room    int
	tls     bool
	pace    int // how it reads
	follows map[string]*follow
	order   []string
	places  map[string]place // what it would present

	// Of the present session.
	link      *link
	presented map[string]bool
}

// How clients read.
const (
	reads = iota
	readsSlowly
	stalls
	paces
)

func newClient(w *world, number int) *client {
	rnd := w.opts.random(rndClients + uint64(number))
	c := &client{world: w, name: fmt.Sprint("client", number), rnd: rnd, v1: rnd.IntN(6) == 0, first: rnd.IntN(4) == 0,
		outbox: 500 << rnd.IntN(8), room: 100 << rnd.IntN(7), tls: rnd.IntN(3) == 0, pace: rnd.IntN(paces),
		follows: map[string]*follow{}, places: map[string]place{}}
	for len(c.order) == 0 {
		for _, k := range w.kinds {
			if rnd.IntN(3) > 0 {
				c.order = append(c.order, k.name)
				c.follows[k.name] = w.oracle.follower(k.name, c.name)
			}
		}
	}
	return c
}

// live keeps the client connected until it is told to stop.
func (c *client) live(stop <-chan struct{}) {
	for {
		c.session()
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(c.rnd.IntN(600)) * time.Millisecond):
		}
	}
}

// session is one connection from dial to end.
func (c *client) session() {
	s := c.world.running()
	if s == nil {
		return
	}
	q := pusher.Query{Protocol: pusher.V2}
	if c.v1 {
		q.Protocol = pusher.V1
	}
	if c.link = s.dial(q, c.room, c.tls, c.outbox); c.link == nil {
		return
	}
	c.world.oracle.count(func(n *Counts) { n.Sessions++ })
	keep := c.rnd.IntN(2 * c.room)
	link := c.link
	cut := time.AfterFunc(time.Duration(c.rnd.ExpFloat64()*2000)*time.Millisecond, func() {
		if !c.world.healed() {
			c.world.oracle.count(func(n *Counts) { n.Cuts++ })
			link.sever(keep)
		}
	})
	defer cut.Stop()
	defer link.sever(0)
	c.listen(link, c.frame, c.dismissed)
}

// listen takes frames from a link until it ends: texts until text returns false, and the server's close.
func (c *client) listen(l *link, text func(body []byte) bool, closed func(body []byte)) {
	var got []byte
	for {
		b, err := l.receive(c.breathe())
		if err != nil {
			return // what is left of a frame in got is gone
		}
		for got = append(got, b...); ; {
			kind, body, rest, ok := next(got)
			if !ok {
				break
			}
			got = rest
			switch kind {
			case framePing:
				l.send(framePong, nil)
			case frameClose:
				closed(body)
				return
			case frameText:
				if !text(body) {
					return
				}
			}
		}
	}
}

// dismissed answers the server's close. A client that reads and answers pings is never sent away for its silence, and
// nobody is when all is well.
func (c *client) dismissed(body []byte) {
	c.link.send(frameClose, nil)
	code, why := uint16(0), ""
	if len(body) >= 2 {
		code, why = binary.BigEndian.Uint16(body), string(body[2:])
	}
	well := time.Now().After(c.world.end.Add(time.Minute))
	if code != 4100 && (code != 4201 || c.pace != stalls) || well {
		c.world.oracle.complain("%s, which %s, was sent away with %d %s (all was well: %v)", c.name, []string{"reads", "reads slowly", "stalls"}[c.pace], code, why, well)
	}
}

// breathe waits as this client does between reads, and says how much it takes next.
func (c *client) breathe() int {
	if c.world.healed() {
		return 1 << 16
	}
	switch c.pace {
	case readsSlowly:
		c.world.nap(time.Duration(c.rnd.IntN(8000)) * time.Microsecond)
		return 1 + c.rnd.IntN(300)
	case stalls:
		if c.rnd.IntN(40) == 0 {
			c.world.nap(time.Duration(c.rnd.IntN(4000)) * time.Millisecond)
		} else if c.rnd.IntN(400) == 0 {
			c.world.nap(time.Duration(c.rnd.IntN(45)) * time.Second)
		}
		return 1 + c.rnd.IntN(2000)
	}
	return 1 << 16
}

// incoming is a frame of either protocol.
type incoming struct {
	Event    string          `json:"event"`
	Channel  string          `json:"channel"`
	Data     json.RawMessage `json:"data"`
	StreamID string          `json:"stream_id"`
	Serial   uint64          `json:"serial"`
}

// inner reads what the string data holds.
func (f *incoming) inner(into any) bool {
	var text string
	return json.Unmarshal(f.Data, &text) == nil && json.Unmarshal([]byte(text), into) == nil
}

func (f *incoming) place() place { return place{f.StreamID, f.Serial} }

func (c *client) frame(body []byte) bool {
	var f incoming
	if err := json.Unmarshal(body, &f); err != nil {
		c.world.oracle.complain("%s was sent %q: %v", c.name, body, err)
		return true
	}
	o, at := c.world.oracle, f.place()
	switch f.Event {
	case "pusher:connection_established", "sockudo:connection_established":
		c.established(&f)
	case "pusher:ping":
		c.say("pusher:pong", `{}`)
	case "pusher_internal:subscription_succeeded":
		o.joined(c.follows[f.Channel])
	case "sockudo_internal:subscription_succeeded":
		var data struct {
			Attach uint64 `json:"attach_serial"`
		}
		if !f.inner(&data) || f.StreamID == "" {
			o.complain("%s: %s was answered %s", f.Channel, c.name, body)
			break
		}
		o.attached(f.Channel, c.follows[f.Channel], at, c.presented[f.Channel], data.Attach)
		c.places[f.Channel] = at
	case "sockudo_internal:position":
		o.moved(f.Channel, c.follows[f.Channel], at)
		c.places[f.Channel] = at
	case "sockudo:resume_failed":
		c.resumeFailed(&f, body)
	case "sockudo:resume_success":
		c.resumeSucceeded(&f, body)
	case "news", "typing", "sockudo:message.append":
		c.message(&f, body)
	default:
		o.complain("%s was sent %s", c.name, body)
	}
	return true
}

// established subscribes, and presents what the client knows, in the order of its SDK.
func (c *client) established(f *incoming) {
	var data struct {
		Socket string `json:"socket_id"`
	}
	if !f.inner(&data) {
		c.world.oracle.complain("%s was greeted with %s", c.name, f.Data)
		return
	}
	for _, follow := range c.follows {
		c.world.oracle.opened(follow, data.Socket)
	}
	c.world.mu.Lock()
	c.world.live[data.Socket] = true
	c.world.mu.Unlock()
	positions := c.positions()
	if c.first && positions != "" {
		c.say("sockudo:resume", positions)
	}
	for _, name := range c.order {
		if c.v1 {
			c.say("pusher:subscribe", fmt.Sprintf(`{"channel":%q}`, name))
		} else {
			c.say("sockudo:subscribe", fmt.Sprintf(`{"channel":%q}`, name))
		}
	}
	if !c.first && positions != "" {
		c.world.nap(100 * time.Microsecond)
		c.say("sockudo:resume", positions)
	}
}

// positions are what the client presents: data of a resume, empty when it knows nothing.
func (c *client) positions() string {
	type position struct {
		Stream string `json:"stream_id"`
		Serial uint64 `json:"serial"`
	}
	all := map[string]position{}
	c.presented = map[string]bool{}
	for _, name := range c.order {
		if p, ok := c.places[name]; ok {
			all[name] = position{p.stream, p.serial}
			c.presented[name] = true
		}
	}
	if len(all) == 0 {
		return ""
	}
	b, _ := json.Marshal(map[string]any{"channel_positions": all})
	return string(b)
}

func (c *client) say(event, data string) {
	c.link.send(frameText, fmt.Appendf(nil, `{"event":%q,"data":%s}`, event, data))
}

func (c *client) message(f *incoming, body []byte) {
	var text string
	if err := json.Unmarshal(f.Data, &text); err != nil {
		c.world.oracle.complain("%s was sent %s: %v", c.name, body, err)
		return
	}
	p, ok := parse(text)
	follow := c.follows[f.Channel]
	switch o := c.world.oracle; {
	case !ok || follow == nil:
		o.complain("%s was sent %s", c.name, body)
	case f.Serial > 0:
		o.delivered(f.Channel, follow, f.place(), p)
		c.places[f.Channel] = f.place()
	case p.ephemeral || !c.v1:
		o.fleeting(f.Channel, follow, p)
	default:
		o.unnumbered(f.Channel, follow, p)
	}
}

func (c *client) resumeFailed(f *incoming, body []byte) {
	var data struct {
		Channel, Code, Reason string
		Current               string `json:"current_stream_id"`
		Newest                uint64 `json:"newest_available_serial"`
		Oldest                uint64 `json:"oldest_available_serial"`
	}
	follow := c.follows[f.Channel]
	if !f.inner(&data) || data.Channel != f.Channel || follow == nil || data.Current == "" {
		c.world.oracle.complain("%s was sent %s", c.name, body)
		return
	}
	c.world.oracle.lost(f.Channel, follow, data.Code, data.Reason+" oldest "+fmt.Sprint(data.Oldest), place{data.Current, data.Newest})
	delete(c.places, f.Channel)
}

func (c *client) resumeSucceeded(f *incoming, body []byte) {
	var data struct {
		Recovered []struct {
			Channel  string
			Position struct {
				Stream string `json:"stream_id"`
				Serial uint64 `json:"serial"`
			}
		}
	}
	if !f.inner(&data) {
		c.world.oracle.complain("%s was sent %s", c.name, body)
		return
	}
	for _, r := range data.Recovered {
		c.world.oracle.resumed(r.Channel, c.follows[r.Channel], place{r.Position.Stream, r.Position.Serial})
	}
}
