package sim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/wire/rooms"
)

// roomsClient is a subscriber that speaks the rooms protocol: it joins every channel with the position that it has, and
// moves that by the protocol's rules.
type roomsClient struct {
	world   *world
	name    string
	rnd     *rand.Rand
	reader  *client // how it reads
	order   []string
	follows map[string]*follow
	places  map[string]place

	// Of the present session.
	link      *link
	presented map[string]bool
	streams   map[string]string // of the rooms that are joined
}

// roomsClients makes the rooms clients of a world, from a random source that no other actor shares.
func (w *world) roomsClients() []*roomsClient {
	rnd := w.opts.random(rndRooms)
	var all []*roomsClient
	for i := range 1 + rnd.IntN(4) {
		c := &roomsClient{world: w, name: fmt.Sprint("rooms client ", i), rnd: w.opts.random(rndRooms + 1 + uint64(i)), follows: map[string]*follow{}, places: map[string]place{}}
		c.reader = &client{world: w, name: c.name, rnd: c.rnd, outbox: 1000 << c.rnd.IntN(7), room: 100 << c.rnd.IntN(7), tls: c.rnd.IntN(3) == 0, pace: c.rnd.IntN(paces)}
		for _, k := range w.kinds {
			c.order = append(c.order, k.name)
			c.follows[k.name] = w.oracle.follower(k.name, c.name)
		}
		all = append(all, c)
	}
	return all
}

func (c *roomsClient) live(stop <-chan struct{}) {
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
func (c *roomsClient) session() {
	s := c.world.running()
	if s == nil {
		return
	}
	a, _ := c.world.apps.ByID(appID)
	m := rooms.New(&rooms.Options{App: a, Heartbeat: 20 * time.Second}, auth.NewAnonymous(appID, func(string) auth.Right { return auth.All }))
	if c.link = s.connect(m, 20*time.Second, c.reader.room, c.reader.tls, c.reader.outbox); c.link == nil {
		return
	}
	c.world.oracle.count(func(n *Counts) { n.Sessions++ })
	c.reader.link, c.presented, c.streams = c.link, map[string]bool{}, map[string]string{}
	keep, link := c.rnd.IntN(2*c.reader.room), c.link
	cut := time.AfterFunc(time.Duration(c.rnd.ExpFloat64()*2000)*time.Millisecond, func() {
		if !c.world.healed() {
			c.world.oracle.count(func(n *Counts) { n.Cuts++ })
			link.sever(keep)
		}
	})
	defer cut.Stop()
	defer link.sever(0)
	c.reader.listen(link, c.frame, c.dismissed)
}

// dismissed answers the server's close: for slowness, never for anything else, and not when all is well.
func (c *roomsClient) dismissed(body []byte) {
	c.link.send(frameClose, nil)
	code := uint16(0)
	if len(body) >= 2 {
		code = binary.BigEndian.Uint16(body)
	}
	well := time.Now().After(c.world.end.Add(time.Minute))
	if code != 4202 || c.reader.pace == reads && c.reader.outbox > 8000 || well {
		c.world.oracle.complain("%s was sent away with %d (all was well: %v)", c.name, code, well)
	}
}

// roomsFrame is any frame of the protocol.
type roomsFrame struct {
	Kind    string
	Room    string `json:"room_id"`
	Session string `json:"session_id"`
	Stream  string `json:"stream_id"`
	Event   uint64 `json:"event_id"`
	Text    string
	Reason  string
	Code    string
	Resumed bool
}

// frame takes a frame; false ends the connection.
func (c *roomsClient) frame(body []byte) bool {
	var f roomsFrame
	o := c.world.oracle
	if err := json.Unmarshal(body, &f); err != nil {
		o.complain("%s was sent %q: %v", c.name, body, err)
		return false
	}
	follow, joined := c.follows[f.Room], c.streams[f.Room] != ""
	if f.Kind != "server.hello" && follow == nil || !joined && f.Kind != "server.hello" && f.Kind != "room.joined" && f.Kind != "server.error" {
		o.complain("%s was sent %s before it had joined", c.name, body)
		return false
	}
	at := place{c.streams[f.Room], f.Event}
	switch f.Kind {
	case "server.hello":
		c.greeted(&f)
	case "room.joined":
		c.joined(&f, follow, body)
	case "room.resumed":
		o.resumed(f.Room, follow, at)
		c.places[f.Room] = at
	case "room.position":
		o.moved(f.Room, follow, at)
		c.places[f.Room] = at
	case "room.snapshot_required":
		at.stream = f.Stream
		c.lost(&f, follow, at)
	case "chat.message", "message.append":
		c.message(&f, follow, at, body)
	case "server.error": // the log cannot be read now: come back with the same positions
		if f.Code != "unavailable" || time.Now().After(c.world.end.Add(time.Minute)) {
			o.complain("%s was sent %s", c.name, body)
		}
		return false
	default:
		o.complain("%s was sent %s", c.name, body)
	}
	return true
}

// greeted joins every channel with the position that the client has.
func (c *roomsClient) greeted(f *roomsFrame) {
	for _, follow := range c.follows {
		c.world.oracle.opened(follow, f.Session)
	}
	c.world.mu.Lock()
	c.world.live[f.Session] = true
	c.world.mu.Unlock()
	for _, name := range c.order {
		p, known := c.places[name]
		c.presented[name] = known
		join := fmt.Sprintf(`{"kind":"client.join","room_id":%q}`, name)
		if known {
			join = fmt.Sprintf(`{"kind":"client.join","room_id":%q,"resume_from":%d,"stream_id":%q}`, name, p.serial, p.stream)
		}
		c.link.send(frameText, []byte(join))
	}
}

func (c *roomsClient) joined(f *roomsFrame, follow *follow, body []byte) {
	o, was, presented := c.world.oracle, c.places[f.Room], c.presented[f.Room]
	if f.Resumed && (!presented || f.Stream != was.stream) || c.streams[f.Room] != "" {
		o.complain("P3 %s: %s, which presented %v, was answered %s", f.Room, c.name, was, body)
	}
	c.streams[f.Room] = f.Stream
	at := place{f.Stream, f.Event}
	if presented { // what comes next says whether it holds
		at = was
	} else {
		c.places[f.Room] = at
	}
	o.attached(f.Room, follow, at, presented, f.Event)
}

// lost takes a refusal: the client goes on from where the server says, as if it had taken the snapshot there.
func (c *roomsClient) lost(f *roomsFrame, follow *follow, at place) {
	code := map[string]string{"stream_reset": codeReset, "position_expired": codeExpired, "window_exceeded": codeExpired, "slow_consumer": codeExpired}[f.Reason]
	c.world.oracle.lost(f.Room, follow, code, f.Reason, at)
	c.streams[f.Room], c.places[f.Room] = at.stream, at
}

func (c *roomsClient) message(f *roomsFrame, follow *follow, at place, body []byte) {
	p, ok := parse(f.Text)
	switch o := c.world.oracle; {
	case !ok:
		o.complain("%s was sent %s", c.name, body)
	case f.Event > 0:
		o.delivered(f.Room, follow, at, p)
		c.places[f.Room] = at
	default:
		o.fleeting(f.Room, follow, p)
	}
}
