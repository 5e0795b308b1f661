package disk

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/record/recordtest"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/core/stream/streamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faultyFS is a crashable file system whose log syncs can be held or made to fail.
type faultyFS struct {
	mem  *vfs.MemFS
	held chan struct{} // closed by release
	mu   sync.Mutex
	at   chan struct{} // closed when a sync is held
	fail atomic.Pointer[error]
	dead atomic.Bool // every change fails
}

func newFaultyFS(mem *vfs.MemFS) (*faultyFS, vfs.FS) {
	f := &faultyFS{mem: mem}
	return f, errorfs.Wrap(mem, errorfs.InjectorFunc(f.inject))
}

func (f *faultyFS) inject(op errorfs.Op) error {
	if f.dead.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
		f.wait()
		return errorfs.ErrInjected
	}
	if !strings.HasSuffix(op.Path, ".log") {
		return nil
	}
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		f.wait()
	case errorfs.OpFileWrite:
	default:
		return nil
	}
	if f.dead.Load() {
		return errorfs.ErrInjected
	}
	if e := f.fail.Swap(nil); e != nil {
		return *e
	}
	return nil
}

func (f *faultyFS) wait() {
	f.mu.Lock()
	held := f.held
	if held != nil && f.at != nil {
		close(f.at)
		f.at = nil
	}
	f.mu.Unlock()
	if held != nil {
		<-held
	}
}

func (f *faultyFS) hold() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held, f.at = make(chan struct{}), make(chan struct{})
	return f.at
}

func (f *faultyFS) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held != nil {
		close(f.held)
		f.held, f.at = nil, nil
	}
}

// openT opens a store with several committers, unless the test says how many: what one does is part of what several do.
func openT(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	if o.Shards == 0 {
		o.Shards = 4
	}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	streamtest.Run(t, func(t *testing.T, o streamtest.Options) streamtest.Harness { return newHarness(t, o) })
}

// newHarness runs a store on a crashable file system.
func newHarness(t *testing.T, o streamtest.Options) streamtest.Harness {
	faulty, fs := newFaultyFS(vfs.NewCrashableMem())
	opt := Options{Now: o.Now, Rules: o.Rules, Folds: o.Folds, SweepEvery: -1, FS: fs, MemTableBytes: 1 << 20,
		Events: Events{Failed: func(i FailedInfo) { t.Logf("failed: %v", i.Err) }}}
	s := openT(t, "data", opt)
	rng := rand.New(rand.NewPCG(1, 2))
	t.Cleanup(func() {
		faulty.release()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return streamtest.Harness{
		Store: s,
		Reopen: func() stream.Store {
			if err := s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			s = openT(t, "data", opt)
			return s
		},
		Crash: func() stream.Store {
			clone := faulty.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50 * rng.IntN(3), RNG: rng})
			faulty.dead.Store(true)
			faulty.release()
			s.Close() // fails: this process is dead
			faulty, opt.FS = newFaultyFS(clone)
			s = openT(t, "data", opt)
			return s
		},
		HoldSync:    func() <-chan struct{} { return faulty.hold() },
		ReleaseSync: func() { faulty.release() },
		FailSync:    func() { faulty.fail.Store(&errInjected) },
		Maintain:    func() error { return s.Maintain(context.Background()) },
		Forget: func(idle time.Duration) error {
			_, err := s.Forget(context.Background(), idle)
			return err
		},
	}
}

var errInjected error = errorfs.ErrInjected

func TestRecords(t *testing.T) {
	recordtest.Run(t, func(t *testing.T) recordtest.Harness {
		opt := Options{FS: vfs.NewMem(), SweepEvery: -1}
		s := openT(t, "data", opt)
		t.Cleanup(func() { s.Close() })
		return recordtest.Harness{Store: s, Reopen: func() record.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openT(t, "data", opt)
			return s
		}}
	})
}
