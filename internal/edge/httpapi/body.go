package httpapi

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// scratch is the memory of one request: what it read and what it answers.
type scratch struct {
	call    call
	in, out []byte
}

var scratches = sync.Pool{New: func() any { return &scratch{in: make([]byte, 0, 4<<10), out: make([]byte, 0, 4<<10)} }}

// mostKept is the largest buffer that is kept for the next request.
const mostKept = 64 << 10

// release keeps what is worth keeping for the next request.
func (s *scratch) release() {
	in, out := s.call.body, s.call.out
	if cap(in) > cap(s.in) && cap(in) <= mostKept {
		s.in = in[:0]
	}
	if cap(out) > cap(s.out) && cap(out) <= mostKept {
		s.out = out[:0]
	}
	s.call = call{}
	scratches.Put(s)
}

// readBody reads the whole body into buf, or into a larger one.
func readBody(r *http.Request, buf []byte, most int64) ([]byte, error) {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, fault.New(fault.Invalid, "the Content-Encoding %s is not supported: send the body as it is", channel.Quote(coding)).In("Content-Encoding")
	}
	if r.ContentLength > most {
		return nil, tooLarge(most)
	}
	buf = buf[:0]
	if n := r.ContentLength; n > int64(cap(buf)) {
		if n <= mostKept { // a stated length is believed no further than this before it has arrived
			buf = make([]byte, 0, n)
		}
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > most:
			return nil, tooLarge(most)
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return nil, fault.New(fault.Invalid, "the body ended after %d bytes: it was cut off, or took too long", len(buf)).In("body")
		case int64(len(buf)) == r.ContentLength:
			return buf, nil
		}
	}
}

func tooLarge(most int64) error {
	return fault.New(fault.TooLarge, "the body is larger than the %d bytes allowed", most).In("body")
}

// local reports whether a peer is on this machine: a loopback address, or no address at all (a unix socket).
func local(remote string) bool {
	if remote == "" || remote == "@" {
		return true
	}
	p, err := netip.ParseAddrPort(remote)
	return err == nil && p.Addr().Unmap().IsLoopback()
}
