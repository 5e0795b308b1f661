package lane

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// conn is a connection that the lane has taken over. One goroutine has it; waiting and the methods of net.Conn are for
// all.
type conn struct {
	net.Conn
	lane    *Lane
	context context.Context // of the first request; nobody watches whether the client goes away, so it never ends
	remote  string
	in      []byte // what was read and belongs to requests that were not served yet
	used    int    // of in, the request that is being served
	out     []byte
	answer  answer
	waiting atomic.Bool // nothing of the next request has come
	given   bool        // net/http gets it back

	readBy, writeBy time.Time // the deadlines
	arriving        bool      // readBy is when the request that has begun must be there
}

// renewEvery is how much sooner than its timeout a deadline may be, so that it need not be moved for every request.
const renewEvery = time.Second

// run serves a request and those after it, as long as they are plain.
func (c *conn) run(r *http.Request) {
	for r != nil && c.serve(r) {
		r = c.next()
	}
}

// end lets go of the connection, also when the handler has panicked.
func (c *conn) end() {
	l := c.lane
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	if c.given {
		_ = c.SetDeadline(time.Time{})
		l.listener.give(&returned{Conn: c.Conn, unread: c.in})
		return
	}
	_ = c.Close()
}

// serve answers a request; false when the connection ends with it.
func (c *conn) serve(r *http.Request) (more bool) {
	a := &c.answer
	a.reset()
	c.lane.opts.Handler.ServeHTTP(a, r)
	now := time.Now()
	last := a.closes() || c.lane.closing.Load()
	c.out = a.append(c.out[:0], now, last)
	if d := c.lane.opts.WriteTimeout; d > 0 && c.writeBy.Sub(now) < d-renewEvery {
		c.writeBy = now.Add(d)
		_ = c.SetWriteDeadline(c.writeBy)
	}
	_, err := c.Write(c.out)
	if cap(c.out) > mostBody {
		c.out = nil
	}
	return err == nil && !last
}

// mostEmpty is how many characters of empty lines may come between two requests: some clients end a body with one.
const mostEmpty = 4

// next reads the next request; nil when there is none, or none for the lane.
func (c *conn) next() *http.Request {
	c.in = append(c.in[:0], c.in[c.used:]...)
	c.used = 0
	for empty := 0; ; {
		for ; empty < mostEmpty && len(c.in) > 0 && (c.in[0] == '\r' || c.in[0] == '\n'); empty++ {
			c.in = c.in[:copy(c.in, c.in[1:])]
		}
		begun := len(c.in) > 0
		if begun {
			switch p := parse(c.in); {
			case p.verdict == whole && c.lane.opts.Takes(p.target):
				c.used = p.size
				if r := c.request(&p); r != nil {
					return r
				}
				c.given = true
				return nil
			case p.verdict != more:
				c.given = true
				return nil
			case p.size > cap(c.in):
				c.in = append(make([]byte, 0, p.size), c.in...)
			}
		}
		if !c.read(begun) {
			return nil
		}
	}
}

// read reads what has come. The time for a request begins with its first bytes.
func (c *conn) read(begun bool) bool {
	if len(c.in) == cap(c.in) {
		c.in = append(c.in, 0)[:len(c.in)]
	}
	now, d := time.Now(), c.lane.opts.IdleTimeout
	if begun {
		d = c.lane.opts.ReadTimeout
	}
	switch left := c.readBy.Sub(now); {
	case begun && c.arriving: // whoever sends a byte now and then gains no time by it
	case d > 0 && (left < d-renewEvery || left > d):
		c.readBy = now.Add(d)
		_ = c.SetReadDeadline(c.readBy)
	case d <= 0 && !c.readBy.IsZero():
		c.readBy = time.Time{}
		_ = c.SetReadDeadline(c.readBy)
	}
	c.arriving = begun
	c.waiting.Store(!begun)
	if !begun && c.lane.closing.Load() {
		return false
	}
	n, err := c.Read(c.in[len(c.in):cap(c.in)])
	c.waiting.Store(false)
	c.in = c.in[:len(c.in)+n]
	return err == nil
}

// request makes the request that was parsed; nil when its target is none.
func (c *conn) request(p *parsed) *http.Request {
	u, err := url.ParseRequestURI(p.target)
	if err != nil {
		return nil
	}
	r := (&http.Request{Method: http.MethodPost, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: p.header,
		Host: p.host, RemoteAddr: c.remote, RequestURI: p.target, ContentLength: int64(p.size - p.head)}).WithContext(c.context)
	r.Body = &content{rest: c.in[p.head:p.size:p.size], err: io.EOF}
	return r
}
