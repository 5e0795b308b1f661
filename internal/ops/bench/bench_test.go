package bench

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/continuo-rt/continuo/internal/ops/bench/driver"
	"github.com/continuo-rt/continuo/internal/ops/bench/fake"
	"github.com/continuo-rt/continuo/internal/ops/bench/proc"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// against makes a target of a fake server with the given faults.
func against(t *testing.T, protocol string, faults fake.Faults) (Target, *fake.Server) {
	t.Helper()
	server := fake.Start(faults)
	t.Cleanup(server.Close)
	p, err := driver.New(protocol, driver.Config{URL: server.URL, App: "app-id", Key: "app-key", Secret: "app-secret"})
	if err != nil {
		t.Fatal(err)
	}
	return Target{Protocol: p, Address: net.IPv4(127, 0, 0, 1), Timeout: 20 * time.Second, Parallel: 4}, server
}

func value(t *testing.T, r report.Result, name string) float64 {
	t.Helper()
	f, ok := r.Figure(name)
	if !ok {
		t.Fatalf("no figure %q in %+v", name, r.Figures)
	}
	return f.Value
}

// faultless checks that nothing was lost, doubled or refused, whatever it took.
func faultless(t *testing.T, r report.Result) {
	t.Helper()
	for _, name := range []string{"missing", "duplicates", "strays", "undelivered", "publish errors", "failed joins"} {
		if f, ok := r.Figure(name); ok && f.Value != 0 {
			t.Errorf("%s = %v", name, f.Value)
		}
	}
	for _, w := range r.Warnings {
		if !strings.Contains(w, "client used") && !strings.Contains(w, "were reached") {
			t.Errorf("warning: %s", w)
		}
	}
}

func TestWorkloadsOverEveryProtocol(t *testing.T) {
	const span, warm = 60 * time.Millisecond, 20 * time.Millisecond
	for _, protocol := range driver.Names() {
		for _, c := range []struct {
			name string
			run  interface {
				Run(context.Context, Target) (report.Result, error)
			}
			want map[string]float64
		}{
			{"fanout", Live{Channels: 1, Subscribers: 7, Publishers: 2, Rate: 200, Duration: span, Warmup: warm},
				map[string]float64{"publishes": 12, "deliveries": 84}},
			{"channels", Live{Channels: 5, Subscribers: 2, Publishers: 3, Rate: 200, Duration: span, Warmup: warm},
				map[string]float64{"publishes": 12, "deliveries": 24}},
			{"loaded", Loaded{Subscribers: 5, InFlight: 3, Publishers: 2, Duration: span, Warmup: warm}, nil},
			{"publish", Publish{Connections: 3, Channels: 10, Count: 50, Duration: 20 * time.Second},
				map[string]float64{"publishes": 50}},
			{"publish alone", Publish{Connections: 1, Channels: 1, Duration: span, Warmup: warm}, nil},
			{"idle", Idle{Connections: 10, Channels: 3, Settle: time.Millisecond}, nil},
			{"churn", Churn{Workers: 3, Residents: 2, Channels: 2, Count: 20, Duration: 20 * time.Second},
				map[string]float64{"joins": 20}},
		} {
			t.Run(protocol+"/"+c.name, func(t *testing.T) {
				target, _ := against(t, protocol, fake.Faults{})
				r, err := c.run.Run(t.Context(), target)
				if err != nil {
					t.Fatal(err)
				}
				faultless(t, r)
				for name, want := range c.want {
					if got := value(t, r, name); got != want {
						t.Errorf("%s = %v, want %v", name, got, want)
					}
				}
				if r.Target != protocol || r.Case == "" {
					t.Errorf("labels %q %q", r.Target, r.Case)
				}
			})
		}
	}
}

func TestHop(t *testing.T) {
	for _, protocol := range driver.Names() {
		t.Run(protocol, func(t *testing.T) {
			target, _ := against(t, protocol, fake.Faults{})
			r, err := Hop{Channels: 3, Subscribers: 2, Rate: 100, Hops: 200, Rounds: 2, Round: 50 * time.Millisecond}.Run(t.Context(), target)
			if _, hops := target.Protocol.Session(driver.Sub{}, nil).(driver.Joiner); !hops {
				if err == nil {
					t.Error("a protocol whose clients cannot hop must say so")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			faultless(t, r)
			if value(t, r, "joins answered") != 20 || value(t, r, "ratio of the two") <= 0 {
				t.Error(r.Figures)
			}
		})
	}
}

func TestStorm(t *testing.T) {
	for _, protocol := range driver.Names() {
		t.Run(protocol, func(t *testing.T) {
			target, _ := against(t, protocol, fake.Faults{})
			r, err := Storm{Clients: 9, Channels: 2, Missed: 7}.Run(t.Context(), target)
			if !target.Protocol.Recovers() {
				if err == nil {
					t.Error("a protocol without recovery must say so")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			faultless(t, r)
			if got := value(t, r, "recovered messages"); got != 63 {
				t.Errorf("recovered %v messages, want 63", got)
			}
			if got := value(t, r, "clients complete"); got != 9 {
				t.Errorf("%v clients complete", got)
			}
		})
	}
}

// A benchmark that cannot see a broken server would reward one.
func TestFaultsAreSeen(t *testing.T) {
	live := Live{Channels: 1, Subscribers: 5, Publishers: 1, Rate: 400, Duration: 100 * time.Millisecond}
	for _, c := range []struct {
		name   string
		faults fake.Faults
		figure string
	}{
		{"drop", fake.Faults{DropEvery: 7}, "missing"},
		{"duplicate", fake.Faults{DuplicateEvery: 7}, "duplicates"},
	} {
		t.Run(c.name, func(t *testing.T) {
			target, _ := against(t, "pusher", c.faults)
			target.Patience = 100 * time.Millisecond
			r, err := live.Run(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			if value(t, r, c.figure) == 0 || len(r.Warnings) == 0 {
				t.Errorf("not seen: %+v %v", r.Figures, r.Warnings)
			}
		})
	}
}

func TestServersThatRefuse(t *testing.T) {
	target, _ := against(t, "pusher", fake.Faults{RefusePublish: true})
	publish := Publish{Connections: 2, Channels: 2, Duration: 20 * time.Second}
	if _, err := publish.Run(t.Context(), target); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("hopeless publishing must end with its reason: %v", err)
	}
	target, _ = against(t, "sockudo", fake.Faults{RefuseResume: true})
	storm := Storm{Clients: 3, Channels: 1, Missed: 2}
	if _, err := storm.Run(t.Context(), target); err == nil || !strings.Contains(err.Error(), "position_expired") {
		t.Errorf("a refused resume must end the storm with its reason: %v", err)
	}
	target, _ = against(t, "sockudo", fake.Faults{LieOnResume: 1})
	target.Patience = 100 * time.Millisecond
	r, err := storm.Run(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if value(t, r, "missing") != 3 || len(r.Warnings) == 0 {
		t.Errorf("a recovery with a hole must be seen: %+v", r)
	}
}

func TestBadCounts(t *testing.T) {
	target, _ := against(t, "pusher", fake.Faults{})
	for _, w := range []interface {
		Run(context.Context, Target) (report.Result, error)
	}{Live{}, Loaded{}, Publish{}, Idle{}, Storm{}, Churn{}} {
		if _, err := w.Run(t.Context(), target); err == nil {
			t.Errorf("%T accepted zeroes", w)
		}
	}
}

func TestServerFigures(t *testing.T) {
	if _, err := (proc.Tree{PID: os.Getpid()}).Read(); err != nil {
		return // no proc file system here: figures are left out, which the other tests cover
	}
	target, _ := against(t, "pusher", fake.Faults{})
	target.Server.PID = os.Getpid()
	r, err := Idle{Connections: 5, Channels: 5, Settle: time.Millisecond}.Run(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if value(t, r, "server RSS") <= 0 {
		t.Error("this process must have memory")
	}
	target.Server.PID = 1 << 30
	if _, err := (Churn{Workers: 1, Channels: 1, Duration: time.Second}).Run(t.Context(), target); err == nil {
		t.Error("a server process that does not exist must be an error")
	}
}

func TestCancelEndsEveryWorkload(t *testing.T) {
	long := time.Hour
	for _, w := range []interface {
		Run(context.Context, Target) (report.Result, error)
	}{
		Live{Channels: 2, Subscribers: 2, Publishers: 1, Rate: 10, Duration: long},
		Loaded{Subscribers: 2, InFlight: 2, Publishers: 2, Duration: long},
		Publish{Connections: 2, Channels: 2, Duration: long},
		Idle{Connections: 2, Channels: 1, Settle: long},
		Storm{Clients: 2, Channels: 1, Missed: 1, Settle: long},
		Churn{Workers: 2, Channels: 1, Duration: long},
	} {
		target, _ := against(t, "sockudo", fake.Faults{})
		ctx, cancel := context.WithCancel(t.Context())
		target.Progress = func(format string, _ ...any) {
			if !strings.HasPrefix(format, "connecting") {
				cancel()
			}
		}
		if s, ok := w.(Storm); ok { // has nothing to say before it settles: end that by the clock
			ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
			w = s
		}
		if _, err := w.Run(ctx, target); err == nil {
			t.Errorf("%T ended without an error", w)
		}
		cancel()
	}
}

func TestDisk(t *testing.T) {
	folder := t.TempDir()
	r, err := Disk{Folder: folder, Size: 256, Duration: 20 * time.Millisecond}.Run(t.Context())
	if err != nil || value(t, r, "fsyncs per second") <= 0 || value(t, r, "append and fsync p50") <= 0 {
		t.Errorf("%+v %v", r, err)
	}
	if left, _ := os.ReadDir(folder); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := (Disk{Folder: folder + "/none", Size: 1, Duration: 1}).Run(t.Context()); err == nil {
		t.Error("a folder that is not there must be an error")
	}
}

func TestPickGivesEachLaneOnePublisher(t *testing.T) {
	for _, l := range []Live{{Channels: 7, Publishers: 3}, {Channels: 3, Publishers: 3}, {Channels: 10, Publishers: 4}} {
		pick := l.pick(Target{Prefix: "p"})
		owner := map[int]int{}
		for w := range l.Publishers {
			for k := range 3 * l.Channels {
				channel, lane := pick(w, k)
				if o, seen := owner[lane]; seen && o != w {
					t.Fatalf("%+v: lane %d has publishers %d and %d", l, lane, o, w)
				}
				owner[lane] = w
				if channel != (Target{Prefix: "p"}).channel(lane) {
					t.Fatalf("channel %s for lane %d", channel, lane)
				}
			}
		}
		if len(owner) != l.Channels {
			t.Errorf("%+v: %d of %d channels are written", l, len(owner), l.Channels)
		}
	}
	names := []string{}
	pick := Live{Channels: 1, Publishers: 2}.pick(Target{Prefix: "p"})
	for w := range 2 {
		c, _ := pick(w, 0)
		names = append(names, c)
	}
	if !slices.Equal(names, []string{"p0", "p0"}) {
		t.Errorf("one channel: %v", names)
	}
}
