package bench

import (
	"context"
	"os"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/hist"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
)

// Disk is the yardstick for durable publishing: what one small append with an fsync behind it costs on the disk that
// holds a folder, with nothing but the file system in between.
type Disk struct {
	Folder   string
	Size     int // bytes of an append
	Duration time.Duration
}

// Run measures it.
func (d Disk) Run(ctx context.Context) (report.Result, error) {
	r := report.Result{Target: "disk", Case: "append and fsync", Protocol: "file system"}
	r.Set("payload", d.Size)
	if err := positive(d.Size, int(d.Duration)); err != nil {
		return r, err
	}
	f, err := os.CreateTemp(d.Folder, "bench-*.tmp")
	if err != nil {
		return r, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var h hist.Histogram
	b := make([]byte, d.Size)
	for end := time.Now().Add(d.Duration); time.Now().Before(end) && ctx.Err() == nil; {
		start := time.Now()
		if _, err := f.Write(b); err != nil {
			return r, err
		}
		if err := f.Sync(); err != nil {
			return r, err
		}
		h.Record(time.Since(start))
	}
	r.Add("fsyncs per second", float64(h.Count())/d.Duration.Seconds(), "/s", report.More)
	r.Latency("append and fsync", &h)
	return r, ctx.Err()
}
