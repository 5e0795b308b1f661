// Package release checks that a release can be made again: the same source gives the same bytes, wherever it lies.
package release

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestReproducible(t *testing.T) {
	var sums [2][sha256.Size]byte
	for i := range sums {
		dir := t.TempDir()
		// Another path to the same source: what -trimpath must not let through.
		src := filepath.Join(dir, "src")
		if err := os.Symlink(absolute(t, "../.."), src); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "continuo")
		build := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", out, "./cmd/continuo")
		build.Dir = src
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "PWD="+src)
		if said, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, said)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(b)
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds of the same source differ: %x and %x", sums[0], sums[1])
	}
}

func absolute(t *testing.T, path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
