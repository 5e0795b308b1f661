package report

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/hist"
)

func sample(target string, cpu float64) Result {
	r := Result{Target: target, Case: "fan-out", Protocol: "pusher"}
	r.Set("subscribers", 1000)
	r.Set("seed", target)
	r.Add("deliveries", 500_000, "", "")
	r.Add("server CPU per million", cpu, "s", Less)
	r.Add("throughput", 48_123.4, "/s", More)
	r.Add("missing", 0, "", Less)
	return r
}

func TestTable(t *testing.T) {
	r := sample("continuo", 9.876)
	r.Storage = "fsynced"
	r.Warn("the client was busy %d %%", 97)
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := `continuo: fan-out over pusher (fsynced)
subscribers 1000, seed continuo

  deliveries              500,000
  server CPU per million     9.88  s
  throughput               48,123  /s
  missing                       0
! the client was busy 97 %
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	var b bytes.Buffer
	in := []Result{sample("a", 1), sample("b", 2)}
	for _, r := range in {
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
	}
	out, err := Read(&b)
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%+v %v", out, err)
	}
	if _, err := Read(strings.NewReader("{}\nnonsense")); err == nil || !strings.Contains(err.Error(), "result 2") {
		t.Errorf("broken input must be named: %v", err)
	}
}

func TestCompare(t *testing.T) {
	peer := sample("nchan", 12)
	peer.Storage = "memory"
	other := Result{Target: "continuo", Case: "idle"}
	other.Add("per connection", 6, "KiB", Less)
	var b strings.Builder
	if err := Compare(&b, []Result{sample("continuo", 20), peer, other, sample("continuo", 9), sample("continuo", 8)}); err != nil {
		t.Fatal(err)
	}
	want := `fan-out (subscribers 1000)
                          continuo   nchan  continuo : nchan
  server CPU per million         9      12              0.75  s
  throughput                48,123  48,123              1.00  /s (more is better)
  nchan: memory

idle
                  continuo
  per connection         6  KiB
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestMedian(t *testing.T) {
	second := sample("a", 4)
	second.Warn("doubt")
	for i, c := range []struct {
		in   []Result
		want float64
	}{
		{[]Result{sample("a", 3)}, 3},
		{[]Result{sample("a", 3), second}, 3.5},
		{[]Result{sample("a", 9), second, sample("a", 1)}, 4},
	} {
		got := median(c.in)
		f, _ := got[0].Figure("server CPU per million")
		if len(got) != 1 || f.Value != c.want {
			t.Errorf("%d: %v of %d results, want %v", i, f.Value, len(got), c.want)
		}
		if i > 0 && !reflect.DeepEqual(got[0].Warnings, []string{"round 2: doubt"}) {
			t.Errorf("%d: warnings %v", i, got[0].Warnings)
		}
	}
}

func TestCompareMissingFigures(t *testing.T) {
	peer := Result{Target: "nats", Case: "fan-out"}
	var b strings.Builder
	if err := Compare(&b, []Result{sample("continuo", 1), peer}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "  server CPU per million         1     -                -  s\n") {
		t.Errorf("got\n%s", b.String())
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 7: "7", 0.012345: "0.012", 0.5678: "0.57", 1.234: "1.23", 12.34: "12.3", 123.4: "123",
		1234.5: "1,234", 1234567: "1,234,567", -1234567: "-1,234,567", 999: "999",
	} {
		if got := Number(v); got != want {
			t.Errorf("Number(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestLatencyAndUndefinedFigures(t *testing.T) {
	var h hist.Histogram
	var r Result
	r.Latency("latency", &h)
	r.Add("quotient", math.NaN(), "", Less)
	r.Add("quotient", math.Inf(1), "", Less)
	if len(r.Figures) != 0 {
		t.Errorf("nothing measured must give no figure: %+v", r.Figures)
	}
	h.Record(2 * time.Millisecond)
	r.Latency("latency", &h)
	if f, ok := r.Figure("latency p99"); !ok || f.Value != 2 || f.Unit != "ms" {
		t.Errorf("p99 = %+v %v", f, ok)
	}
}
