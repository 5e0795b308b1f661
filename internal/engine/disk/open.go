package disk

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Open opens the store in a folder, or makes one there if the folder holds none. It refuses a folder that another
// process has open and one whose files are damaged, and says what to do.
func Open(dir string, opt Options) (*Store, error) {
	s := &Store{dir: dir, opt: opt.withDefaults(), closing: make(chan struct{})}
	s.SetLimits(s.opt.FreeReserve, s.opt.MaxBytes)
	fresh, err := s.claim()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.begin(fresh)
	if err != nil {
		return nil, errors.Join(err, s.unclaim())
	}
	if fresh {
		if err := s.writeFormat(); err != nil {
			l.end(false)
			return nil, errors.Join(err, s.unclaim())
		}
	}
	s.life.Store(l)
	return s, nil
}

// begin opens pebble and starts a life on it.
func (s *Store) begin(fresh bool) (*life, error) {
	if !fresh {
		if err := s.inspect(); err != nil {
			return nil, err
		}
	}
	l := s.newLife()
	if err := l.open(fresh); err != nil {
		l.blocks.Unref()
		return nil, s.explain(err)
	}
	for range s.opt.Shards {
		l.shards = append(l.shards, newShard(l))
	}
	for _, sh := range l.shards {
		sh.start()
	}
	l.tasks.start(l)
	return l, nil
}

func (s *Store) newLife() *life {
	l := &life{store: s, opt: &s.opt, blocks: pebble.NewCache(s.opt.CacheBytes)}
	l.fence = newFence(s.opt.FS, s.path(), l.changeFailed)
	return l
}

// open opens pebble, which brings everything that its log holds into tables, and reads the facts. It is given up when
// that cannot be written, or when the store is closed.
func (l *life) open(fresh bool) error {
	o := l.pebbleOptions()
	o.ErrorIfNotExists = !fresh
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-l.store.closing:
			l.openErr.CompareAndSwap(nil, &errStopped)
			l.fence.raise()
		case <-done:
		}
	})
	db, err := pebble.Open(l.store.path(), o)
	close(done)
	watch.Wait()
	if err == nil {
		l.db = db
		err = l.facts(fresh)
	}
	l.opened.Store(true) // from here on a failure ends the life
	if e := l.openErr.Load(); e != nil {
		err = *e
	}
	if err != nil && db != nil {
		db.Close()
	}
	return err
}

var errStopped error = errors.New("the store was closed")

var (
	epochKey  = storeKey("epoch")
	forgetKey = storeKey("forget")
)

// facts reads what the store says about itself, or writes it for a new one.
func (l *life) facts(fresh bool) error {
	l.forgot.Store(&forgot{})
	if fresh {
		if err := l.db.Set(epochKey, []byte(newEpoch()), pebble.Sync); err != nil {
			return err
		}
	}
	v, ok, err := l.fact(epochKey)
	if err != nil {
		return err
	}
	if raw, err := hex.DecodeString(string(v)); !ok || err != nil || len(raw) != 16 {
		return errors.New("the store has no epoch: it was not made by this program, or rows are missing")
	}
	l.epoch = string(v)
	if v, ok, err = l.fact(forgetKey); err != nil {
		return err
	} else if ok && len(v) == 16 {
		l.forgot.Store(&forgot{binary.BigEndian.Uint64(v), int64(binary.BigEndian.Uint64(v[8:]))})
	}
	if v, ok, err = l.fact(numbersKey); err != nil {
		return err
	} else if ok && len(v) == 9 {
		n := binary.BigEndian.Uint64(v[1:])
		l.number.upto, l.number.end = n, n
	} else {
		l.number.upto, l.number.end = 1, 1
	}
	return nil
}

func (l *life) fact(key []byte) (v []byte, ok bool, err error) {
	v, closer, err := l.get(key)
	if err != nil || closer == nil {
		return nil, false, err
	}
	defer closer.Close()
	return append([]byte(nil), v...), true, nil
}

func newEpoch() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// replace ends a failed life and opens the next one, trying again with growing pauses until it succeeds or the store
// is closed.
func (s *Store) replace(old *life) {
	defer s.revive.Done()
	old.opt.Events.failed(FailedInfo{Err: *old.failure.Load()})
	start := time.Now()
	old.fence.raise()
	for _, sh := range old.shards {
		sh.abandon()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() || s.life.Load() != old {
		return
	}
	touched := append(old.tasks.left(), old.end(true)...)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		l, err := s.begin(false)
		if err == nil {
			s.announce(l, touched)
			s.life.Store(l)
			l.recheck(touched)
			s.opt.Events.reopened(ReopenedInfo{Closed: time.Since(start)})
			return
		}
		s.opt.Events.err("reopen", err)
		select {
		case <-s.closing:
			return
		case <-time.After(pause):
		}
	}
}

// announce tells the watchers which heads were moved by appends whose outcome was unknown.
func (s *Store) announce(l *life, touched []*strm) {
	seen := map[stream.Ref]bool{}
	for _, st := range touched {
		if seen[st.ref] {
			continue
		}
		seen[st.ref] = true
		now, err := l.loadRow(st.ref, st.name)
		if err != nil {
			continue // whoever reads the stream is told
		}
		if was := st.vis.Load(); was == nil || was.Head != now.Head || was.Floor != now.Floor {
			s.watchers.tell(stream.Advance{Ref: st.ref, Bounds: now.bounds()})
		}
	}
}

// recheck trims what the life before was about to trim.
func (l *life) recheck(touched []*strm) {
	for _, old := range touched {
		if st, err := l.pin(old.ref); err == nil {
			l.tasks.add(l, task{s: st})
			l.unpin(st)
		}
	}
}

// Close ends the store: what was accepted is made stable and answered, what comes later is refused.
func (s *Store) Close() error {
	if !s.closed.CompareAndSwap(false, true) {
		return nil
	}
	close(s.closing)
	s.mu.Lock()
	l := s.life.Load()
	l.end(l.failure.Load() != nil)
	s.mu.Unlock()
	s.revive.Wait()
	return s.unclaim()
}

// NewEpoch gives the store a new epoch, and so every stream a new id: for a store that was restored or repaired. It
// takes effect when the store is opened next.
func (s *Store) NewEpoch() (string, error) {
	l, err := s.use()
	if err != nil {
		return "", err
	}
	defer l.release()
	epoch := newEpoch()
	if err := l.db.Set(epochKey, []byte(epoch), pebble.Sync); err != nil {
		l.fail(err)
		return "", fault.New(fault.Unknown, "the epoch could not be written: %w", err)
	}
	return epoch, nil
}
