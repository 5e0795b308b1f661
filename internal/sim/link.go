package sim

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// The kinds of frames on a link.
const (
	frameText byte = iota + 1
	frameBinary
	framePing
	framePong
	frameClose
)

// writeTimeout is how long a socket may take nothing.
const writeTimeout = 30 * time.Second

// frameHead is a kind and the length of what follows.
const frameHead = 5

func frame(kind byte, payload []byte) []byte {
	b := append(make([]byte, 0, frameHead+len(payload)), kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// next takes one complete frame off b; rest is b when there is none.
func next(b []byte) (kind byte, payload, rest []byte, ok bool) {
	if len(b) < frameHead {
		return 0, nil, b, false
	}
	n := int(binary.BigEndian.Uint32(b[1:]))
	if len(b) < frameHead+n {
		return 0, nil, b, false
	}
	return b[0], b[frameHead : frameHead+n], b[frameHead+n:], true
}

// messageFrame makes the frame of a payload as hubs and connections share it.
func messageFrame(binary bool, payload []byte) []byte {
	if binary {
		return frame(frameBinary, payload)
	}
	return frame(frameText, payload)
}

var errPeer = errors.New("sim: the client closed")

// link is a connection: bytes towards the client through a socket buffer of room bytes, messages towards the server. It
// is the server's conn.Transport.
type link struct {
	tls  bool // no writes that do not block
	room int

	mu     sync.Mutex
	moved  *sync.Cond
	down   []byte
	up     [][]byte
	cut    bool // nothing moves any more
	closed bool // the server ended it: what is in down can still be read
	ending bool // the server has decided to end it
	pong   func()
}

func newLink(room int, tls bool) *link {
	l := &link{room: room, tls: tls}
	l.moved = sync.NewCond(&l.mu)
	return l
}

func (l *link) CanTryWrite() bool { return !l.tls }

func (l *link) TryWrite(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.take(p)
}

func (l *link) take(p []byte) (int, error) {
	if l.cut || l.closed {
		return 0, io.ErrClosedPipe
	}
	n := min(len(p), l.room-len(l.down))
	l.down = append(l.down, p[:n]...)
	l.moved.Broadcast()
	return n, nil
}

func (l *link) WriteSome(p []byte) (int, error) {
	late := false
	timer := time.AfterFunc(writeTimeout, func() {
		l.mu.Lock()
		late = true
		l.mu.Unlock()
		l.moved.Broadcast()
	})
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.down) >= l.room && !l.cut && !l.closed {
		if late {
			l.ending = true
			return 0, os.ErrDeadlineExceeded
		}
		l.moved.Wait()
	}
	return l.take(p)
}

// Read implements conn.Transport: the client's next message.
func (l *link) Read() (bool, []byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for len(l.up) == 0 && !l.cut && !l.closed {
			l.moved.Wait()
		}
		if l.cut || l.closed {
			return false, nil, io.ErrUnexpectedEOF
		}
		kind, payload, _, _ := next(l.up[0])
		l.up = l.up[1:]
		switch kind {
		case framePong:
			l.mu.Unlock()
			l.pong()
			l.mu.Lock()
		case frameClose:
			return false, nil, errPeer
		default:
			return kind == frameBinary, payload, nil
		}
	}
}

func (l *link) Answer(err error) (answer []byte, clean bool) {
	if errors.Is(err, errPeer) {
		return frame(frameClose, nil), true
	}
	return nil, false
}

func (l *link) Message(binary bool, payload []byte) []byte { return messageFrame(binary, payload) }
func (l *link) Ping() []byte                               { return frame(framePing, nil) }
func (l *link) Pong(payload []byte) []byte                 { return frame(framePong, payload) }
func (l *link) CloseFrame(code uint16, reason string) []byte {
	l.mu.Lock()
	l.ending = true
	l.mu.Unlock()
	return frame(frameClose, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}

// Linger implements conn.Transport.
func (l *link) Linger(d time.Duration) error {
	time.AfterFunc(d, func() { _ = l.Close() })
	return nil
}

// Close implements conn.Transport: the server lets go.
func (l *link) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.moved.Broadcast()
	return nil
}

// alive reports whether neither side has ended it, nor is about to.
func (l *link) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.cut && !l.closed && !l.ending
}

// sever ends the link; of what is on its way the client can still read the first keep bytes, wherever in a frame that
// ends.
func (l *link) sever(keep int) {
	l.mu.Lock()
	l.cut, l.closed = true, true
	l.down = l.down[:min(keep, len(l.down))]
	l.mu.Unlock()
	l.moved.Broadcast()
}

// send is the client's message.
func (l *link) send(kind byte, payload []byte) {
	l.mu.Lock()
	if !l.cut && !l.closed {
		l.up = append(l.up, frame(kind, payload))
	}
	l.mu.Unlock()
	l.moved.Broadcast()
}

// receive waits for bytes, of which it takes at most n.
func (l *link) receive(n int) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.down) == 0 && !l.closed && !l.cut {
		l.moved.Wait()
	}
	if len(l.down) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(l.down))
	b := append([]byte(nil), l.down[:n]...)
	l.down = append(l.down[:0:0], l.down[n:]...)
	l.moved.Broadcast()
	return b, nil
}
