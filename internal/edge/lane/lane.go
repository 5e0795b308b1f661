// Package lane answers the plain requests of a kept connection one after the other, in a loop of its own.
//
// For each request net/http starts a goroutine that watches for the client's going away, renews deadlines and writes
// through two buffers. That is right for requests that take long; of a publish, which is answered as soon as it is on
// disk, it was a third of the work. So a connection that sends a small, plain POST is taken over, and whatever else comes
// over it (another method, a large body, an Expect, a line that is in any way unusual) is given back to net/http unread:
//
//	net/http ─► plain POST ─► Hijack ─► handler ─► one write ─► next request ─┐
//	   ▲                                   ▲                        │ plain   │ anything else
//	   │                                   └────────────────────────┘         │
//	   └───────────────── Listener.Accept, with what was read ◄───────────────┘
//
// The loop judges by the strictest reading: it serves only what every parser understands alike.
package lane

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// mostBody is the largest body that the loop reads.
	mostBody = 64 << 10
	// mostHead is the longest head.
	mostHead = 8 << 10
)

// Options of a Lane. Handler and Takes are needed.
type Options struct {
	Handler http.Handler
	// Takes says of the target of a POST whether its answer is short and soon there. It may be called concurrently.
	Takes func(target string) bool
	// IdleTimeout is how long the next request may be waited for; ReadTimeout how long it may take to arrive, once it has
	// begun; WriteTimeout how long the answer may take to be written.
	IdleTimeout, ReadTimeout, WriteTimeout time.Duration
}

// Lane is a handler that takes connections over. Serve its Listener with the http.Server whose handler it is.
type Lane struct {
	opts     Options
	listener listener
	closing  atomic.Bool
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// New makes a Lane.
func New(o Options) *Lane {
	return &Lane{opts: o, conns: map[*conn]struct{}{}, listener: listener{given: make(chan net.Conn), closed: make(chan struct{})}}
}

// ServeHTTP implements http.Handler. It takes the connection over if the request is one for the lane.
func (l *Lane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !l.takes(r) {
		l.opts.Handler.ServeHTTP(w, r)
		return
	}
	body := make([]byte, r.ContentLength)
	if n, err := io.ReadFull(r.Body, body); err != nil {
		r.Body = &content{rest: body[:n], err: err}
		l.opts.Handler.ServeHTTP(w, r)
		return
	}
	r.Body = &content{rest: body, err: io.EOF}
	c := l.hijack(w, r)
	if c == nil {
		l.opts.Handler.ServeHTTP(w, r)
		return
	}
	defer l.running.Done()
	defer c.end()
	c.run(r)
}

func (l *Lane) takes(r *http.Request) bool {
	return r.Method == http.MethodPost && r.ProtoMajor == 1 && r.ProtoMinor == 1 && !r.Close && r.TLS == nil &&
		r.ContentLength >= 0 && r.ContentLength <= mostBody && len(r.TransferEncoding) == 0 &&
		r.Header["Expect"] == nil && r.Header["Upgrade"] == nil && l.opts.Takes(r.RequestURI)
}

// hijack takes a connection over; nil if that cannot be.
func (l *Lane) hijack(w http.ResponseWriter, r *http.Request) *conn {
	l.mu.Lock()
	if l.closing.Load() {
		l.mu.Unlock()
		return nil
	}
	l.running.Add(1) // not while Shutdown waits
	l.mu.Unlock()
	raw, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		l.running.Done()
		return nil
	}
	if was, ok := raw.(*returned); ok && len(was.unread) == 0 {
		raw = was.Conn
	}
	c := &conn{lane: l, Conn: raw, context: context.WithoutCancel(r.Context()), remote: r.RemoteAddr, in: make([]byte, 0, 2<<10)}
	c.answer.header = make(http.Header, 4)
	if n := buffered.Reader.Buffered(); n > 0 {
		early, _ := buffered.Reader.Peek(n)
		c.in = append(c.in, early...)
	}
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	return c
}

// Listener is where net/http gets connections back.
func (l *Lane) Listener() net.Listener { return &l.listener }

// Shutdown lets requests finish, closes every connection and waits until the loops have ended, or ctx has.
func (l *Lane) Shutdown(ctx context.Context) error {
	l.mu.Lock()
	l.closing.Store(true)
	for c := range l.conns {
		if c.waiting.Load() {
			_ = c.SetReadDeadline(time.Unix(1, 0))
		}
	}
	l.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.running.Wait()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes every connection at once.
func (l *Lane) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing.Store(true)
	for c := range l.conns {
		_ = c.Close()
	}
	return l.listener.Close()
}

// listener hands connections to net/http.
type listener struct {
	given  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.given:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "lane", Net: "unix"} }

// give hands a connection over; it is closed when nobody takes it any more.
func (l *listener) give(c net.Conn) {
	select {
	case l.given <- c:
	case <-l.closed:
		_ = c.Close()
	}
}

// returned is a connection that was given back with bytes that were read from it.
type returned struct {
	net.Conn
	unread []byte // of the one goroutine that reads
}

// Read implements net.Conn.
func (r *returned) Read(p []byte) (int, error) {
	if len(r.unread) > 0 {
		n := copy(p, r.unread)
		r.unread = r.unread[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// NetConn gives the connection itself, as that of TLS does.
func (r *returned) NetConn() net.Conn { return r.Conn }

// content is a body that has arrived.
type content struct {
	rest []byte
	err  error // after the rest
}

var errClosedBody = errors.New("the body was closed")

// Read implements io.Reader.
func (b *content) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, b.err
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (b *content) Close() error {
	b.rest, b.err = nil, errClosedBody
	return nil
}
