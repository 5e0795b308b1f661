package hist

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestBucketsAreContiguous(t *testing.T) {
	for i := range buckets - 1 {
		if index(uint64(upper(i))) != i {
			t.Fatalf("upper(%d) = %d is in bucket %d", i, upper(i), index(uint64(upper(i))))
		}
		if index(uint64(upper(i))+1) != i+1 {
			t.Fatalf("the value after upper(%d) is in bucket %d", i, index(uint64(upper(i))+1))
		}
	}
}

func TestQuantileAgainstSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, scale := range []float64{100, 1e5, 1e8} {
		var h Histogram
		all := make([]int64, 10_000)
		for i := range all {
			all[i] = int64(rng.ExpFloat64() * scale)
			h.Record(time.Duration(all[i]))
		}
		slices.Sort(all)
		for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
			exact := all[max(int(q*float64(len(all))+0.9999999)-1, 0)]
			got := int64(h.Quantile(q))
			if got < exact || float64(got) > float64(exact)*1.017+1 {
				t.Errorf("scale %g, quantile %g: %d, exact %d", scale, q, got, exact)
			}
		}
		if int64(h.Max()) != all[len(all)-1] || h.Count() != uint64(len(all)) {
			t.Errorf("max %d count %d", h.Max(), h.Count())
		}
	}
}

func TestEdges(t *testing.T) {
	var h Histogram
	if h.Quantile(0.99) != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Error("an empty histogram must answer zero")
	}
	h.Record(-time.Second)
	h.Record(100 * time.Hour)
	if h.Quantile(0.5) != 0 {
		t.Errorf("a negative sample must count as zero, got %v", h.Quantile(0.5))
	}
	if h.Quantile(1) > h.Max() || h.Max() != 100*time.Hour {
		t.Errorf("quantile %v max %v", h.Quantile(1), h.Max())
	}
	h.Reset()
	if h.Count() != 0 || h.Quantile(1) != 0 {
		t.Error("reset must empty it")
	}
}

func TestRecordOverlaps(t *testing.T) {
	var h Histogram
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				h.Record(time.Duration(w*1000 + i))
			}
		})
	}
	wg.Wait()
	if h.Count() != 8000 || h.Max() != 7999 || h.Mean() != 3999 {
		t.Errorf("count %d max %d mean %d", h.Count(), h.Max(), h.Mean())
	}
}

func BenchmarkRecord(b *testing.B) {
	var h Histogram
	for i := 0; b.Loop(); i++ {
		h.Record(time.Duration(i))
	}
}
