// Package outbox is the bounded queue of encoded frames that a session's socket has still to write.
//
// Frames are held by reference, so a frame that goes to ten thousand sessions exists once. What the socket takes at
// once is written where the frame was put (Flush); what it does not take is joined into few writes by a goroutine that
// lives only while there is something to write or to pump. While a socket is stalled the outbox holds references and
// nothing else: no copy, no buffer.
//
//	hub ── Put, PutTurn ──▶ [front | rest…] ── Flush: one TryWrite ──▶ socket
//	                              │ what is left
//	                              ▼
//	             writer goroutine: WriteSome(front), TryWrite(joined), …
//	                              │ low, and kicked
//	                              ▼
//	                         Owner.Pump ── reads a page, Puts ──┐
//	                              ▲─────────────────────────────┘
package outbox

import (
	"errors"
	"sync"
)

// Reserve is how far control frames may go beyond an outbox's limit.
const Reserve = 4 << 10

// ErrClosed is what Ended reports when Fail was given no error.
var ErrClosed = errors.New("outbox: closed")

// Socket is where an outbox writes to. Calls never overlap: an outbox has one write under way at most. The bytes belong
// to the outbox again when a call returns.
type Socket interface {
	// CanTryWrite says whether TryWrite works on this socket. It never changes.
	CanTryWrite() bool
	// TryWrite makes one attempt that never blocks. A socket that takes nothing now is (0, nil).
	TryWrite(p []byte) (n int, err error)
	// WriteSome blocks until the socket took at least one byte, and says how many it took. It fails with
	// os.ErrDeadlineExceeded in its chain when the socket took nothing for the write timeout.
	WriteSome(p []byte) (n int, err error)
}

// Owner is the session that an outbox belongs to. Both methods are called by the outbox's own goroutine, never
// overlapping, never with the lock held.
type Owner interface {
	// Pump puts more frames for followers that are behind. It is called after a Kick, and again for as long as it
	// returns true, each time the queue is low (half the limit or less) and the socket is not full: so pages are read
	// at the pace of the socket. Between two calls the socket is offered what is queued, and if it takes nothing it is
	// waited for. Pump may block on the store. With an empty outbox, which admits any frame, it must make progress or
	// return false.
	Pump() (more bool)
	// Ended is called exactly once in the life of an outbox that came to its end: with nil when the close frame (and
	// everything before it) was handed to the socket, with the error of the write that failed, or with what was given
	// to Fail. No write is under way then and none will follow.
	Ended(err error)
}

// Outbox is embedded in a session. Its lock is the session's lock: the hub holds it while it moves a follower's cursor
// and puts the frame. Every method except Init, Lock and Unlock is called with the lock held. The zero value is not
// usable: call Init.
type Outbox struct {
	mu    sync.Mutex
	sock  Socket
	owner Owner
	err   error    // why it failed; nil while it works
	front []byte   // what is left of the oldest frame; nil when nothing is queued
	rest  [][]byte // frames after it; rest[:head] are gone
	head  int
	bytes int // what is left to write
	limit int
	over  int // how far a single frame, admitted because nothing was queued, went beyond the limit

	running bool // the goroutine exists
	writing bool // it is writing now, without the lock
	kicked  bool // a Pump is owed
	pumping bool // one is under way
	closing bool // the close frame is queued: nothing may follow
	ended   bool // Ended was called, or is about to be
}

// Init prepares an outbox that holds at most limit bytes. Before anything else, and once.
func (o *Outbox) Init(sock Socket, owner Owner, limit int) {
	o.sock, o.owner, o.limit = sock, owner, limit
}

// Lock takes the session's lock.
func (o *Outbox) Lock() { o.mu.Lock() }

// Unlock releases the session's lock.
func (o *Outbox) Unlock() { o.mu.Unlock() }

// Put queues a data frame, by reference. It is admitted if it fits below the limit, or if nothing is queued. False
// means full (or closing, or failed): the caller turns its follower behind and calls Kick. Nothing is written before
// Flush.
func (o *Outbox) Put(frame []byte) bool { return o.put(frame, o.limit) }

// PutControl queues a control frame, which may use the Reserve beyond the limit (or beyond the single large frame that
// was admitted to an empty outbox). False means that even that is used up, or that the outbox is closing or failed.
func (o *Outbox) PutControl(frame []byte) bool { return o.put(frame, o.limit+o.over+Reserve) }

// PutTurn queues the frames of one fan-out turn, whose concatenation is joined (shared among all sessions, never
// copied here), as one element. It returns how many frames were admitted: all, or as many from the first on as fit, at
// least one when nothing is queued.
func (o *Outbox) PutTurn(frames [][]byte, joined []byte) int {
	if o.closing || o.err != nil {
		return 0
	}
	n, size := len(frames), len(joined)
	if o.bytes+size > o.limit {
		n, size = 0, 0
		for _, f := range frames {
			if o.bytes+size+len(f) > o.limit && o.bytes+size > 0 {
				break
			}
			n, size = n+1, size+len(f)
		}
	}
	if size > 0 {
		o.push(joined[:size:size])
	}
	return n
}

// Len is the number of queued elements.
func (o *Outbox) Len() int {
	if o.front == nil {
		return 0
	}
	return 1 + len(o.rest) - o.head
}

// Bytes is what is queued and not yet taken by the socket.
func (o *Outbox) Bytes() int { return o.bytes }

// Free is how many bytes Put would admit now; it is never negative. An empty outbox admits any single frame, whatever
// Free says.
func (o *Outbox) Free() int { return max(0, o.limit-o.bytes) }

// Ending says whether the outbox is closing or has failed: it admits nothing any more.
func (o *Outbox) Ending() bool { return o.closing || o.err != nil }

// Flush offers everything queued to the socket. If no write is under way and the socket can, that is one attempt that
// does not block, also while the owner pumps; for what remains the writer is started. What is queued when a pump is about
// to begin waits for it, so that both are one write. Errors reach the owner through Ended, later. Pump need not call it.
func (o *Outbox) Flush() {
	if o.writing || o.bytes == 0 || o.err != nil {
		return
	}
	if o.kicked && o.running && !o.pumping && !o.closing && o.bytes <= o.limit/2 {
		return
	}
	if !o.sock.CanTryWrite() {
		o.start(false)
		return
	}
	switch all := o.try(false); {
	case !all:
		o.start(true)
	case o.bytes > 0 || o.closing:
		o.start(false)
	}
}

// Kick says that a follower of this session is behind: Pump will be called as soon as the queue is low.
func (o *Outbox) Kick() {
	if o.Ending() {
		return
	}
	o.kicked = true
	o.start(false)
}

// Close queues the close frame as the last one, without regard to the limit, and flushes. Ended follows when it has
// been written or the socket failed. Further calls do nothing.
func (o *Outbox) Close(frame []byte) {
	if o.Ending() {
		return
	}
	o.push(frame)
	o.closing = true
	if o.bytes == 0 {
		o.start(false)
		return
	}
	o.Flush()
}

// Fail drops everything. Ended follows with err, once no write is under way: the caller closes the socket, so that this
// is soon.
func (o *Outbox) Fail(err error) {
	if o.err != nil || o.ended {
		return
	}
	if err == nil {
		err = ErrClosed
	}
	o.fail(err)
	o.start(false)
}
