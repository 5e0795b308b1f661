package disk

import (
	"sync"
	"time"
)

// While one worker waits for its batch's sync, another builds the next. A batch that would be small gathers until the
// one before it is stable.
const (
	shardWorkers  = 3
	pipelineDepth = 2   // batches that may wait for their sync at once
	pipelineOps   = 128 // ops that are worth a batch of their own while another one is syncing
	maxBatchOps   = 4096
	maxBatchBytes = 4 << 20 // a batch larger than half a memtable costs pebble a memtable of its own
)

// shard commits the ops of its streams, in order.
type shard struct {
	l     *life
	cache cache
	build builder // owned by the worker that has building

	mu       sync.Mutex
	wake     sync.Cond // there may be a batch to build
	idle     sync.Cond // there may be nothing left to do
	queue    []*work
	queued   int // ops in queue
	building bool
	syncing  int // batches that wait for their sync
	closed   bool
	tickets  []*ticket // applied and not yet acknowledged, in order
	seq      uint64    // of the newest ticket
	synced   uint64    // every batch up to this one is stable
	loose    bool      // interval batches wait for a tick
	ticking  bool
	acking   bool
	timer    *time.Timer
	current  *ticket // being built or applied
}

func newShard(l *life) *shard {
	sh := &shard{l: l}
	sh.wake.L, sh.idle.L = &sh.mu, &sh.mu
	sh.cache.init(l.opt.CacheStreams / l.opt.Shards)
	sh.build.init(sh)
	return sh
}

func (sh *shard) start() {
	for range shardWorkers {
		sh.l.workers.Go(sh.run)
	}
}

// submit hands work to the shard; false when the life has ended.
func (sh *shard) submit(w *work) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return false
	}
	sh.queue = append(sh.queue, w)
	sh.queued += w.size()
	if sh.ready() {
		sh.wake.Signal()
	}
	return true
}

// ready says whether a batch should be built now.
func (sh *shard) ready() bool {
	if sh.building || len(sh.queue) == 0 {
		return false
	}
	return sh.syncing == 0 || sh.syncing < pipelineDepth && sh.queued >= pipelineOps
}

func (sh *shard) run() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for {
		for !sh.closed && !sh.ready() {
			sh.wake.Wait()
		}
		if sh.closed {
			return
		}
		t := sh.take()
		sh.mu.Unlock()
		ok := sh.apply(t)
		sh.mu.Lock()
		sh.applied(t, ok)
		if ok && t.sync {
			sh.mu.Unlock()
			err := t.syncWait(sh.l)
			sh.mu.Lock()
			sh.syncing--
			if err == nil && sh.l.failure.Load() == nil {
				sh.synced = max(sh.synced, t.seq)
			}
			if sh.ready() {
				sh.wake.Signal()
			}
		}
		sh.acknowledge()
	}
}

// syncWait waits until the ticket's batch is stable.
func (t *ticket) syncWait(l *life) error {
	start := time.Now()
	err := t.batch.SyncWait()
	if err != nil {
		l.fail(err)
	}
	l.opt.Events.commit(CommitInfo{Ops: t.ops, Bytes: t.bytes, Build: t.built, Sync: time.Since(start)})
	t.batch.Close()
	return err
}

// take moves the queue into a ticket, whole works at a time.
func (sh *shard) take() *ticket {
	n, ops, bytes := 0, 0, 0
	for n < len(sh.queue) && (n == 0 || ops < maxBatchOps && bytes < maxBatchBytes) {
		ops += sh.queue[n].size()
		bytes += sh.queue[n].bytes()
		n++
	}
	t := &ticket{works: append([]*work(nil), sh.queue[:n]...), ops: ops}
	rest := copy(sh.queue, sh.queue[n:])
	clear(sh.queue[rest:])
	sh.queue = sh.queue[:rest]
	sh.queued -= ops
	sh.building = true
	sh.current = t
	sh.seq++
	t.seq = sh.seq
	return t
}

// applied notes the ticket and lets the next batch be built. Called with mu held.
func (sh *shard) applied(t *ticket, ok bool) {
	sh.building = false
	sh.current = nil
	sh.tickets = append(sh.tickets, t)
	t.lost = !ok
	switch {
	case t.lost: // the end of the life answers it
	case t.sync:
		sh.syncing++
		sh.loose = false
	case t.written:
		sh.loose = true
		sh.armTick()
	}
	if ok && sh.ready() {
		sh.wake.Signal()
	}
}

// armTick makes sure that interval batches are synced soon. Called with mu held.
func (sh *shard) armTick() {
	if sh.ticking || sh.closed {
		return
	}
	sh.ticking = true
	if sh.timer == nil {
		sh.timer = time.AfterFunc(sh.l.opt.IntervalEvery, sh.tick)
		return
	}
	sh.timer.Reset(sh.l.opt.IntervalEvery)
}

func (sh *shard) tick() {
	sh.mu.Lock()
	sh.ticking = false
	loose := sh.loose
	sh.mu.Unlock()
	if loose {
		sh.submit(&work{job: tickJob{}})
	}
}

// acknowledge delivers every ticket that is stable and whose predecessors are. Called with mu held; the lock is
// dropped while watchers and callers are told, and only one worker delivers at a time, so the order is kept.
func (sh *shard) acknowledge() {
	if sh.acking {
		return
	}
	sh.acking = true
	for len(sh.tickets) > 0 && !sh.closed {
		t := sh.tickets[0]
		if t.lost || t.written && t.seq > sh.synced {
			break
		}
		sh.tickets[0] = nil
		sh.tickets = sh.tickets[1:]
		if !t.claim() {
			continue
		}
		sh.mu.Unlock()
		t.deliver(sh.l)
		sh.mu.Lock()
	}
	sh.acking = false
	sh.idle.Broadcast()
}

// end stops the shard and answers what is left. Streams that were written to and not acknowledged are returned: their
// heads may have moved.
func (sh *shard) end(failed bool) (touched []*strm) {
	sh.mu.Lock()
	if !failed {
		sh.drain()
	}
	sh.closed = true
	if sh.timer != nil {
		sh.timer.Stop()
	}
	tickets := sh.tickets
	if sh.current != nil {
		tickets = append(tickets, sh.current)
	}
	queue := sh.queue
	sh.queue, sh.tickets = nil, nil
	sh.wake.Broadcast()
	sh.mu.Unlock()
	for _, t := range tickets {
		if t.claim() {
			touched = append(touched, t.unknown(sh.l)...)
		}
	}
	for _, w := range queue {
		w.refuse(sh.l)
	}
	return touched
}

// drain waits, on an orderly close, until everything that was accepted is acknowledged. Called with mu held.
func (sh *shard) drain() {
	for sh.l.failure.Load() == nil {
		switch {
		case len(sh.queue) == 0 && len(sh.tickets) == 0 && !sh.building && !sh.acking:
			return
		case sh.loose && len(sh.queue) == 0 && !sh.building:
			sh.loose = false
			sh.queue = append(sh.queue, &work{job: tickJob{}})
			sh.wake.Signal()
		}
		sh.idle.Wait()
	}
}

// abandon lets an orderly close go on after a failure.
func (sh *shard) abandon() {
	sh.mu.Lock()
	sh.idle.Broadcast()
	sh.mu.Unlock()
}
