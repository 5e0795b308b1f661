package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func TestSecondOpenIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := openT(t, dir, Options{})
	_, err := Open(dir, Options{})
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("the second opening: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openT(t, dir, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBackupOfARunningStore(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := openT(t, filepath.Join(dir, "data"), Options{SweepEvery: -1})
	defer s.Close()
	refs := channels(30)
	heads := fill(t, s, refs, 10)
	if _, err := s.Put(ctx, "space", "key", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				s.Append(ctx, []stream.Op{creation(refs[0])})
			}
		}
	}()
	backup := filepath.Join(dir, "backup")
	if err := s.Checkpoint(backup); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-done
	if err := s.Checkpoint(backup); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a backup over a backup: %v", err)
	}
	rep, err := Verify(ctx, backup, Options{}, nil)
	if err != nil || len(rep.Problems) > 0 || rep.Streams != len(refs) {
		t.Fatalf("%+v, %v", rep, err)
	}
	to := filepath.Join(dir, "restored")
	epoch, err := Restore(ctx, backup, to, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := openT(t, to, Options{SweepEvery: -1})
	defer r.Close()
	if got := r.Info().Epoch; got != epoch || got == s.Info().Epoch {
		t.Errorf("epoch %s after %s, restore said %s", got, s.Info().Epoch, epoch)
	}
	for ref, head := range heads {
		was, _ := headOf(s, ref)
		b, err := headOf(r, ref)
		if err != nil || b.Head < head || b.Stream == was.Stream {
			t.Errorf("%v: %+v, %v; want a head of at least %d under a new id", ref, b, err, head)
		}
	}
	if rec, err := r.Get(ctx, "space", "key"); err != nil || string(rec.Value) != "value" {
		t.Errorf("%+v, %v", rec, err)
	}
	if _, err := Restore(ctx, backup, to, Options{}, nil); err == nil {
		t.Error("a restore over a store was not refused")
	}
}

func TestChannels(t *testing.T) {
	ctx := context.Background()
	s := openT(t, "data", Options{FS: vfs.NewMem(), SweepEvery: -1})
	defer s.Close()
	var refs []stream.Ref
	for _, app := range []string{"a", "b", "ab"} {
		for _, channel := range []string{"x", "xy", "y", "z"} {
			refs = append(refs, stream.Ref{App: app, Channel: channel}, stream.Ref{App: app, Channel: channel, Log: stream.Presence})
		}
	}
	fill(t, s, refs, 3)
	var got []string
	for after := ""; ; {
		page, err := s.Channels(ctx, "a", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			if l.Bounds.Head != 3 || l.Ref.App != "a" {
				t.Errorf("%+v", l)
			}
			got = append(got, l.Ref.Channel+"/"+l.Ref.Log.String())
			after = l.Ref.Channel
		}
	}
	want := "x/messages x/presence xy/messages xy/presence y/messages y/presence z/messages z/presence"
	if strings.Join(got, " ") != want {
		t.Errorf("got %v", got)
	}
}

func TestMarkVolatile(t *testing.T) {
	ctx := context.Background()
	s := openT(t, "data", Options{FS: vfs.NewMem(), SweepEvery: -1})
	defer s.Close()
	ref := channels(1)[0]
	fill(t, s, []stream.Ref{ref}, 3)
	before, _ := headOf(s, ref)
	for range 2 {
		if err := s.MarkVolatile(ctx, ref); err != nil {
			t.Fatal(err)
		}
		if b, err := headOf(s, ref); err != nil || b.Head != 4 || b.Floor != 4 || b.Stream == before.Stream {
			t.Fatalf("%+v, %v", b, err)
		}
	}
	fill(t, s, []stream.Ref{ref}, 1) // durable again: a new incarnation takes serial 5, its entry is 6
	if b, err := headOf(s, ref); err != nil || b.Head != 6 || b.Base != 5 {
		t.Fatalf("%+v, %v", b, err)
	}
}

// fullFS reports how much room there is as the test wants it.
type fullFS struct {
	vfs.FS
	free uint64
}

func (f *fullFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.free, TotalBytes: 1 << 40}, nil
}

func TestReserve(t *testing.T) {
	fs := &fullFS{FS: vfs.NewMem(), free: 1 << 30}
	s := openT(t, "data", Options{FS: fs, SweepEvery: -1})
	defer s.Close()
	ref := channels(1)[0]
	fill(t, s, []stream.Ref{ref}, 3)
	fs.free = 100 << 20
	s.space.next.Store(0) // a second has passed
	_, err := s.Append(context.Background(), []stream.Op{creation(ref)})
	if fault.KindOf(err) != fault.Full {
		t.Errorf("an append below the reserve: %v", err)
	}
	if b, err := headOf(s, ref); err != nil || b.Head != 3 {
		t.Errorf("reading below the reserve: %+v, %v", b, err)
	}
	if _, err := s.Cut(context.Background(), stream.Cut{Ref: ref, Kind: stream.Trim, Through: 2}); err != nil {
		t.Errorf("trimming below the reserve: %v", err)
	}
	fs.free = 1 << 30
	s.space.next.Store(0)
	fill(t, s, []stream.Ref{ref}, 1)
}

func TestVerifyFindsWhatIsMissing(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	s := openT(t, "data", Options{FS: fs, SweepEvery: -1})
	refs := channels(3)
	fill(t, s, refs, 10)
	if _, err := Verify(ctx, "data", Options{FS: fs}, nil); err == nil {
		t.Error("a store that is open was verified")
	}
	l := s.life.Load()
	st, err := l.pin(refs[1])
	if err != nil {
		t.Fatal(err)
	}
	num := st.vis.Load().num
	l.unpin(st)
	if err := l.db.Delete(entryKey(nil, num, 4), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := headOf(s, refs[1]); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("reading a log with a hole: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rep, err := Verify(ctx, "data", Options{FS: fs}, nil)
	if err != nil || len(rep.Problems) != 1 || rep.Problems[0].Where != refs[1].String() {
		t.Errorf("%+v, %v", rep, err)
	}
}

// The due queue trims streams that nobody touches, and forgets them after a month.
func TestQuietStreams(t *testing.T) {
	ctx := context.Background()
	now := int64(1_700_000_000_000)
	s := openT(t, "data", Options{FS: vfs.NewMem(), SweepEvery: -1, Now: func() int64 { return now },
		Rules: func(stream.Ref) stream.Rules { return stream.Rules{Retention: stream.Retention{Age: time.Hour}} }})
	defer s.Close()
	refs := channels(500)
	fill(t, s, refs, 2)
	before, _ := headOf(s, refs[0])
	now += 65 * time.Minute.Milliseconds()
	if err := s.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		if b, err := headOf(s, ref); err != nil || b.Floor != 2 || b.Head != 2 {
			t.Fatalf("%v after its age: %+v, %v", ref, b, err)
		}
	}
	now += 31 * 24 * time.Hour.Milliseconds()
	if err := s.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Channels(ctx, "app", "", 1000); err != nil || len(all) > 0 {
		t.Fatalf("%d streams are not forgotten, %v", len(all), err)
	}
	if b, err := headOf(s, refs[0]); err != nil || b.Head != 0 || b.Stream == before.Stream || b.Born == 0 {
		t.Fatalf("a forgotten stream: %+v, %v", b, err)
	}
}

// A disk that is full refuses writes: what was answered before stays, nothing wrong is read, and appends go on when
// there is room again.
func TestDiskFull(t *testing.T) {
	ctx := context.Background()
	var full atomic.Bool
	var refs = channels(8)
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpFilePreallocate) {
			return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
		}
		return nil
	}))
	reopened := make(chan struct{}, 100)
	s := openT(t, "data", Options{FS: fs, SweepEvery: -1, MemTableBytes: 128 << 10,
		Events: Events{Reopened: func(ReopenedInfo) { reopened <- struct{}{} }}})
	defer s.Close()
	for range 3 {
		heads := fill(t, s, refs, 20)
		full.Store(true)
		for ref := range heads {
			r, err := s.Append(ctx, []stream.Op{creation(ref)})
			switch {
			case err != nil && fault.KindOf(err) != fault.Unavailable && fault.KindOf(err) != fault.Full:
				t.Errorf("on a full disk: %v", err)
			case err == nil && r[0].Outcome != stream.Unknown:
				t.Errorf("on a full disk: %+v", r[0])
			}
			if b, err := headOf(s, ref); err == nil && b.Head != heads[ref] {
				t.Errorf("on a full disk the head %d is %d", heads[ref], b.Head)
			} else if err != nil && fault.KindOf(err) != fault.Unavailable {
				t.Errorf("reading on a full disk: %v", err)
			}
		}
		full.Store(false)
		<-reopened
		for ref, head := range heads {
			if b, err := headOf(s, ref); err != nil || b.Head < head || b.Head > head+1 {
				t.Errorf("with room again: %+v, %v; want a head of %d or one more", b, err, head)
			}
		}
	}
}
