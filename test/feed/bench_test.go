package feed

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/ops/bench/proc"
	"github.com/continuo-rt/continuo/internal/ops/client"
	"github.com/continuo-rt/continuo/test/address"
)

// A thousand clients in fifty sets of twenty, and a thousand updates a second, each meant for one set.
const (
	sets    = 50
	perSet  = 20
	rate    = 1000
	warm    = time.Second
	measure = 3 * time.Second // of each round
	rounds  = 3
)

// BenchmarkFilters compares one channel with fifty filters to fifty channels without any, then lets twenty clients that
// take everything and read nothing join the former. Run it with -benchtime 1x.
func BenchmarkFilters(b *testing.B) {
	b.Run("groups", func(b *testing.B) { run(b, false) })
	b.Run("filters", func(b *testing.B) { run(b, true) })
}

// crowd counts the latencies of all readers, phase by phase.
type crowd struct {
	phase atomic.Int32 // 0: nothing is counted
	mu    sync.Mutex
	late  [3][]time.Duration
}

func run(b *testing.B, filtered bool) {
	for b.Loop() {
		s := startFor(b)
		ctx, cancel := context.WithCancel(context.Background())
		var c crowd
		var work sync.WaitGroup
		for i := range sets * perSet {
			login := fmt.Sprintf(`{"type":"login","apiKey":"all-channels","channels":["c%d"]}`, i%sets)
			if filtered {
				login = fmt.Sprintf(`{"type":"login","apiKey":"all-channels","channels":["one"],"groups":[%d]}`, i%sets)
			}
			nc, in := connect(b, s.listen, login, 0)
			work.Go(func() { c.read(in) })
			context.AfterFunc(ctx, func() { _ = nc.Close() })
		}
		work.Go(func() { updates(ctx, s, filtered) })
		used := time.Duration(0)
		for range rounds { // in turns, so that what else the machine does hits both alike
			used += c.measure(b, s, 1)
			if !filtered {
				continue
			}
			stalled := make([]net.Conn, 20)
			for i := range stalled {
				stalled[i], _ = connect(b, s.listen, `{"type":"login","apiKey":"all-channels","channels":["one"]}`, 4<<10)
			}
			c.measure(b, s, 2)
			for _, nc := range stalled {
				_ = nc.Close()
			}
		}
		cancel()
		work.Wait()
		s.kill()
		b.ReportMetric(float64(used.Milliseconds())/(rounds*measure).Seconds(), "cpu-ms/s")
		b.ReportMetric(float64(len(c.late[1]))/(rounds*measure).Seconds(), "deliveries/s")
		b.ReportMetric(c.percentile(b, 1, 50), "p50-ms")
		b.ReportMetric(c.percentile(b, 1, 99), "p99-ms")
		if filtered {
			b.ReportMetric(c.percentile(b, 2, 50), "p50-ms-with-stalled")
			b.ReportMetric(c.percentile(b, 2, 99), "p99-ms-with-stalled")
		}
	}
}

// measure counts one phase and gives the processor time that the server used meanwhile.
func (c *crowd) measure(b *testing.B, s *server, phase int32) time.Duration {
	<-time.NewTimer(warm).C
	before := cpu(b, s)
	c.phase.Store(phase)
	<-time.NewTimer(measure).C
	c.phase.Store(0)
	return cpu(b, s) - before
}

func (c *crowd) percentile(b *testing.B, phase, percent int) float64 {
	late := c.late[phase]
	if len(late) == 0 {
		b.Fatal("nothing was delivered")
	}
	slices.Sort(late)
	return float64(late[len(late)*percent/100].Microseconds()) / 1000
}

func startFor(b *testing.B) *server {
	s := &server{t: b, bin: binary(b), dir: b.TempDir(), engine: "disk", listen: address.Free()}
	s.url = "http://" + s.listen
	if err := os.WriteFile(filepath.Join(s.dir, "continuo.yaml"), []byte(configuration), 0o600); err != nil {
		b.Fatal(err)
	}
	s.start()
	return s
}

// connect logs in and reads the answer. buffer is the kernel's for what arrives; 0: its own choice.
func connect(b *testing.B, addr, login string, buffer int) (net.Conn, *bufio.Reader) {
	d := ws.Dialer{NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil && buffer > 0 {
			err = nc.(*net.TCPConn).SetReadBuffer(buffer)
		}
		return nc, err
	}}
	nc, buffered, _, err := d.Dial(context.Background(), "ws://"+addr+"/feed")
	if err == nil {
		err = ws.WriteFrame(nc, ws.MaskFrame(ws.NewTextFrame([]byte(login))))
	}
	if err != nil {
		b.Fatal(err)
	}
	var in io.Reader = nc
	if buffered != nil {
		in = buffered
	}
	r := bufio.NewReaderSize(in, 4<<10)
	f, err := readFrame(r)
	if err != nil || !bytes.Contains(f.Payload, []byte(`"login_ok"`)) {
		b.Fatalf("%v %s", err, f.Payload)
	}
	return nc, r
}

// read reads until the end and notes how old each update was.
func (c *crowd) read(in *bufio.Reader) {
	var mine [3][]time.Duration
	buf := make([]byte, 4<<10)
	for {
		h, err := ws.ReadHeader(in)
		if err != nil || h.Length > int64(len(buf)) {
			break
		}
		p := buf[:h.Length]
		if _, err := io.ReadFull(in, p); err != nil {
			break
		}
		phase := c.phase.Load()
		_, rest, ok := bytes.Cut(p, []byte(`"at":`))
		if phase == 0 || !ok {
			continue
		}
		digits, _, _ := bytes.Cut(rest, []byte(`,`))
		if at, err := strconv.ParseInt(string(digits), 10, 64); err == nil {
			mine[phase] = append(mine[phase], time.Since(time.Unix(0, at)))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range mine {
		c.late[i] = append(c.late[i], mine[i]...)
	}
}

// updates publishes at the rate, ten in a request, the sets in turn.
func updates(ctx context.Context, s *server, filtered bool) {
	const batch = 10
	tick := time.NewTicker(time.Second * batch / rate)
	defer tick.Stop()
	p := client.Publisher{Server: s.caller()}
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var ms []client.Message
		for range batch {
			channel := "one"
			if !filtered {
				channel = fmt.Sprint("c", n%sets)
			}
			ms = append(ms, client.Message{Name: "UPDATE", Channel: channel, Key: fmt.Sprint("f-", n%1000),
				Data: fmt.Appendf(nil, `{"group":%d,"at":%d,"home":"Alder","away":"Birch","odds":{"home":1.85,"draw":3.4,"away":4.2},"status":"live","minute":37}`, n%sets, time.Now().UnixNano())})
			n++
		}
		_, _ = p.Publish(ctx, ms...)
	}
}

func cpu(b *testing.B, s *server) time.Duration {
	used, err := proc.Tree{PID: s.process.Process.Pid}.Read()
	if err != nil {
		b.Fatal(err)
	}
	return used.CPU
}
