package disk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

func TestRepair(t *testing.T) {
	ctx := context.Background()
	src := filepath.Join(t.TempDir(), "data")
	s := openT(t, src, Options{SweepEvery: -1})
	refs := channels(20)
	fill(t, s, refs, 20)
	for i := range 10 {
		op := stream.Op{Ref: refs[0], Entry: stream.Entry{Kind: stream.Put, Key: fmt.Sprint("key ", i)}}
		if _, err := s.Append(ctx, []stream.Op{op}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Put(ctx, "space", "key", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.life.Load().db.Flush(); err != nil {
		t.Fatal(err)
	}
	heads := fill(t, s, refs, 20)
	crashed := copyDir(t, src)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		damage func(dir string)
		whole  bool
	}{
		{"nothing", func(string) {}, true},
		{"FORMAT", func(dir string) { flip(t, filepath.Join(dir, formatFile), 3) }, true},
		{"manifest", func(dir string) { flip(t, one(t, dir, "MANIFEST-*"), 20) }, true},
		{"manifest gone", func(dir string) { remove(t, one(t, dir, "MANIFEST-*")) }, true},
		{"marker gone", func(dir string) { remove(t, one(t, dir, "marker.manifest*")) }, true},
		{"options", func(dir string) { flip(t, one(t, dir, "OPTIONS-*"), 40) }, true},
		{"a block of a table", func(dir string) { flip(t, one(t, dir, "*.sst"), 9000) }, false},
		{"the end of a table", func(dir string) { f := one(t, dir, "*.sst"); flip(t, f, size(t, f)-5) }, false},
		{"the table gone", func(dir string) { remove(t, one(t, dir, "*.sst")) }, false},
		{"the log", func(dir string) { flip(t, one(t, dir, "*.log"), 9000) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := copyDir(t, crashed)
			tt.damage(dir)
			to := filepath.Join(t.TempDir(), "repaired")
			rep, err := Repair(ctx, dir, to, Options{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if found, err := Verify(ctx, to, Options{}, nil); err != nil || len(found.Problems) > 0 {
				t.Fatalf("the repaired store: %+v, %v", found, err)
			}
			r := openT(t, to, Options{SweepEvery: -1})
			defer r.Close()
			if r.Info().Epoch != rep.Epoch {
				t.Errorf("epoch %s, the report says %s", r.Info().Epoch, rep.Epoch)
			}
			for ref, head := range heads {
				b, err := headOf(r, ref)
				if err != nil {
					t.Errorf("%v: %v", ref, err)
				} else if tt.whole && (b.Head != head || b.Floor != 0) {
					t.Errorf("%v: (%d, %d] of (0, %d]", ref, b.Floor, b.Head, head)
				}
			}
			if tt.whole {
				if b, _ := headOf(r, refs[0]); b.Keys != 10 || rep.Cut+rep.Lost > 0 {
					t.Errorf("%d of 10 keys, %+v", b.Keys, rep)
				}
				if rec, err := r.Get(ctx, "space", "key"); err != nil || string(rec.Value) != "value" {
					t.Errorf("%+v, %v", rec, err)
				}
			} else if len(rep.Problems) == 0 && !strings.HasSuffix(tt.name, "gone") {
				t.Errorf("nothing was reported: %+v", rep)
			}
			fill(t, r, refs, 1)
		})
	}
}

func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, storeDir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return names[len(names)-1]
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
