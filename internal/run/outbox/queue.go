package outbox

import "sync"

const (
	// chunk is how much is joined into one attempt that does not block; the buffer is in use for that call only.
	chunk = 64 << 10
	// chunkBlocking is how much is joined for a socket that can only block (TLS: one record), where the buffer is in
	// use for as long as the socket is stalled.
	chunkBlocking = 16 << 10
	// keep is the number of queue slots that an empty outbox retains.
	keep = 8
)

var (
	chunks         = sync.Pool{New: func() any { return new([chunk]byte) }}
	chunksBlocking = sync.Pool{New: func() any { return new([chunkBlocking]byte) }}
)

// put queues frame if it fits below bound or nothing is queued.
func (o *Outbox) put(frame []byte, bound int) bool {
	if o.closing || o.err != nil || o.bytes > 0 && o.bytes+len(frame) > bound {
		return false
	}
	o.push(frame)
	return true
}

// push appends frame to the queue. An empty frame is nothing to write.
func (o *Outbox) push(frame []byte) {
	switch {
	case len(frame) == 0:
		return
	case o.front == nil:
		o.front = frame
		o.over = max(0, len(frame)-o.limit)
	default:
		if len(o.rest) == cap(o.rest) {
			o.makeRoom()
		}
		o.rest = append(o.rest, frame)
	}
	o.bytes += len(frame)
}

// makeRoom moves the queue down over the slots that are gone, or makes the first slots.
func (o *Outbox) makeRoom() {
	if o.rest == nil {
		o.rest = make([][]byte, 0, keep)
		return
	}
	if o.head > 0 && o.head >= len(o.rest)/2 {
		n := copy(o.rest, o.rest[o.head:])
		clear(o.rest[n:])
		o.rest, o.head = o.rest[:n], 0
	}
}

// advance drops n written bytes from the front of the queue.
func (o *Outbox) advance(n int) {
	o.bytes -= n
	for n > 0 {
		if n < len(o.front) {
			o.front = o.front[n:]
			return
		}
		n -= len(o.front)
		o.pop()
	}
}

// pop makes the next frame the front.
func (o *Outbox) pop() {
	if o.head < len(o.rest) {
		o.front, o.rest[o.head] = o.rest[o.head], nil
		o.head++
		return
	}
	o.front = nil
	o.rest, o.head = o.rest[:0], 0
	if cap(o.rest) > keep {
		o.rest = nil
	}
}

// join copies what is queued into buf, as much as fits, and returns it.
func (o *Outbox) join(buf []byte) []byte {
	n := copy(buf, o.front)
	for i := o.head; i < len(o.rest) && n < len(buf); i++ {
		n += copy(buf[n:], o.rest[i])
	}
	return buf[:n]
}

// single says whether the front alone is the whole queue or fills a write of size by itself, so that it is written as
// it is, without a copy.
func (o *Outbox) single(size int) bool {
	return o.head == len(o.rest) || len(o.front) >= size
}

// fail drops the queue for good.
func (o *Outbox) fail(err error) {
	o.err = err
	o.front, o.rest, o.head, o.bytes = nil, nil, 0, 0
}
