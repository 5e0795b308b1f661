package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/outbox"
)

var room = stream.Ref{App: "app", Channel: "room"}

// line is what a subscriber reads: an entry, a row, a position, or a word of the test's face ("ended", "lost").
type line struct {
	Serial  uint64    `json:"serial,omitempty"`
	Stream  stream.ID `json:"stream,omitempty"`
	Channel string    `json:"channel,omitempty"`
	Data    string    `json:"data,omitempty"`
	State   string    `json:"state,omitempty"`
	Rewound bool      `json:"rewound,omitempty"`
	Word    string    `json:"word,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Tag     uint32    `json:"tag,omitempty"`
}

// encoder is the test's face. Its counts say how often each variant encoded.
type encoder struct {
	rig     *rig
	variant string
	skip    string // entries whose data contains this are not meant for it
	states  bool
	whole   bool
}

func (e encoder) Entry(dst []byte, d session.Delivery) ([]byte, bool) {
	e.rig.encoded.Add(1)
	if e.skip != "" && strings.Contains(string(d.Entry.Data.Bytes), e.skip) {
		return dst, false
	}
	l := line{Serial: d.Entry.Serial, Stream: d.Stream, Channel: d.Ref.Channel, Data: string(d.Entry.Data.Bytes), Rewound: d.Rewound}
	if d.State != nil {
		l.State = string(d.State.Data.Bytes)
	}
	return appendLine(dst, l), true
}

func (e encoder) State(k stream.Kind) bool { return e.states }
func (e encoder) Binary() bool             { return false }
func (e encoder) Whole() bool              { return e.whole }
func (e encoder) Position(dst []byte, ref stream.Ref, id stream.ID, serial uint64) []byte {
	return appendLine(dst, line{Word: "position", Serial: serial, Stream: id})
}

func appendLine(dst []byte, l line) []byte {
	b, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	return append(append(dst, b...), '\n')
}

// rig is a hub over a store that a test can disturb.
type rig struct {
	t       *testing.T
	store   *faulty
	hub     *hub.Hub
	encoded atomic.Int64
	dropped atomic.Int64
	refused atomic.Int64
	rules   atomic.Pointer[stream.Rules]
}

func (r *rig) setRules(rules stream.Rules) { r.rules.Store(&rules) }

// faulty is a memory store whose reads can fail, be held, or be counted.
type faulty struct {
	*memory.Store
	fail  atomic.Bool
	reads atomic.Int64
	gate  atomic.Pointer[chan struct{}] // reads wait for it to close
	// before is called before a read.
	before atomic.Pointer[func(stream.Query)]

	mu    sync.Mutex
	muted bool
	kept  []func()
}

// Watch tells what the store tells, unless it is muted.
func (s *faulty) Watch(f func(stream.Advance)) (stop func()) {
	return s.Store.Watch(func(a stream.Advance) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.muted {
			s.kept = append(s.kept, func() { f(a) })
			return
		}
		f(a)
	})
}

// mute keeps notices back until the returned function is called.
func (s *faulty) mute() (tell func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, f := range s.kept {
			f()
		}
		s.muted, s.kept = false, nil
	}
}

func (s *faulty) Read(ctx context.Context, q stream.Query) (stream.Page, error) {
	s.reads.Add(1)
	if s.fail.Load() {
		return stream.Page{}, errors.New("the disk is away")
	}
	if f := s.before.Load(); f != nil {
		(*f)(q)
	}
	page, err := s.Store.Read(ctx, q)
	if gate := s.gate.Load(); gate != nil {
		<-*gate
	}
	return page, err
}

// hold makes reads answer only when the returned function is called, with what was true when they began.
func (s *faulty) hold() (release func()) {
	gate := make(chan struct{})
	s.gate.Store(&gate)
	return func() {
		s.gate.Store(nil)
		close(gate)
	}
}

func now() int64 { return time.Now().UnixMilli() }

func newRig(t *testing.T, o hub.Options, rules ...stream.Rules) *rig {
	r := &rig{t: t}
	mo := memory.Options{Now: now, Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold}}
	if len(rules) > 0 {
		r.setRules(rules[0])
		mo.Rules = func(stream.Ref) stream.Rules { return *r.rules.Load() }
	}
	r.store = &faulty{Store: memory.New(mo)}
	o.Store, o.Now = r.store, now
	o.Frame = func(_ bool, payload []byte) []byte { return payload }
	o.Events.Dropped = func(n int) { r.dropped.Add(int64(n)) }
	o.Events.Refused = func(stream.Reason, session.Encoder) { r.refused.Add(1) }
	r.hub = hub.New(o)
	t.Cleanup(r.hub.Close)
	return r
}

func (r *rig) enc() encoder { return encoder{rig: r, variant: "plain"} }

func text(s string) stream.Data { return stream.Data{Type: stream.Text, Bytes: []byte(s)} }

// publish appends creates and returns the last result.
func (r *rig) publish(ref stream.Ref, texts ...string) stream.Result {
	r.t.Helper()
	var last stream.Result
	for _, s := range texts {
		last = r.append(ref, stream.Entry{Kind: stream.Create, Data: text(s)})
	}
	return last
}

func (r *rig) append(ref stream.Ref, e stream.Entry) stream.Result {
	r.t.Helper()
	results, err := r.store.Append(context.Background(), []stream.Op{{Ref: ref, Entry: e}})
	if err != nil || results[0].Outcome != stream.Applied {
		r.t.Fatalf("append: %v %+v", err, results)
	}
	return results[0]
}

func (r *rig) cut(c stream.Cut) {
	r.t.Helper()
	c.Ref = room
	if _, err := r.store.Cut(context.Background(), c); err != nil {
		r.t.Fatal(err)
	}
}

// client is a session with a socket of the test's making.
type client struct {
	rig       *rig
	out       outbox.Outbox
	sock      *socket
	mu        sync.Mutex
	followers []*hub.Follower
	manual    bool // news is kept for the test instead of being answered
	news      []*hub.Follower
	ended     bool
}

func (r *rig) client(limit int) *client {
	c := &client{rig: r, sock: newSocket()}
	c.out.Init(c.sock, c, limit)
	r.t.Cleanup(c.close)
	return c
}

func (c *client) close() {
	c.out.Lock()
	c.out.Fail(nil)
	c.out.Unlock()
	c.sock.close()
	c.mu.Lock()
	followers := c.followers
	c.mu.Unlock()
	for _, f := range followers {
		f.Unfollow()
	}
}

// follow starts a follower that is held.
func (c *client) follow(ref stream.Ref, tag session.Tag, enc session.Encoder, start session.Start) (*hub.Follower, session.Followed) {
	f, res := c.rig.hub.Follow(context.Background(), hub.Session{Owner: c, Out: &c.out, Conn: fmt.Sprintf("%p", c)},
		session.Follow{Tag: tag, Ref: ref, Start: start, Encoder: enc})
	if f != nil {
		c.mu.Lock()
		c.followers = append(c.followers, f)
		c.mu.Unlock()
	}
	return f, res
}

// live starts a follower of the room at the head and lets it go.
func (c *client) live(enc session.Encoder) *hub.Follower {
	c.rig.t.Helper()
	f, res := c.follow(room, 1, enc, session.Start{})
	if res.Err != nil || res.Reason != stream.Proven {
		c.rig.t.Fatalf("follow: %+v", res)
	}
	f.Release()
	return f
}

func (c *client) Pump() (more bool) {
	c.mu.Lock()
	followers := append([]*hub.Follower(nil), c.followers...)
	c.mu.Unlock()
	for _, f := range followers {
		more = f.Pump(context.Background()) || more
	}
	return more
}

func (c *client) Ended(error) {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
}

func (c *client) ReplayEnded(f *hub.Follower) { c.hear(f) }
func (c *client) Lost(f *hub.Follower)        { c.hear(f) }

func (c *client) hear(f *hub.Follower) {
	c.mu.Lock()
	manual := c.manual
	if manual {
		c.news = append(c.news, f)
	}
	c.mu.Unlock()
	if !manual {
		c.tell(f)
	}
}

// tell says the news in the test's words and lets the follower go on.
func (c *client) tell(f *hub.Follower) {
	switch n := f.News().(type) {
	case session.ReplayEnded:
		c.say(line{Word: "ended", Serial: n.Serial, Stream: n.Stream, Tag: uint32(n.Tag)})
	case session.Lost:
		c.say(line{Word: "lost", Reason: n.Reason.String(), Serial: n.Bounds.Head, Stream: n.Bounds.Stream, Tag: uint32(n.Tag)})
	case nil:
		return
	}
	f.Release()
}

func (c *client) say(l line) {
	c.out.Lock()
	defer c.out.Unlock()
	if !c.out.PutControl(appendLine(nil, l)) && !c.out.Ending() {
		c.rig.t.Error("no room for a control frame")
	}
	c.out.Flush()
}

// lines are what the client has read so far.
func (c *client) lines() []line {
	c.rig.t.Helper()
	var all []line
	for d := json.NewDecoder(bytes.NewReader(c.sock.read())); ; {
		var l line
		if err := d.Decode(&l); err == io.EOF || err == io.ErrUnexpectedEOF {
			return all
		} else if err != nil {
			c.rig.t.Fatal(err)
		}
		all = append(all, l)
	}
}

// words shows lines as "serial data" or "word reason@serial", joined by commas.
func words(lines []line) string {
	var all []string
	for _, l := range lines {
		switch {
		case l.Word == "lost":
			all = append(all, fmt.Sprintf("lost:%s@%d", l.Reason, l.Serial))
		case l.Word != "":
			all = append(all, fmt.Sprintf("%s@%d", l.Word, l.Serial))
		case l.Rewound:
			all = append(all, fmt.Sprintf("(%d %s)", l.Serial, l.State))
		case l.State != "":
			all = append(all, fmt.Sprintf("%d %s=%s", l.Serial, l.Data, l.State))
		default:
			all = append(all, fmt.Sprintf("%d %s", l.Serial, l.Data))
		}
	}
	return strings.Join(all, ", ")
}

// expect waits until nothing moves any more and compares what the client has read.
func (c *client) expect(want string) {
	c.rig.t.Helper()
	synctest.Wait()
	if got := words(c.lines()); got != want {
		c.rig.t.Errorf("the client read\n\t%s\nwant\n\t%s", got, want)
	}
}

// socket takes bytes while it has room. stall and drain set the room; a negative room is endless.
type socket struct {
	mu     sync.Mutex
	cond   *sync.Cond
	room   int
	piece  int // most that one write takes; 0 = all
	closed bool
	got    bytes.Buffer
	writes int
}

func newSocket() *socket {
	s := &socket{room: -1}
	s.cond = sync.NewCond(&s.mu)
	return s
}

func (s *socket) CanTryWrite() bool { return true }

func (s *socket) TryWrite(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	s.writes++
	return s.take(p), nil
}

func (s *socket) WriteSome(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.room == 0 && !s.closed {
		s.cond.Wait()
	}
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	return s.take(p), nil
}

func (s *socket) take(p []byte) int {
	n := len(p)
	if s.room >= 0 {
		n = min(n, s.room)
		s.room -= n
	}
	if s.piece > 0 {
		n = min(n, s.piece)
	}
	s.got.Write(p[:n])
	return n
}

func (s *socket) setRoom(n int) {
	s.mu.Lock()
	s.room = n
	s.mu.Unlock()
	s.cond.Broadcast()
}

func (s *socket) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cond.Broadcast()
}

func (s *socket) read() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.got.Bytes())
}

// once does something before the next read that is meant.
func (r *rig) once(meant func(stream.Query) bool, do func()) {
	f := func(q stream.Query) {
		if meant(q) {
			r.store.before.Store(nil)
			do()
		}
	}
	r.store.before.Store(&f)
}
