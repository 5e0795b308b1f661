// Package post sends prepared HTTP/1.1 requests over one keep-alive connection and reads just enough of the answers. A
// request costs two system calls and no allocation, so that a load generator on one core can ask more of a server than
// the server can give.
package post

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// maxBody bounds the part of an answer that is kept for error messages; the rest is read and dropped.
const maxBody = 4 << 10

var errMalformed = errors.New("http: malformed answer")

// Client is one connection to one server, made anew after the server closed it. Calls must not overlap.
type Client struct {
	addr    string
	timeout time.Duration
	nc      net.Conn
	br      *bufio.Reader
	body    []byte
	armed   time.Time // when the deadline of nc was last moved
}

// Dial connects to addr. The timeout bounds each request that follows.
func Dial(ctx context.Context, addr string, timeout time.Duration) (*Client, error) {
	c := &Client{addr: addr, timeout: timeout, br: bufio.NewReaderSize(nil, 4<<10)}
	return c, c.connect(ctx)
}

func (c *Client) connect(ctx context.Context) error {
	nc, err := (&net.Dialer{Timeout: c.timeout}).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	c.nc, c.armed = nc, time.Time{}
	c.br.Reset(nc)
	return nil
}

// Do sends one complete request and reads its answer. The body, cut at 4 KiB, is valid until the next call. A request
// whose answer did not come is not repeated: whether the server acted on it is unknown.
func (c *Client) Do(ctx context.Context, request []byte) (status int, body []byte, err error) {
	if c.nc == nil {
		if err := c.connect(ctx); err != nil {
			return 0, nil, err
		}
	}
	if err := c.arm(); err != nil {
		return 0, nil, err
	}
	if _, err = c.nc.Write(request); err == nil {
		var keep bool
		if status, keep, err = c.answer(); err == nil && keep {
			return status, c.body, nil
		}
	}
	c.Close()
	return status, c.body, err
}

// arm moves the deadline at most once a second: moving a timer for each request would be a noticeable share of its cost.
func (c *Client) arm() error {
	now := time.Now()
	if now.Sub(c.armed) < time.Second {
		return nil
	}
	c.armed = now
	return c.nc.SetDeadline(now.Add(c.timeout + time.Second))
}

// Close ends the connection; the next Do makes a new one.
func (c *Client) Close() error {
	if c.nc == nil {
		return nil
	}
	err := c.nc.Close()
	c.nc = nil
	return err
}

func (c *Client) answer() (status int, keep bool, err error) {
	line, err := c.line()
	if err != nil {
		return 0, false, err
	}
	status, err = parseStatus(line)
	if err != nil {
		return 0, false, err
	}
	f := fields{length: -1, keep: true}
	for {
		if line, err = c.line(); err != nil {
			return 0, false, err
		}
		if len(line) == 0 {
			break
		}
		if err := f.add(line); err != nil {
			return 0, false, err
		}
	}
	c.body = c.body[:0]
	switch {
	case status == 204 || status == 304:
		return status, f.keep, nil
	case f.chunked:
		return status, f.keep, c.chunks()
	case f.length >= 0:
		return status, f.keep, c.take(f.length)
	}
	_, err = io.Copy(io.Discard, c.br) // an answer without a length ends with the connection
	return status, false, err
}

func (c *Client) line() ([]byte, error) {
	line, err := c.br.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(line) > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// take reads n bytes of body, keeping the first maxBody.
func (c *Client) take(n int) error {
	k := min(n, maxBody-len(c.body))
	start := len(c.body)
	c.body = append(c.body, make([]byte, k)...)
	if _, err := io.ReadFull(c.br, c.body[start:]); err != nil {
		return err
	}
	_, err := c.br.Discard(n - k)
	return err
}

func (c *Client) chunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 31)
		if err != nil {
			return errMalformed
		}
		if err := c.take(int(n)); err != nil {
			return err
		}
		if line, err = c.line(); err != nil {
			return err
		}
		if n > 0 {
			if len(line) != 0 {
				return errMalformed
			}
			continue
		}
		for len(line) > 0 { // trailers
			if line, err = c.line(); err != nil {
				return err
			}
		}
		return nil
	}
}

// parseStatus reads "HTTP/1.1 200 OK".
func parseStatus(line []byte) (int, error) {
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return 0, fmt.Errorf("%w: %.40q", errMalformed, line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil || status < 100 {
		return 0, fmt.Errorf("%w: %.40q", errMalformed, line)
	}
	return status, nil
}

// fields are the three header fields that decide how the answer goes on.
type fields struct {
	length  int
	chunked bool
	keep    bool
}

func (f *fields) add(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return errMalformed
	}
	value = bytes.TrimSpace(value)
	switch {
	case is(name, "content-length"):
		n, err := strconv.ParseUint(string(value), 10, 31)
		if err != nil {
			return errMalformed
		}
		f.length = int(n)
	case is(name, "transfer-encoding"):
		f.chunked = is(value, "chunked")
	case is(name, "connection"):
		f.keep = !is(value, "close")
	}
	return nil
}

func is(got []byte, want string) bool {
	return len(got) == len(want) && bytes.EqualFold(got, []byte(want))
}
