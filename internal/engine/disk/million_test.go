package disk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// BenchmarkMillionStreams writes a million streams once, kills the store's process in effect (its folder is copied
// while it is open), and opens the copy. It reports the resident memory while writing and after opening, the time of the
// opening, and that of the first read of a cold stream. Run it alone, with -benchtime 1x.
func BenchmarkMillionStreams(b *testing.B) {
	const streams = 1_000_000
	for range b.N {
		dir := filepath.Join(b.TempDir(), "data")
		s := openT(b, dir, Options{})
		start := time.Now()
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				for i := w * 100; i < streams; i += 1600 {
					ops := make([]stream.Op, 0, 100)
					for n := i; n < min(i+100, streams); n++ {
						ops = append(ops, creation(stream.Ref{App: "app", Channel: fmt.Sprintf("channel-%d", n)}))
					}
					if _, err := s.Append(context.Background(), ops); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		b.ReportMetric(time.Since(start).Seconds(), "write-s")
		b.ReportMetric(resident(b), "RSS-MB-written")
		crashed := filepath.Join(b.TempDir(), "data")
		if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		debug.FreeOSMemory()
		start = time.Now()
		s = openT(b, crashed, Options{})
		b.ReportMetric(time.Since(start).Seconds(), "open-s")
		start = time.Now()
		p, err := s.Read(context.Background(), stream.Query{Ref: stream.Ref{App: "app", Channel: "channel-777777"}, Limit: 10})
		if err != nil || len(p.Entries) != 1 {
			b.Fatalf("%+v, %v", p, err)
		}
		b.ReportMetric(float64(time.Since(start).Microseconds()), "first-read-µs")
		b.ReportMetric(resident(b), "RSS-MB-opened")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// resident is the process's resident memory in MB.
func resident(b *testing.B) float64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	return 0
}
