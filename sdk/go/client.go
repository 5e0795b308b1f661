package continuo

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/sdk/go/session"
	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// Client is a connection that lasts: it is made once, and comes back when it is lost.
type Client struct {
	o     Options
	plain *url.URL // of the server's HTTP
	open  func(ctx context.Context, token string) (transport, error)
	began time.Time

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	tell   serial // callbacks of the application
	saver  saver
	state  value[State]

	mu      sync.Mutex // guards what follows
	machine *session.Machine
	stop    func() // of the timer
	alarm   int    // counts timers, so that a late one is known
	asked   int    // counts calls of the token callback
	link    *link
	token   string // the newest that was used
	rooms   map[string]*Room
	calls   map[string]*call
	idle    chan struct{} // closed when no call is under way and someone waits for that
	last    int           // id of a call
	closing bool
}

// New makes a client of the server at base, which is an address as http://127.0.0.1:6001 or wss://example.org. It does
// nothing until Connect. New panics if base is no such address.
func New(base string, o Options) *Client {
	sockets, plain, err := endpoints(base)
	if err != nil {
		panic(err)
	}
	o.defaults()
	d := &dialer{url: sockets.String(), dial: o.Dial, header: o.Header}
	c := &Client{o: o, plain: plain, open: d.open, began: o.Clock.Now(), machine: session.New(o.Name, o.Buffer),
		rooms: map[string]*Room{}, calls: map[string]*call{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.tell.wait = &c.tasks
	c.saver = saver{store: o.Store, report: c.report, queue: serial{wait: &c.tasks}}
	c.state.now = c.machine.State()
	return c
}

// Connect begins to connect, and to come back whenever the connection is lost. It returns at once: State tells. When the
// client has stopped, because the server refused it for good, Connect tries again.
func (c *Client) Connect() { c.step(session.Input{Do: session.Connect}) }

// Close ends the client: it waits until what was asked for is answered, or ctx is done (5 s if ctx has no deadline),
// says goodbye, stores the cursors and ends all iterators. The error is ctx's if it was done first. A handler, callback or
// store that does not return is waited for until then, too, and left behind.
func (c *Client) Close(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
	}
	err := c.drain(ctx)
	c.step(session.Input{Do: session.Close})
	c.cancel()
	c.mu.Lock()
	for _, r := range c.rooms {
		r.end()
	}
	c.mu.Unlock()
	c.state.end()
	return errors.Join(err, c.await(ctx))
}

// await waits for all goroutines, until ctx is done, but for a goodbye at least.
func (c *Client) await(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		c.tasks.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	goodbye := time.NewTimer(2 * closeWithin)
	defer goodbye.Stop()
	select {
	case <-ended:
		return nil
	case <-goodbye.C:
		return ctx.Err()
	}
}

// drain lets nothing new begin and waits for the end of what has.
func (c *Client) drain(ctx context.Context) error {
	c.mu.Lock()
	c.closing = true
	state := c.machine.State().State
	if answered := state == session.StateConnected || state == session.StateConnecting || state == session.StateWaiting; len(c.calls) == 0 || !answered {
		c.mu.Unlock()
		return nil // only who is connected, or tries to be, can still be answered
	}
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	c.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// State is how it is with the connection now.
func (c *Client) State() State { return c.state.get() }

// States yields the state as it is and every state from then on, until ctx is done or the client closed.
func (c *Client) States(ctx context.Context) iter.Seq[State] { return c.state.all(ctx) }

// Online says whether the platform has a network, where the application knows: without one nothing is tried, and when it
// is back the client wakes up.
func (c *Client) Online(is bool) {
	if is {
		c.step(session.Input{Do: session.Online})
		return
	}
	c.step(session.Input{Do: session.Offline})
}

// Visible says that a user looks at the application again: the connection is looked after at once.
func (c *Client) Visible() { c.step(session.Input{Do: session.Visible}) }

// Room is the room of that name. It is the same Room each time.
func (c *Client) Room(name string) *Room {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rooms[name]
	if r == nil {
		r = newRoom(c, name)
		c.rooms[name] = r
		if c.ctx.Err() != nil {
			r.end()
		}
	}
	return r
}

// step tells the session what happened, and does what it asks for.
func (c *Client) step(in session.Input) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.locked(in)
}

func (c *Client) locked(in session.Input) {
	now := c.o.Clock.Now().Sub(c.began).Milliseconds()
	for _, e := range c.machine.Step(now, c.o.Random(), in) {
		c.carryOut(&e)
	}
}

func (c *Client) carryOut(e *session.Effect) {
	switch e.Do {
	case session.Send:
		c.send(e.Command)
	case session.Deliver:
		c.rooms[e.Room].push(item{event: e.Frame})
	case session.StoreCursor:
		at := Cursor{StreamID: e.StreamID, EventID: e.EventID}
		c.rooms[e.Room].position = &at
		c.saver.save(c.ctx, e.Room, at)
	case session.Answer:
		c.finish(e.ID, outcome{event: e.Frame})
	case session.Failed:
		f := e.Failure
		c.finish(e.ID, outcome{err: &Error{f.Code, f.Message, f.Retryable, f.Version}})
	case session.WantToken:
		c.askToken()
	case session.Dial:
		c.dial(e.Token)
	case session.HangUp:
		c.hangUp(e.Code)
	case session.SetTimer:
		c.setTimer(e.InMS)
	case session.FetchSnapshot:
		c.rooms[e.Room].fetch(SnapshotNeeded{e.Room, e.Reason, e.StreamID, e.EventID, e.URL})
	case session.StateChanged:
		c.state.set(e.State)
		if f, s := c.o.OnState, e.State; f != nil {
			c.tell.do(func() { f(s) })
		}
	case session.RoomChanged:
		c.rooms[e.Room].changed(e.RoomState)
		if f, room, s := c.o.OnRoomState, e.Room, e.RoomState; f != nil {
			c.tell.do(func() { f(room, s) })
		}
	case session.Warn:
		if f, message := c.o.OnWarning, e.Message; f != nil {
			c.tell.do(func() { f(message) })
		}
	}
}

// report tells the application of an error that no call returns.
func (c *Client) report(err error) {
	if f := c.o.OnError; f != nil {
		c.tell.do(func() { f(err) })
	}
}

const maxTimerMS = 24 * 60 * 60 * 1000

func (c *Client) setTimer(ms int64) {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	c.alarm++
	if ms < 0 {
		return
	}
	alarm := c.alarm
	// A Duration holds fewer milliseconds than a server can name. The session does not mind a timer that comes early.
	c.stop = c.o.Clock.AfterFunc(time.Duration(min(ms, maxTimerMS))*time.Millisecond, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.alarm == alarm {
			c.locked(session.Input{Do: session.Timer})
		}
	})
}

func (c *Client) askToken() {
	c.asked++
	asked := c.asked
	if c.o.Token == nil {
		c.tasks.Go(func() { c.answerToken(asked, "", nil) })
		return
	}
	c.tasks.Go(func() {
		token, err := c.o.Token(c.ctx)
		if err == nil && !sayable(token) {
			token, err = "", errors.New("a token has a character that no token has")
		}
		if err != nil && c.ctx.Err() == nil {
			c.report(&tokenError{err})
		}
		c.answerToken(asked, token, err)
	})
}

// sayable reports whether a token has only what tokens are made of.
func sayable(token string) bool {
	for _, b := range []byte(token) {
		if !('a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("-._~", b) >= 0) {
			return false
		}
	}
	return true
}

type tokenError struct{ err error }

func (e *tokenError) Error() string { return "continuo: no token: " + e.err.Error() }
func (e *tokenError) Unwrap() error { return e.err }

func (c *Client) answerToken(asked int, token string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case asked != c.asked: // another call came after it
	case err != nil:
		c.locked(session.Input{Do: session.TokenFailed, Message: err.Error()})
	case token == "":
		c.locked(session.Input{Do: session.Token})
	default:
		c.locked(session.Input{Do: session.Token, Token: &token})
	}
}

// outcome is the end of a call.
type outcome struct {
	event *Event
	err   error
}

// call is a request that is under way.
type call struct{ done chan outcome }

// ask sends a request and waits for its answer.
func (c *Client) ask(ctx context.Context, command *wire.Command, again bool) (*Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k := &call{done: make(chan outcome, 1)}
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return nil, &Error{Code: "closed", Message: "the client is closed"}
	}
	c.last++
	id := "r" + strconv.Itoa(c.last)
	c.calls[id] = k
	c.locked(session.Input{Do: session.Request, ID: id, Command: command, Again: again})
	c.mu.Unlock()
	select {
	case o := <-k.done:
		return o.event, o.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.locked(session.Input{Do: session.Cancel, ID: id})
	c.finish(id, outcome{err: ctx.Err()})
	o := <-k.done
	return o.event, o.err
}

func (c *Client) finish(id string, o outcome) {
	k := c.calls[id]
	if k == nil {
		return
	}
	delete(c.calls, id)
	k.done <- o
	if len(c.calls) == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// saver stores positions: of each room the newest.
type saver struct {
	store  Store
	report func(error)
	queue  serial
	mu     sync.Mutex
	newest map[string]Cursor
}

func (s *saver) save(ctx context.Context, room string, at Cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, waits := s.newest[room]
	if s.newest == nil {
		s.newest = map[string]Cursor{}
	}
	s.newest[room] = at
	if waits {
		return
	}
	s.queue.do(func() {
		s.mu.Lock()
		at := s.newest[room]
		delete(s.newest, room)
		s.mu.Unlock()
		if err := s.store.Save(context.WithoutCancel(ctx), room, at); err != nil {
			s.report(errors.Join(errors.New("continuo: the position of "+strconv.Quote(room)+" was not stored"), err))
		}
	})
}
