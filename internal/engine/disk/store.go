package disk

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Store is a folder's logs and records. It implements stream.Store and record.Store.
type Store struct {
	dir      string
	opt      Options
	lock     io.Closer
	watchers watchers
	space    space
	records  records

	life    atomic.Pointer[life]
	mu      sync.Mutex // one life at a time: held while one ends and the next begins
	closed  atomic.Bool
	closing chan struct{}
	revive  sync.WaitGroup // background reopening
}

// use gives the present life, to be released.
func (s *Store) use() (*life, error) {
	l := s.life.Load()
	if err := l.acquire(); err != nil {
		return nil, err
	}
	return l, nil
}

// Append implements stream.Store.
func (s *Store) Append(ctx context.Context, ops []stream.Op) ([]stream.Result, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.New(fault.Unavailable, "the caller gave up: %w", err)
	}
	c := newCall(ops)
	if err := s.submit(c); err != nil {
		return nil, err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return gaveUp(len(ops), ctx.Err()), nil
	}
	if !c.decided.Load() {
		return nil, errClosed
	}
	return c.results, nil
}

// gaveUp is the answer to a caller that does not wait for the outcome.
func gaveUp(n int, why error) []stream.Result {
	err := fault.New(fault.Unknown, "the caller gave up before the write was stable: %w", why)
	results := make([]stream.Result, n)
	for i := range results {
		results[i] = stream.Result{Outcome: stream.Unknown, Err: err}
	}
	return results
}

// submit spreads a call over the shards of its streams.
func (s *Store) submit(c *call) error {
	l, err := s.use()
	if err != nil {
		return err
	}
	defer l.release()
	if err := s.room(l); err != nil {
		return err
	}
	works, err := l.spread(c)
	if err != nil {
		return err
	}
	c.left.Store(int32(len(works)))
	for _, w := range works {
		if !w.streams[0].shard.submit(w) {
			w.refuse(l)
		}
	}
	return nil
}

// spread makes one work per shard, with the streams of its ops pinned and loaded.
func (l *life) spread(c *call) (works []*work, err error) {
	defer func() {
		if err != nil {
			for _, w := range works {
				w.unpin(l)
			}
		}
	}()
	if len(c.ops) == 1 {
		c.stream[0], err = l.pin(c.ops[0].Ref)
		if err != nil {
			return nil, err
		}
		c.only.call, c.only.streams, c.works[0] = c, c.stream[:], &c.only
		return c.works[:], nil
	}
	for i := range c.ops {
		ref := c.ops[i].Ref
		st, err := l.pin(ref)
		if err != nil {
			return works, err
		}
		w := workOf(works, st.shard)
		if w == nil {
			w = &work{call: c, part: make([]int, 0, 1)}
			works = append(works, w)
		}
		w.part = append(w.part, i)
		w.streams = append(w.streams, st)
	}
	return works, nil
}

func workOf(works []*work, sh *shard) *work {
	for _, w := range works {
		if w.streams[0].shard == sh {
			return w
		}
	}
	return nil
}

// Info implements stream.Store.
func (s *Store) Info() stream.Info {
	info := stream.Info{Name: "disk", ProcessCrash: true, MachineCrash: true,
		Note: "every acknowledged publish of a sync channel is on this machine's disk; one node, no fail-over"}
	if l := s.life.Load(); l != nil {
		info.Epoch = l.epoch
	}
	return info
}

// Watch implements stream.Store.
func (s *Store) Watch(f func(stream.Advance)) (stop func()) { return s.watchers.add(f) }

// watchers are told in the order of each stream.
type watchers struct {
	mu   sync.RWMutex
	list []*watcher
}

type watcher struct{ f func(stream.Advance) }

func (w *watchers) add(f func(stream.Advance)) (stop func()) {
	one := &watcher{f}
	w.mu.Lock()
	w.list = append(w.list, one)
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, o := range w.list {
			if o == one {
				w.list = append(w.list[:i:i], w.list[i+1:]...)
				return
			}
		}
	}
}

func (w *watchers) tell(a stream.Advance) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, o := range w.list {
		o.f(a)
	}
}

// space remembers for a second whether there is room to append.
type space struct {
	next atomic.Int64 // unix ns of the next look
	err  atomic.Pointer[fault.Error]
	free atomic.Int64 // what must stay free
	most atomic.Int64 // what the store may hold; 0 = anything
}

func (s *Store) room(l *life) error {
	now := time.Now().UnixNano()
	if at := s.space.next.Load(); now >= at && s.space.next.CompareAndSwap(at, now+int64(time.Second)) {
		s.space.err.Store(s.look(l))
	}
	if err := s.space.err.Load(); err != nil {
		return err
	}
	if l.noSpace.Load() {
		return fault.New(fault.Full, "the disk is full: %s", s.dir)
	}
	return nil
}

func (s *Store) look(l *life) *fault.Error {
	if free := s.space.free.Load(); free > 0 {
		if u, err := s.opt.FS.GetDiskUsage(s.dir); err == nil && u.AvailBytes < uint64(free) {
			return fault.New(fault.Full, "only %d MiB are free for %s; appends are refused below the reserve of %d MiB",
				u.AvailBytes>>20, s.dir, free>>20).After(10 * time.Second)
		}
	}
	if most := s.space.most.Load(); most > 0 {
		if used := int64(l.db.Metrics().DiskSpaceUsage()); used > most {
			return fault.New(fault.Full, "the store holds %d MiB; %d MiB are allowed", used>>20, most>>20).After(10 * time.Second)
		}
	}
	return nil
}
