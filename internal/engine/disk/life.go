package disk

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// life is one opening of pebble, from open to failure or close.
type life struct {
	store  *Store
	opt    *Options
	db     *pebble.DB
	blocks *pebble.Cache
	fence  *fence
	shards []*shard
	epoch  string
	forgot atomic.Pointer[forgot]
	number numbers

	// readers hold use while they read from db; the closer takes it.
	use       sync.RWMutex
	ended     atomic.Bool // failed or closing: nothing new begins
	over      atomic.Bool // end was called
	failure   atomic.Pointer[error]
	opened    atomic.Bool
	openFails atomic.Int32 // flushes that failed while pebble opened
	openErr   atomic.Pointer[error]
	stuck     atomic.Bool // pebble panicked with locks held: it cannot be closed
	workers   sync.WaitGroup
	tasks     tasks
	noSpace   atomic.Bool // pebble could not write a table for want of space
}

// forgot is the store's forget number and when it was raised.
type forgot struct {
	number uint64
	at     int64
}

func (l *life) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          l.fence,
		Cache:                       l.blocks,
		Comparer:                    comparer,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                l.opt.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		MaxOpenFiles:                512,
		Logger:                      logger{l},
	}
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	// Pebble takes the entries of a stream for versions of one key and would move all values but the newest elsewhere.
	o.Experimental.SpanPolicyFunc = func([]byte) (pebble.SpanPolicy, []byte, error) {
		return pebble.SpanPolicy{DisableValueSeparationBySuffix: true}, nil, nil
	}
	o.EventListener = &pebble.EventListener{
		BackgroundError: l.backgroundError,
		FlushEnd: func(i pebble.FlushInfo) {
			if i.Err == nil {
				l.noSpace.Store(false)
			}
		},
	}
	return o
}

// patience is how often pebble may fail to write a table before an opening is given up.
const patience = 3

// backgroundError hears of flushes and compactions that failed. Pebble tries them again at once, for ever: also while it
// opens, which then would not end.
func (l *life) backgroundError(err error) {
	err = plain(err)
	if noSpace(err) {
		l.noSpace.Store(true)
	}
	l.opt.Events.err("compaction or flush", err)
	if !l.opened.Load() {
		if l.openFails.Add(1) >= patience {
			l.changeFailed(err)
			l.fence.raise()
		}
		return
	}
	time.Sleep(10 * time.Millisecond)
}

// changeFailed ends the life, or the attempt to open it.
func (l *life) changeFailed(err error) {
	if !l.opened.Load() {
		l.openErr.CompareAndSwap(nil, &err)
		return
	}
	l.fail(err)
}

// logger receives pebble's complaints. Pebble's fatal errors end the life, not the process: the fence keeps what
// pebble does after them from the files.
type logger struct{ l *life }

func (logger) Infof(string, ...any) {}

func (g logger) Errorf(format string, args ...any) {
	g.l.opt.Events.err("pebble", fmt.Errorf(format, args...))
}

func (g logger) Fatalf(format string, args ...any) {
	g.l.changeFailed(fmt.Errorf(format, args...))
}

// get reads one row. closer is nil when there is none.
func (l *life) get(key []byte) (v []byte, closer io.Closer, err error) { return l.getFrom(l.db, key) }

func (l *life) getFrom(src pebble.Reader, key []byte) (v []byte, closer io.Closer, err error) {
	v, closer, err = src.Get(key)
	switch {
	case err == nil:
		return v, closer, nil
	case errors.Is(err, pebble.ErrNotFound):
		return nil, nil, nil
	}
	return nil, nil, l.readError(err)
}

// readError is what a failed read is for whoever asked. What failed goes to the events: clients learn no paths.
func (l *life) readError(err error) error {
	if err == nil {
		return nil
	}
	err = plain(err)
	l.opt.Events.err("read", err)
	return &fault.Error{Kind: fault.Unavailable, Msg: "the store cannot be read", Err: err}
}

// corrupt is the error for rows that are not what was written. It is an Unavailable fault for clients: nothing is
// guessed.
func (l *life) corrupt(what string, err error) error {
	err = fmt.Errorf("%s: %w; stop the server and run: continuo store verify", what, err)
	l.opt.Events.err("corrupt row", err)
	return &fault.Error{Kind: fault.Unavailable, Msg: "the store cannot be read", Err: err}
}

// damage is an error of pebble that says which file is damaged.
type damage struct {
	file string
	msg  string
	err  error
}

func (d *damage) Error() string { return d.file + ": " + d.msg }
func (d *damage) Unwrap() error { return d.err }

// plain gives pebble's errors about damaged files one line and the file's name.
func plain(err error) error {
	info := pebble.ExtractDataCorruptionInfo(err)
	if info == nil {
		return err
	}
	msg, _, _ := strings.Cut(info.Details.Error(), "\n")
	return &damage{file: info.Path, msg: msg, err: err}
}

// acquire lets db be used until release. It fails once the life has ended.
func (l *life) acquire() error {
	if l == nil || l.ended.Load() || !l.use.TryRLock() {
		return errClosed
	}
	if l.ended.Load() {
		l.use.RUnlock()
		return errClosed
	}
	return nil
}

func (l *life) release() { l.use.RUnlock() }

var errClosed = fault.New(fault.Unavailable, "the store is closed or being reopened; try again").After(time.Second)

// fail ends the life after a failed write or sync: nothing in memory can be trusted any more. What is in flight has an
// unknown outcome. The store opens the next life in the background.
func (l *life) fail(err error) {
	if !l.failure.CompareAndSwap(nil, &err) {
		return
	}
	l.ended.Store(true)
	l.store.revive.Add(1)
	go l.store.replace(l)
}

// end stops the shards, waits until nobody uses db and closes it.
func (l *life) end(failed bool) (touched []*strm) {
	if !l.over.CompareAndSwap(false, true) {
		return nil
	}
	l.ended.Store(true)
	l.tasks.close()
	for _, sh := range l.shards {
		touched = append(touched, sh.end(failed)...)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		l.workers.Wait()
		l.use.Lock()
		l.closeDB()
	}()
	if !failed {
		<-closed
		return touched
	}
	// A pebble that hangs after a failure is left behind, fenced off.
	wait := time.NewTimer(5 * time.Second)
	defer wait.Stop()
	select {
	case <-closed:
	case <-wait.C:
	}
	return touched
}

func (l *life) closeDB() {
	defer func() {
		if p := recover(); p != nil {
			l.opt.Events.err("close", fmt.Errorf("pebble: %v", p))
		}
	}()
	defer l.blocks.Unref()
	if l.stuck.Load() {
		return
	}
	if err := l.db.Close(); err != nil && l.failure.Load() == nil {
		l.opt.Events.err("close", err)
	}
}
