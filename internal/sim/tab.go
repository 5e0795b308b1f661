package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/wire/pusher"
	"github.com/continuo-rt/continuo/internal/wire/rooms"
)

// tab is a connection of a user who is a member of the hall: it enters, changes what it shows, leaves, drops and comes
// back, and keeps a list of the members by what it is told.
type tab struct {
	world   *world
	name    string
	user    string
	face    face
	watches bool // it only wants to know who is there
	rnd     *rand.Rand
	reader  *client
	leaves  time.Time // when it leaves for good; zero: never
	looks   int       // how often it has changed what it shows

	// Of the present session.
	link   *link
	server *server
	socket string
	closed bool // it said goodbye

	// Under the hall's lock.
	state   tabState
	asked   int // numbers what it asked for
	list    map[string]string
	whole   bool // the list was not cut
	count   int
	doubt   string // an entry that took the user out while this connection seemed to be well
	doubted time.Time
	gone    bool
}

type face int

// The faces that have members.
const (
	faceV1 face = iota
	faceV2
	faceRooms
	faces
)

type tabState int

// What a tab knows of itself.
const (
	outside tabState = iota
	entering
	inside
)

// openTabs makes the tabs of a world, from random sources that no other actor shares.
func (w *world) openTabs() {
	rnd := w.opts.random(rndHall + 1)
	life := time.Until(w.end)
	for user := range 3 + rnd.IntN(3) {
		for n := range 1 + rnd.IntN(4)/2 {
			number := uint64(len(w.hall.tabs))
			t := &tab{world: w, name: fmt.Sprintf("tab %d of user%d", n, user), user: fmt.Sprint("user", user), face: face(rnd.IntN(int(faces))),
				rnd: w.opts.random(rndHall + 100 + 2*number)}
			t.watches = t.face == faceRooms && rnd.IntN(4) == 0
			r := w.opts.random(rndHall + 101 + 2*number)
			t.reader = &client{world: w, name: t.name, rnd: r, outbox: 500 << r.IntN(8), room: 100 << r.IntN(7), tls: r.IntN(3) == 0, pace: r.IntN(paces)}
			if rnd.IntN(3) == 0 {
				t.leaves = time.Now().Add(time.Duration(rnd.Int64N(int64(life))))
			}
			w.hall.tabs = append(w.hall.tabs, t)
		}
	}
}

// live keeps the tab connected until it is told to stop, or leaves for good.
func (t *tab) live(stop <-chan struct{}) {
	for t.session(); !t.gone; t.session() {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(t.reader.rnd.IntN(600)) * time.Millisecond):
		}
	}
}

// session is one connection from dial to end.
func (t *tab) session() {
	if t.over() {
		t.world.hall.set(func() { t.gone = true })
		return
	}
	s := t.world.running()
	if s == nil || !t.dial(s) {
		return
	}
	t.world.oracle.count(func(n *Counts) { n.Sessions++ })
	link := t.link
	keep := t.reader.rnd.IntN(2 * t.reader.room)
	var acting sync.WaitGroup
	acting.Go(func() { t.act(link, keep) })
	t.reader.listen(link, t.frame, t.dismissed)
	t.world.hall.set(func() { t.state, t.doubt = outside, "" })
	link.sever(0)
	acting.Wait()
}

// over reports whether it is time to leave for good.
func (t *tab) over() bool { return !t.leaves.IsZero() && time.Now().After(t.leaves) }

// claims is who somebody proved to be.
type claims auth.Claims

func (c claims) Verify(string, time.Time) (auth.Claims, error) { return auth.Claims(c), nil }

func (t *tab) dial(s *server) bool {
	a, _ := t.world.apps.ByID(appID)
	c := t.reader
	var l *link
	if t.face == faceRooms {
		g, err := auth.VerifyToken("", claims{App: appID, Subject: t.user, Expires: time.Now().Add(time.Hour),
			Rooms: []auth.RoomClaim{{Pattern: "*", Can: []string{"join", "presence"}}}}, time.Now())
		if err != nil {
			panic(err)
		}
		l = s.connect(rooms.New(&rooms.Options{App: a, Heartbeat: 20 * time.Second}, g), 20*time.Second, c.room, c.tls, c.outbox)
	} else {
		protocol := map[face]pusher.Protocol{faceV1: pusher.V1, faceV2: pusher.V2}[t.face]
		l = s.dial(pusher.Query{Protocol: protocol}, c.room, c.tls, c.outbox)
	}
	if l != nil {
		t.world.hall.set(func() { t.link, t.server, t.closed, t.state, t.doubt = l, s, false, outside, "" })
	}
	return l != nil
}

// set changes what the hall knows of a tab.
func (h *hall) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// settled is how long after the last fault everything is in the log.
const settled = 3 * time.Second

// act does what users do, until the connection ends or all is to be well.
func (t *tab) act(l *link, keep int) {
	late := time.Now().After(t.world.end.Add(settled)) // what it is told from now on is in the log
	for l.alive() {
		t.world.nap(time.Duration(100+t.rnd.IntN(900)) * time.Millisecond)
		switch {
		case t.over():
			t.world.hall.set(func() { t.gone = true })
			t.end(l, keep, t.rnd.IntN(3))
			return
		case t.world.healed():
			t.world.nap(settled + time.Second)
			if t.server.degraded.Load() && !late { // what was told beside the log was told once, to whoever had room for it
				l.sever(0)
			}
			return
		}
		switch n := t.rnd.IntN(12); n {
		case 0, 1, 2:
			t.update()
		case 3, 4:
			if t.leave() {
				t.world.nap(time.Duration(t.rnd.IntN(800)) * time.Millisecond)
				t.enter()
			}
		case 5, 6, 7:
			t.end(l, keep, n-5)
			return
		}
	}
}

// end ends the connection: it leaves and closes, closes, or is cut off.
func (t *tab) end(l *link, keep, how int) {
	if how == 0 {
		t.leave()
	}
	t.world.hall.set(func() {
		t.honest()
		t.state = outside
	})
	if how == 2 {
		t.world.oracle.count(func(n *Counts) { n.Cuts++ })
		l.sever(keep)
		return
	}
	t.world.hall.set(func() { t.closed = true })
	l.send(frameClose, nil)
	t.world.nap(10 * time.Millisecond)
	l.sever(keep)
}

// honest complains when the user was taken out although this connection has had time to learn of whatever was wrong with
// it; the hall's lock is held.
func (t *tab) honest() {
	if t.doubt != "" && t.state == inside && t.link.alive() && t.reader.pace == reads && time.Since(t.doubted) > time.Second {
		t.world.hall.complain("%s is connected, and %s took %s out", t.name, t.doubt, t.user)
	}
}

// dismissed answers the server's close: for slowness, for a store that fails or a log that was reset, and not when all is
// well.
func (t *tab) dismissed(body []byte) {
	t.link.send(frameClose, nil)
	code := uint16(0)
	if len(body) >= 2 {
		code = binary.BigEndian.Uint16(body)
	}
	well := time.Now().After(t.world.end.Add(time.Minute))
	slow := t.reader.pace == stalls || t.reader.outbox < 8000
	t.world.hall.mu.Lock()
	asked := t.closed
	t.world.hall.mu.Unlock()
	if !asked && code != 4100 && !(slow && (code == 4201 || code == 4202)) || !asked && well {
		t.world.hall.complain("%s was sent away with %d %s (all was well: %v)", t.name, code, body[min(2, len(body)):], well)
	}
}
