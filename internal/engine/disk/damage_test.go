package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// fill appends n entries to each of some channels and returns what was answered.
func fill(t testing.TB, s *Store, refs []stream.Ref, n int) map[stream.Ref]uint64 {
	t.Helper()
	heads := map[stream.Ref]uint64{}
	for range n {
		for _, ref := range refs {
			r, err := s.Append(context.Background(), []stream.Op{creation(ref)})
			if err != nil || r[0].Outcome != stream.Applied {
				t.Fatalf("%v %v", r, err)
			}
			heads[ref] = r[0].Entry.Serial
		}
	}
	return heads
}

func headOf(s *Store, ref stream.Ref) (stream.Bounds, error) {
	p, err := s.Read(context.Background(), stream.Query{Ref: ref, Limit: 1 << 20})
	if err == nil && uint64(len(p.Entries)) != p.Bounds.Retained() {
		err = fmt.Errorf("%d entries in %+v", len(p.Entries), p.Bounds)
	}
	return p.Bounds, err
}

// copyDir copies a store as kill -9 leaves it.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(filepath.Join(to, "data"), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(to, "data")
}

// A byte flipped in any kind of file, or the file gone, must be reported by name or do no harm. Never may a stream come
// back shorter.
func TestDamage(t *testing.T) {
	src := filepath.Join(t.TempDir(), "data")
	s := openT(t, src, Options{})
	fill(t, s, channels(20), 20)
	if err := s.life.Load().db.Flush(); err != nil {
		t.Fatal(err)
	}
	heads := fill(t, s, channels(20), 20)
	crashed := copyDir(t, src)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(crashed, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(crashed, formatFile), filepath.Join(crashed, manifestNote), filepath.Join(crashed, logNote))
	for _, f := range files {
		rel, err := filepath.Rel(crashed, f)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(rel, "LOCK") || strings.Contains(rel, "temporary") {
			continue
		}
		for _, at := range []int64{0, 4, info.Size() / 3, info.Size() / 2, info.Size() - 1} {
			if at >= 0 && at < info.Size() && !unwritten(rel, at) {
				t.Run(fmt.Sprintf("%s/byte %d", rel, at), func(t *testing.T) {
					dir := copyDir(t, crashed)
					flip(t, filepath.Join(dir, rel), at)
					judge(t, dir, heads)
				})
			}
		}
		t.Run(rel+"/gone", func(t *testing.T) {
			dir := copyDir(t, crashed)
			if err := os.Remove(filepath.Join(dir, rel)); err != nil {
				t.Fatal(err)
			}
			judge(t, dir, heads)
		})
	}
}

// unwritten says whether a position lies in the part of a log that was only preallocated.
func unwritten(rel string, at int64) bool { return strings.HasSuffix(rel, ".log") && at > 64<<10 }

func flip(t *testing.T, file string, at int64) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 0x41
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func judge(t *testing.T, dir string, heads map[stream.Ref]uint64) {
	t.Helper()
	s, err := Open(dir, Options{SweepEvery: -1})
	if err != nil {
		var c *CorruptError
		if !errors.As(err, &c) || c.File == "" || !strings.Contains(err.Error(), "continuo store repair") {
			t.Errorf("refused without saying which file and what to do: %v", err)
		}
		return
	}
	defer s.Close()
	for ref, head := range heads {
		b, err := headOf(s, ref)
		switch {
		case err != nil && fault.KindOf(err) != fault.Unavailable:
			t.Errorf("%v: %v", ref, err)
		case err == nil && b.Head != head:
			t.Errorf("%v came back with head %d of %d", ref, b.Head, head)
		}
	}
}
