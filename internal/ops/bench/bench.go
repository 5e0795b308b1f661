// Package bench puts load on a realtime server that runs elsewhere on this machine and measures what it costs: latency,
// processor time, memory, and whether every message came once and in order.
//
// One file is one workload. All of them speak through package driver, so that Continuo and its peers get the same load
// from the same client:
//
//	publisher ──▶ server ──▶ swarm of subscribers ──▶ tally
//	              meter reads /proc of the server
//
// The client is meant to share a machine of two cores with the server, one core each. It therefore does as little as it
// can for a message: find the mark in the raw frame, note its lane, add its age to a histogram.
package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench/driver"
	"github.com/continuo-rt/continuo/internal/ops/bench/proc"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
)

// Target says what to measure and how to speak of it.
type Target struct {
	Protocol driver.Protocol
	Address  net.IP        // of the server, to spread source addresses by; nil leaves them alone
	Server   proc.Tree     // PID 0: the server's processor time and memory are not measured
	Name     string        // of the server in reports
	Case     string        // of the workload in reports; empty takes the workload's own
	Storage  string        // what an acknowledged publish means there
	Prefix   string        // of channel names
	Size     int           // bytes of a payload
	Parallel int           // handshakes under way at the same time
	Timeout  time.Duration // for connecting
	Patience time.Duration // how long nothing may arrive before what is outstanding counts as lost

	// Progress, if set, is told what the run is doing.
	Progress func(format string, args ...any)
}

// Defaults of a Target.
const (
	DefaultSize     = 200
	DefaultParallel = 64
	DefaultTimeout  = 30 * time.Second
	DefaultPatience = 3 * time.Second
	DefaultPrefix   = "bench"
)

// withDefaults fills what was left out, and makes the channel names of this run its own: a server that keeps a log must
// not mix it with an earlier run.
func (t Target) withDefaults() Target {
	if t.Size == 0 {
		t.Size = DefaultSize
	}
	if t.Parallel <= 0 {
		t.Parallel = DefaultParallel
	}
	if t.Timeout <= 0 {
		t.Timeout = DefaultTimeout
	}
	if t.Patience <= 0 {
		t.Patience = DefaultPatience
	}
	if t.Prefix == "" {
		t.Prefix = DefaultPrefix
	}
	if t.Name == "" {
		t.Name = t.Protocol.Name()
	}
	if t.Progress == nil {
		t.Progress = func(string, ...any) {}
	}
	t.Prefix += "-" + strconv.FormatInt(time.Now().UnixNano()/1000, 36) + "-"
	return t
}

func (t Target) channel(i int) string { return t.Prefix + strconv.Itoa(i) }

func (t Target) result(workload string) report.Result {
	name := t.Case
	if name == "" {
		name = workload
	}
	r := report.Result{Target: t.Name, Case: name, Protocol: t.Protocol.Name(), Storage: t.Storage}
	r.Set("payload", fmt.Sprintf("%d B", t.Size))
	return r
}

// settle gives the server a moment without load; it ends early with ctx.
func settle(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// meter reads what server and client used over a stretch of time. Figures that cannot be read are left out.
type meter struct {
	server, client       proc.Tree
	began                time.Time
	serverAt, clientAt   proc.Usage
	serverErr, clientErr error
}

func (t Target) meter() (*meter, error) {
	m := &meter{server: t.Server, client: proc.Tree{PID: os.Getpid()}}
	if t.Server.PID != 0 {
		if m.serverAt, m.serverErr = m.server.Read(); m.serverErr != nil {
			return nil, fmt.Errorf("reading the server's process: %w", m.serverErr)
		}
	}
	m.clientAt, m.clientErr = m.client.Read()
	m.began = time.Now()
	return m, nil
}

// spent is what a meter saw.
type spent struct {
	wall           time.Duration
	server, client proc.Usage // differences
	total          proc.Usage // of the server, at the end
	known          bool       // server figures are known
}

func (m *meter) read() (spent, error) {
	s := spent{wall: time.Since(m.began)}
	if m.server.PID != 0 {
		now, err := m.server.Read()
		if err != nil {
			return s, fmt.Errorf("the server's process cannot be read any more: %w", err)
		}
		s.server, s.total, s.known = now.Sub(m.serverAt), now, true
	}
	if now, err := m.client.Read(); err == nil && m.clientErr == nil {
		s.client = now.Sub(m.clientAt)
	}
	return s, nil
}

// add notes the load of both sides and doubts figures that the client, not the server, may have limited.
func (s spent) add(r *report.Result) {
	if s.known {
		r.Add("server CPU", 100*s.server.CPU.Seconds()/s.wall.Seconds(), "% of a core", "")
		r.Add("server RSS", float64(s.total.RSS)/(1<<20), "MiB", "")
	}
	if busy := 100 * s.client.CPU.Seconds() / s.wall.Seconds(); busy > 0 {
		r.Add("client CPU", busy, "% of a core", "")
		if busy > 92 {
			r.Warn("the client used %.0f %% of a core: latency and throughput may be its own", busy)
		}
	}
}
