package conn_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/conn"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

func now() int64 { return time.Now().UnixMilli() }

var room = stream.Ref{App: "app", Channel: "room"}

// rig is one connection with a machine that the test scripts.
type rig struct {
	t     *testing.T
	conn  *conn.Conn
	wheel *conn.Wheel
	pipe  *pipe
	store *memory.Store
	hub   *hub.Hub

	mu      sync.Mutex
	log     []string // inputs of the machine, and what the backend was asked for
	script  func(session.Input) []session.Effect
	publish func(ops []stream.Op) ([]stream.Result, error)
	stepped bool // a Step is under way
	served  chan struct{}
}

type options struct {
	idle   time.Duration
	outbox int
}

// newRig prepares a connection whose machine answers inputs as script says; serve starts it.
func newRig(t *testing.T, o options, script func(session.Input) []session.Effect) *rig {
	r := &rig{t: t, script: script, pipe: newPipe(), served: make(chan struct{})}
	r.store = memory.New(memory.Options{Now: now})
	r.hub = hub.New(hub.Options{Store: r.store, Now: now, Frame: func(_ bool, p []byte) []byte { return append(p, ' ') }})
	r.wheel = conn.NewWheel(now)
	if o.outbox == 0 {
		o.outbox = 1 << 16
	}
	r.conn = conn.New(&conn.Options{ID: "1.1", Remote: "here", Machine: machine{r}, Transport: r.pipe, Backend: backend{r}, Wheel: r.wheel,
		OutboxBytes: o.outbox, IdleEvery: o.idle, Now: now})
	ctx, stop := context.WithCancel(context.Background())
	go func() { _ = r.wheel.Run(ctx) }()
	t.Cleanup(func() {
		_ = r.pipe.Close()
		<-r.served
		stop()
		r.hub.Close()
	})
	return r
}

func (r *rig) serve() *rig {
	go func() {
		r.conn.Serve()
		close(r.served)
	}()
	return r
}

func (r *rig) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *rig) notes() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.log, ", ")
}

func (r *rig) expect(want string) {
	r.t.Helper()
	if got := r.notes(); got != want {
		r.t.Errorf("it went\n\t%s\nwant\n\t%s", got, want)
	}
}

func (r *rig) append(texts ...string) {
	r.t.Helper()
	for _, s := range texts {
		if _, err := r.store.Append(context.Background(), []stream.Op{{Ref: room, Entry: create(s)}}); err != nil {
			r.t.Fatal(err)
		}
	}
}

func create(s string) stream.Entry {
	return stream.Entry{Kind: stream.Create, Data: stream.Data{Type: stream.Text, Bytes: []byte(s)}}
}

// machine notes its inputs and answers as the script says.
type machine struct{ r *rig }

func (m machine) Step(_ int64, in session.Input, out []session.Effect) []session.Effect {
	m.r.mu.Lock()
	if m.r.stepped {
		m.r.t.Error("two steps at once")
	}
	m.r.stepped = true
	m.r.mu.Unlock()
	m.r.note("%s", show(in))
	out = append(out, m.r.script(in)...)
	m.r.mu.Lock()
	m.r.stepped = false
	m.r.mu.Unlock()
	return out
}

func show(in session.Input) string {
	switch in := in.(type) {
	case session.Opened:
		return "opened " + in.ID
	case session.Frame:
		return "frame " + string(in.Data)
	case session.Followed:
		switch {
		case in.Dirty:
			return fmt.Sprintf("dirty %d", in.Tag)
		case in.Err != nil:
			return fmt.Sprintf("not followed %d", in.Tag)
		}
		return fmt.Sprintf("followed %d %v", in.Tag, in.Reason)
	case session.ReplayEnded:
		return fmt.Sprintf("ended %d@%d", in.Tag, in.Serial)
	case session.Lost:
		return fmt.Sprintf("lost %d %v", in.Tag, in.Reason)
	case session.Published:
		return fmt.Sprintf("published %d (%d)", in.Tag, len(in.Results))
	case session.Woken:
		return "woken"
	case session.Idle:
		return fmt.Sprintf("idle %d", in.For)
	case session.Terminate:
		return fmt.Sprintf("terminate %d", in.Cause)
	case session.Closed:
		return fmt.Sprintf("closed %v", in.Clean)
	}
	return fmt.Sprintf("%T", in)
}

// on makes a script that answers frames by their text, and everything else with nothing.
func on(answers map[string][]session.Effect) func(session.Input) []session.Effect {
	return func(in session.Input) []session.Effect {
		if f, ok := in.(session.Frame); ok {
			return answers[string(f.Data)]
		}
		return answers[show(in)]
	}
}

func say(s string) session.Effect { return session.Send{Payload: []byte(s)} }

type backend struct{ r *rig }

func (b backend) Follow(ctx context.Context, c *conn.Conn, req session.Follow) (*hub.Follower, session.Followed) {
	return b.r.hub.Follow(ctx, hub.Session{Owner: c, Out: c.Outbox(), Conn: c.ID()}, req)
}

func (b backend) Publish(_ context.Context, _ *conn.Conn, ops []stream.Op) ([]stream.Result, error) {
	return b.r.publish(ops)
}

func (b backend) Ephemeral(_ *conn.Conn, ref stream.Ref, e stream.Entry) {
	b.r.note("ephemeral %s", e.Data.Bytes)
	b.r.hub.Ephemeral(ref, e)
}

func (b backend) Other(_ context.Context, _ *conn.Conn, e session.Effect) []session.Input {
	if _, ok := e.(session.Unfollow); ok {
		return nil // told to whoever keeps more about a subscription than its follower
	}
	b.r.note("other %T", e)
	return []session.Input{session.Woken{}}
}

func (b backend) Gone(*conn.Conn) { b.r.note("gone") }

// encoder shows entries as "<serial><text>".
type encoder struct{ skip string }

func (e encoder) Entry(dst []byte, d session.Delivery) ([]byte, bool) {
	if s := string(d.Entry.Data.Bytes); s == e.skip {
		return dst, false
	}
	return fmt.Appendf(dst, "%d%s", d.Entry.Serial, d.Entry.Data.Bytes), true
}
func (encoder) State(stream.Kind) bool { return false }
func (encoder) Binary() bool           { return false }
func (encoder) Whole() bool            { return false }
func (encoder) Position(dst []byte, _ stream.Ref, _ stream.ID, serial uint64) []byte {
	return fmt.Appendf(dst, "position%d", serial)
}

// pipe is the transport: messages in, bytes out. Frames are told apart by a space.
type pipe struct {
	mu      sync.Mutex
	cond    *sync.Cond
	in      []string
	out     []byte
	room    int // what the socket takes; negative: anything
	closed  bool
	linger  time.Duration
	timeout time.Duration // of WriteSome
}

func newPipe() *pipe {
	p := &pipe{room: -1, timeout: 30 * time.Second}
	p.cond = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) Read() (bool, []byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.in) == 0 && !p.closed {
		p.cond.Wait()
	}
	if p.closed {
		return false, nil, io.ErrUnexpectedEOF
	}
	s := p.in[0]
	p.in = p.in[1:]
	if s == "close" {
		return false, nil, io.EOF
	}
	return false, []byte(s), nil
}

func (p *pipe) send(messages ...string) {
	p.mu.Lock()
	p.in = append(p.in, messages...)
	p.mu.Unlock()
	p.cond.Broadcast()
}

func (p *pipe) CanTryWrite() bool { return true }

func (p *pipe) TryWrite(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.take(b)
}

func (p *pipe) take(b []byte) (int, error) {
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	n := len(b)
	if p.room >= 0 {
		n = min(n, p.room)
		p.room -= n
	}
	p.out = append(p.out, b[:n]...)
	return n, nil
}

func (p *pipe) WriteSome(b []byte) (int, error) {
	late := false
	timer := time.AfterFunc(p.timeout, func() {
		p.mu.Lock()
		late = true
		p.mu.Unlock()
		p.cond.Broadcast()
	})
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.room == 0 && !p.closed {
		if late {
			return 0, os.ErrDeadlineExceeded
		}
		p.cond.Wait()
	}
	return p.take(b)
}

func (p *pipe) setRoom(n int) {
	p.mu.Lock()
	p.room = n
	p.mu.Unlock()
	p.cond.Broadcast()
}

func (p *pipe) Answer(err error) ([]byte, bool) {
	if err == io.EOF {
		return []byte("[bye] "), true
	}
	return nil, false
}

func (p *pipe) Message(_ bool, payload []byte) []byte {
	return append(append([]byte{}, payload...), ' ')
}
func (p *pipe) Ping() []byte               { return []byte("[ping] ") }
func (p *pipe) Pong(payload []byte) []byte { return []byte("[pong" + string(payload) + "] ") }
func (p *pipe) CloseFrame(code uint16, reason string) []byte {
	return fmt.Appendf(nil, "[close%d%s] ", code, reason)
}

func (p *pipe) Linger(d time.Duration) error {
	p.mu.Lock()
	p.linger = d
	p.mu.Unlock()
	time.AfterFunc(d, func() { _ = p.Close() })
	return nil
}

func (p *pipe) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cond.Broadcast()
	return nil
}

// wrote is what the client has read.
func (p *pipe) wrote() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.TrimSpace(string(p.out))
}
