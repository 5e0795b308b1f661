package disk

import (
	"sync"
	"sync/atomic"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// strm is a stream in memory. It is there while something is in flight, and afterwards while it is recently used.
type strm struct {
	ref   stream.Ref
	name  []byte // key of its row
	slot  uint64
	shard *shard

	vis    atomic.Pointer[row] // what readers see; nil until loaded
	loadMu sync.Mutex
	cutMu  sync.Mutex // one cut at a time, from its first read to its last row

	// Owned by whoever builds the shard's batch.
	alloc row
	touch *touch

	// Owned by the cache.
	pins       int
	prev, next *strm
}

// cache keeps the streams of one shard. A stream with a pin stays; of the others the least recently used leave.
type cache struct {
	mu    sync.Mutex
	m     map[stream.Ref]*strm
	lru   strm // ring of streams without a pin, newest first
	free  int  // how many are in the ring
	limit int
}

func (c *cache) init(limit int) {
	c.m = make(map[stream.Ref]*strm)
	c.lru.prev, c.lru.next = &c.lru, &c.lru
	c.limit = max(limit, 16)
}

// pin finds the stream or makes it; it is not loaded yet then.
func (c *cache) pin(ref stream.Ref, sh *shard, slot uint64) *strm {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.m[ref]
	if s == nil {
		s = &strm{ref: ref, slot: slot, shard: sh, name: streamKey(nil, ref), pins: 1}
		c.m[ref] = s
		return s
	}
	if s.pins == 0 {
		s.unlink()
		c.free--
	}
	s.pins++
	return s
}

func (c *cache) repin(s *strm) {
	c.mu.Lock()
	s.pins++
	c.mu.Unlock()
}

func (c *cache) unpin(s *strm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.pins--; s.pins > 0 {
		return
	}
	s.prev, s.next = &c.lru, c.lru.next
	s.prev.next, s.next.prev = s, s
	for c.free++; c.free > c.limit; c.free-- {
		old := c.lru.prev
		old.unlink()
		delete(c.m, old.ref)
	}
}

func (s *strm) unlink() {
	s.prev.next, s.next.prev = s.next, s.prev
	s.prev, s.next = nil, nil
}

// pin finds a stream and sees to it that its row is loaded.
func (l *life) pin(ref stream.Ref) (*strm, error) {
	slot := slotOf(ref)
	sh := l.shards[slot%uint64(len(l.shards))]
	s := sh.cache.pin(ref, sh, slot)
	if s.vis.Load() != nil {
		return s, nil
	}
	s.loadMu.Lock()
	defer s.loadMu.Unlock()
	if s.vis.Load() != nil {
		return s, nil
	}
	r, err := l.loadRow(ref, s.name)
	if err != nil {
		sh.cache.unpin(s)
		return nil, err
	}
	// Nothing of this stream is in flight: what is in flight is pinned and loaded. So the row is visible.
	s.alloc = r
	s.vis.Store(&r)
	return s, nil
}

func (l *life) unpin(s *strm) { s.shard.cache.unpin(s) }

func (l *life) loadRow(ref stream.Ref, name []byte) (row, error) {
	v, closer, err := l.get(name)
	if err != nil {
		return row{}, err
	}
	if closer == nil {
		return l.rowless(ref), nil
	}
	defer closer.Close()
	r, err := decodeRow(v)
	if err != nil {
		return row{}, l.corrupt("the row of "+ref.String(), err)
	}
	r.id = stream.DeriveID(l.epoch, ref, r.Incarnation)
	return r, nil
}

// rowless is what a channel without a row has: its identity comes from the store's forget number.
func (l *life) rowless(ref stream.Ref) row {
	g := l.forgot.Load()
	r := row{Meta: stream.Meta{Incarnation: stream.Incarnation{Forget: g.number}, Born: g.at}}
	r.id = stream.DeriveID(l.epoch, ref, r.Incarnation)
	return r
}

// visible is what readers see now.
func (l *life) visible(s *strm) *row {
	v := s.vis.Load()
	if v.num == 0 && v.Forget != l.forgot.Load().number {
		r := l.rowless(s.ref)
		s.vis.CompareAndSwap(v, &r)
		return s.vis.Load()
	}
	return v
}
