package outbox

// start makes the goroutine if there is none. full says that the socket has just refused bytes.
func (o *Outbox) start(full bool) {
	if o.running || o.ended {
		return
	}
	o.running = true
	go o.run(full)
}

// run writes and pumps until neither is needed, then ends. It is the only caller of the owner's methods. A full socket
// is waited for before anything else: a stalled reader is not worth a pump.
func (o *Outbox) run(full bool) {
	o.mu.Lock()
	pumped := false // a pump was the last thing that happened: the socket is next
	for {
		switch {
		case o.err != nil || o.closing && o.bytes == 0:
			o.end()
			return
		case o.bytes > 0 && full:
			full = o.wait()
			pumped = false
		case o.kicked && !o.closing && !pumped && o.bytes <= o.limit/2:
			o.pump()
			pumped = true
		case o.bytes > 0:
			full = o.write()
			pumped = false
		case o.kicked && !o.closing:
			pumped, full = false, false
		default:
			o.running = false
			o.mu.Unlock()
			return
		}
	}
}

// end reports the end to the owner and releases the lock. running stays set: nothing starts after the end.
func (o *Outbox) end() {
	o.ended = true
	err := o.err
	if err == nil {
		o.fail(ErrClosed)
	}
	o.mu.Unlock()
	o.owner.Ended(err)
}

// pump calls the owner, without the lock.
func (o *Outbox) pump() {
	o.kicked, o.pumping = false, true
	o.mu.Unlock() // not release: a Flush may write meanwhile, however long the store takes
	more := o.owner.Pump()
	o.mu.Lock()
	o.kicked, o.pumping = o.kicked || more, false
}

// wait blocks until the socket takes something, without the lock, and returns whether it is full again. It offers the
// front alone, by reference, so that a stalled socket holds no buffer.
func (o *Outbox) wait() (full bool) {
	p := o.front
	o.release()
	n, err := o.sock.WriteSome(p)
	o.regain()
	return o.wrote(n, err) && n < len(p)
}

// write lets the socket take what is queued, without the lock, and returns whether it is full now. What is being
// written stays at the front of the queue until it was.
func (o *Outbox) write() (full bool) {
	if o.sock.CanTryWrite() {
		return !o.try(true)
	}
	if o.single(chunkBlocking) {
		o.wait()
		return false
	}
	buf := chunksBlocking.Get().(*[chunkBlocking]byte)
	p := o.join(buf[:])
	o.release()
	n, err := o.sock.WriteSome(p)
	chunksBlocking.Put(buf)
	o.regain()
	o.wrote(n, err)
	return false
}

// release unlocks for the time of a write, regain ends it.
func (o *Outbox) release() {
	o.writing = true
	o.mu.Unlock()
}

func (o *Outbox) regain() {
	o.mu.Lock()
	o.writing = false
}

// try makes one attempt to write what is queued, which does not block, and says whether the socket took all that it was
// offered. With unlock, the lock is released meanwhile.
func (o *Outbox) try(unlock bool) bool {
	var buf *[chunk]byte
	p := o.front
	if !o.single(chunk) {
		buf = chunks.Get().(*[chunk]byte)
		p = o.join(buf[:])
	}
	size := len(p)
	if unlock {
		o.release()
	}
	n, err := o.sock.TryWrite(p)
	if buf != nil {
		chunks.Put(buf)
	}
	if unlock {
		o.regain()
	}
	return o.wrote(n, err) && n == size
}

// wrote takes note of a write's outcome; false if it failed, or if everything was dropped meanwhile.
func (o *Outbox) wrote(n int, err error) bool {
	if o.err != nil {
		return false
	}
	o.advance(n)
	if err != nil {
		o.fail(err)
		return false
	}
	return true
}
