// Package memory keeps logs and small records in memory: the reference for every other engine, and the store of
// channels that need no durability.
//
// It has the same two heads as an engine with a disk: an append is allotted at once and becomes visible when its batch
// was synced. What "synced" means is a function in Options, so that a test can hold it open, make it fail, or crash the
// store with batches in flight.
//
//	Append ─ decide (allotted) ─▶ queue ─ one committer: Sync ─▶ apply (visible) ─▶ watchers, retention
package memory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

var (
	_ stream.Store = (*Store)(nil)
	_ record.Store = (*Store)(nil)
)

// Options configure a store. Now is required; every other field may be zero.
type Options struct {
	Epoch string // 32 hex digits, one per store generation; random if empty
	Boot  string // names this process: ids of volatile streams are made from it; random if empty
	// Now is the wall clock in unix ms.
	Now func() int64
	// Rules answers for a stream's policy; nil: sync and the default retention. It must not call the store.
	Rules func(stream.Ref) stream.Rules
	// Folds make state rows and checkpoints. A log without one keeps none.
	Folds map[stream.Log]stream.Fold
	// Volatile stores promise nothing beyond the process: their stream ids are made from Boot.
	Volatile bool
	// MaxBytes refuses appends (Full) while the retained entries are larger; 0 = unlimited.
	MaxBytes uint64

	// Sync makes what was allotted stable: appends become visible when it returns nil. It is called by one goroutine at
	// a time. An error is a failed sync. nil: at once.
	Sync func() error
	// Survive says how many of n batches that were never synced are found after a crash or a failed sync; nil: none.
	Survive func(n int) int
	// Admit refuses an Append before anything is decided, with a fault or as Unavailable; nil: never.
	Admit func() error
	// Readable fails reads in the same way; nil: never.
	Readable func() error
	// Report is told what went wrong where no caller waits; nil: nobody.
	Report func(error)
}

// Store keeps logs and records in memory. Make one with New.
type Store struct {
	o     Options
	epoch string
	boot  string
	born  int64 // when this process began

	mu       sync.RWMutex
	logs     map[stream.Ref]*log
	forget   uint64 // the store's forget number
	forgotAt int64  // when it was last raised
	bytes    uint64 // of all retained entries
	due      dueQueue
	seq      uint64 // of the newest unit
	queue    []*unit
	inflight []*unit
	busy     bool // a committer runs
	idle     *sync.Cond
	closed   bool

	touched []trimDue // logs that retention has to trim
	seqDue  uint64

	watchers []*watcher
	notices  []stream.Advance
	draining bool

	records *records
}

// New makes an empty store. It panics without a clock: a store that guesses the time is of no use to anybody.
func New(o Options) *Store {
	if o.Now == nil {
		panic("memory: Options.Now is required")
	}
	if o.Epoch == "" {
		o.Epoch = random()
	}
	if o.Boot == "" {
		o.Boot = random()
	}
	if o.Rules == nil {
		o.Rules = func(stream.Ref) stream.Rules { return stream.Rules{Retention: stream.DefaultRetention()} }
	}
	s := &Store{o: o, epoch: o.Epoch, boot: o.Boot, born: o.Now(), logs: map[stream.Ref]*log{}, records: newRecords()}
	s.idle = sync.NewCond(&s.mu)
	return s
}

func random() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Info says what the store is.
func (s *Store) Info() stream.Info {
	return stream.Info{Name: "memory", Epoch: s.epoch,
		Note: "everything is kept in memory and is gone when the process ends"}
}

// Close refuses all later calls and waits for what was allotted.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for s.busy || len(s.queue) > 0 {
		if s.busy {
			s.idle.Wait()
			continue
		}
		s.mu.Unlock()
		s.turn()
		s.mu.Lock()
	}
	return nil
}

// Reopen ends this store in an orderly way and returns the next process's store over the same data.
func (s *Store) Reopen() *Store {
	_ = s.Close()
	return s.next(s.o.Volatile)
}

// Crash ends this store as the death of its process would, and returns the next process's store: what was not synced is
// gone but for the batches that Options.Survive grants. Callers that wait get Unknown.
func (s *Store) Crash() *Store {
	s.mu.Lock()
	s.closed = true
	s.lose(fault.New(fault.Unknown, "the store ended before the write was stable"))
	s.mu.Unlock()
	return s.next(s.o.Volatile)
}

func (s *Store) next(volatile bool) *Store {
	o := s.o
	sum := sha256.Sum256([]byte(s.boot))
	o.Boot = hex.EncodeToString(sum[:16])
	n := New(o)
	if volatile {
		n.epoch = o.Boot
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n.forget, n.forgotAt, n.records = s.forget, s.forgotAt, s.records
	for ref, l := range s.logs {
		if l.meta.Class != stream.Volatile {
			n.logs[ref] = l
			n.bytes += l.meta.HeadCum - l.meta.FloorCum
			l.queued = false
			n.scheduleAt(l, n.born)
		}
	}
	s.logs, s.records = map[stream.Ref]*log{}, newRecords()
	return n
}

// ready reports why the store cannot be used now. The caller holds mu.
func (s *Store) ready(ctx context.Context) error {
	if s.closed {
		return fault.New(fault.Unavailable, "the store is closed")
	}
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Unavailable, "the caller gave up: %w", err)
	}
	return nil
}

// orUnavailable passes faults on; other errors become Unavailable.
func orUnavailable(err error, what string) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return fault.New(fault.Unavailable, "%s: %w", what, err)
}

// read calls f with the log while it may be read, nil for a channel without a row; absent are the bounds of such a one.
func (s *Store) read(ctx context.Context, ref stream.Ref, f func(l *log, absent stream.Bounds) error) error {
	if s.o.Readable != nil {
		if err := s.o.Readable(); err != nil {
			return orUnavailable(err, "the log cannot be read now")
		}
	}
	var class stream.Durability
	for asked := false; ; asked = true {
		s.mu.RLock()
		if err := s.ready(ctx); err != nil {
			s.mu.RUnlock()
			return err
		}
		l := s.logs[ref]
		if l != nil && l.meta.Head > 0 {
			defer s.mu.RUnlock()
			return f(l, stream.Bounds{})
		}
		if asked {
			defer s.mu.RUnlock()
			m := s.absent(class)
			return f(nil, s.bounds(&m, s.id(ref, &m)))
		}
		s.mu.RUnlock()
		class = s.o.Rules(ref).Durability // not under the lock
	}
}

// id is the stream id of an incarnation.
func (s *Store) id(ref stream.Ref, m *stream.Meta) stream.ID {
	epoch := s.epoch
	if s.o.Volatile || m.Class == stream.Volatile {
		epoch = s.boot
	}
	return stream.DeriveID(epoch, ref, m.Incarnation)
}

// absent is the meta that a channel without a row has.
func (s *Store) absent(class stream.Durability) stream.Meta {
	return stream.Meta{Incarnation: stream.Incarnation{Forget: s.forget}, Born: s.forgotAt, Class: class}
}

// bounds are the visible bounds of a log. The caller holds mu.
func (s *Store) bounds(m *stream.Meta, id stream.ID) stream.Bounds {
	b := m.Bounds(id)
	if s.o.Volatile || m.Class == stream.Volatile {
		b.Born = max(b.Born, s.born)
	}
	return b
}
