package cli

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/bench"
	"github.com/continuo-rt/continuo/internal/ops/bench/driver"
	"github.com/continuo-rt/continuo/internal/ops/bench/proc"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
)

// benchCommand puts load on a running server. Its subcommands are workloads, and one that compares their results.
type benchCommand struct {
	Fanout   benchFanout   `cmd:"" help:"One channel with many subscribers, at a steady rate."`
	Loaded   benchLoaded   `cmd:"" help:"One channel with many subscribers, as fast as it goes."`
	Channels benchChannels `cmd:"" help:"Many channels with few subscribers each, at a steady rate."`
	Publish  benchPublish  `cmd:"" help:"Publishing as fast as answers come, without subscribers."`
	Idle     benchIdle     `cmd:"" help:"Connections that do nothing: memory and processor time for each."`
	Storm    benchStorm    `cmd:"" help:"All clients come back at once and recover what they missed."`
	Churn    benchChurn    `cmd:"" help:"Clients that connect, subscribe and leave without end."`
	Hop      benchHop      `cmd:"" help:"Connected clients that join and leave channels: what others feel of it."`
	Disk     benchDisk     `cmd:"" help:"Appending to a file with an fsync each: the yardstick for durable publishing."`
	Compare  benchCompare  `cmd:"" help:"Print results that were saved with --json side by side, with ratios."`
}

// benchTarget is what all workloads ask for.
type benchTarget struct {
	URL         string        `name:"url" default:"http://127.0.0.1:6001" help:"Where the server listens."`
	Protocol    string        `enum:"pusher,sockudo,centrifugo,nats,nchan" default:"pusher" help:"Wire protocol: ${enum}."`
	App         string        `default:"app-id" help:"Application id (pusher, sockudo)."`
	Key         string        `default:"app-key" help:"Application key, or the API key (centrifugo)."`
	Secret      string        `default:"app-secret" help:"Application secret (pusher, sockudo)."`
	Signed      bool          `help:"Sign publishes as Pusher's libraries do, instead of sending a Bearer token."`
	ServerPID   int           `name:"server-pid" help:"Process whose processor time and memory are read, with its children."`
	Size        int           `default:"200" help:"Bytes of a payload."`
	Parallel    int           `default:"64" help:"Handshakes under way at the same time."`
	Timeout     time.Duration `default:"30s" help:"How long connecting may take."`
	Prefix      string        `default:"bench" help:"Begin of the channel names."`
	Name        string        `help:"Name of the server in the result."`
	Case        string        `help:"Name of the workload in the result."`
	Storage     string        `help:"Note for the result: what an acknowledged publish means on that server."`
	AllowRemote bool          `help:"Allow a server on another machine. Only load machines that are yours."`
	JSON        bool          `name:"json" help:"Print one line of JSON instead of a table."`
}

// workload is what package bench measures.
type workload interface {
	Run(ctx context.Context, t bench.Target) (report.Result, error)
}

func (b benchTarget) run(env *Env, w workload) error {
	t, err := b.target(env)
	if err != nil {
		return err
	}
	defer spareCollections()()
	r, err := w.Run(env.Context, t)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return show(env, r, b.JSON)
}

func show(env *Env, r report.Result, asJSON bool) error {
	if asJSON {
		return r.WriteJSON(env.Stdout)
	}
	return r.Write(env.Stdout)
}

func (b benchTarget) target(env *Env) (bench.Target, error) {
	u, err := url.Parse(b.URL)
	if err != nil {
		return bench.Target{}, err
	}
	ip, err := driver.CheckLoopback(env.Context, u)
	if err != nil && (!b.AllowRemote || ip == nil) {
		return bench.Target{}, err
	}
	p, err := driver.New(b.Protocol, driver.Config{URL: u, App: b.App, Key: b.Key, Secret: b.Secret, Signed: b.Signed})
	if err != nil {
		return bench.Target{}, err
	}
	return bench.Target{
		Protocol: p, Address: ip, Server: proc.Tree{PID: b.ServerPID}, Name: b.Name, Case: b.Case, Storage: b.Storage,
		Prefix: b.Prefix, Size: b.Size, Parallel: b.Parallel, Timeout: b.Timeout,
		Progress: func(format string, args ...any) { fmt.Fprintf(env.Stderr, "bench: "+format+"\n", args...) },
	}, nil
}

type benchFanout struct {
	benchTarget
	Subscribers int           `default:"1000" help:"Subscribers of the channel."`
	Rate        float64       `default:"50" help:"Publishes per second."`
	Publishers  int           `default:"1" help:"Connections that publish."`
	Duration    time.Duration `default:"10s" help:"How long to measure."`
	Warmup      time.Duration `default:"1s" help:"The same load before that."`
}

// Run measures fan-out at a rate.
func (c benchFanout) Run(env *Env) error {
	return c.run(env, bench.Live{Channels: 1, Subscribers: c.Subscribers, Publishers: c.Publishers, Rate: c.Rate,
		Duration: c.Duration, Warmup: c.Warmup})
}

type benchLoaded struct {
	benchTarget
	Subscribers int           `default:"1000" help:"Subscribers of the channel."`
	InFlight    int           `default:"16" help:"Messages under way; the next is published when one has reached everyone."`
	Publishers  int           `default:"16" help:"Connections that publish them."`
	Duration    time.Duration `default:"10s" help:"How long to measure."`
	Warmup      time.Duration `default:"2s" help:"The same load before that."`
}

// Run measures fan-out under load.
func (c benchLoaded) Run(env *Env) error {
	return c.run(env, bench.Loaded{Subscribers: c.Subscribers, InFlight: c.InFlight, Publishers: c.Publishers,
		Duration: c.Duration, Warmup: c.Warmup})
}

type benchChannels struct {
	benchTarget
	Channels    int           `default:"1000" help:"Number of channels."`
	Subscribers int           `default:"5" help:"Subscribers of each."`
	Rate        float64       `default:"2000" help:"Publishes per second, all channels together."`
	Publishers  int           `default:"4" help:"Connections that publish."`
	Duration    time.Duration `default:"10s" help:"How long to measure."`
	Warmup      time.Duration `default:"1s" help:"The same load before that."`
}

// Run measures many channels.
func (c benchChannels) Run(env *Env) error {
	return c.run(env, bench.Live{Channels: c.Channels, Subscribers: c.Subscribers, Publishers: c.Publishers, Rate: c.Rate,
		Duration: c.Duration, Warmup: c.Warmup})
}

type benchPublish struct {
	benchTarget
	Connections int           `default:"16" help:"Keep-alive connections; 1 measures a lonely publisher."`
	Channels    int           `default:"100" help:"Channels that the messages go round."`
	Count       int           `help:"Stop after so many messages. With --channels as large, each channel is written once."`
	Duration    time.Duration `default:"10s" help:"Stop after so long."`
	Warmup      time.Duration `default:"1s" help:"The same load before that (none with --count)."`
}

// Run measures publishing.
func (c benchPublish) Run(env *Env) error {
	return c.run(env, bench.Publish{Connections: c.Connections, Channels: c.Channels, Count: c.Count,
		Duration: c.Duration, Warmup: c.Warmup})
}

type benchIdle struct {
	benchTarget
	Connections int           `default:"10000" help:"Connections, each with one subscription."`
	Channels    int           `default:"1" help:"Channels that they are spread over."`
	Settle      time.Duration `default:"5s" help:"Wait so long before memory is read."`
}

// Run measures idle connections.
func (c benchIdle) Run(env *Env) error {
	return c.run(env, bench.Idle{Connections: c.Connections, Channels: c.Channels, Settle: c.Settle})
}

type benchStorm struct {
	benchTarget
	Clients  int           `default:"1000" help:"Clients that come back."`
	Channels int           `default:"1" help:"Channels that they are spread over."`
	Missed   int           `default:"100" help:"Messages that each of them missed."`
	Settle   time.Duration `default:"1s" help:"Wait so long after the cut, and again before the storm."`
}

// Run measures recovery.
func (c benchStorm) Run(env *Env) error {
	return c.run(env, bench.Storm{Clients: c.Clients, Channels: c.Channels, Missed: c.Missed, Settle: c.Settle})
}

type benchChurn struct {
	benchTarget
	Workers   int           `default:"16" help:"Clients that come and go at the same time."`
	Residents int           `default:"0" help:"Clients that stay; with --prefix presence-bench they see all others."`
	Channels  int           `default:"10" help:"Channels that they are spread over."`
	Count     int           `help:"Stop after so many joins."`
	Duration  time.Duration `default:"10s" help:"Stop after so long."`
}

// Run measures joining and leaving.
func (c benchChurn) Run(env *Env) error {
	return c.run(env, bench.Churn{Workers: c.Workers, Residents: c.Residents, Channels: c.Channels, Count: c.Count, Duration: c.Duration})
}

type benchHop struct {
	benchTarget
	Channels    int           `default:"100" help:"Channels that messages go to."`
	Subscribers int           `default:"50" help:"Subscribers of each; all of them hop."`
	Rate        float64       `default:"100" help:"Publishes per second, all channels together."`
	Hops        float64       `default:"10000" help:"Hops per second: each is a join and a leave."`
	Rounds      int           `default:"5" help:"Rounds with hops, and as many without."`
	Round       time.Duration `default:"3s" help:"How long each lasts."`
}

// Run measures what hopping costs others.
func (c benchHop) Run(env *Env) error {
	return c.run(env, bench.Hop{Channels: c.Channels, Subscribers: c.Subscribers, Rate: c.Rate, Hops: c.Hops, Rounds: c.Rounds, Round: c.Round})
}

type benchDisk struct {
	Folder   string        `arg:"" default:"." type:"existingdir" help:"A folder on the disk to measure."`
	Size     int           `default:"256" help:"Bytes of an append."`
	Duration time.Duration `default:"3s" help:"How long to measure."`
	JSON     bool          `name:"json" help:"Print one line of JSON instead of a table."`
}

// Run measures the disk.
func (c benchDisk) Run(env *Env) error {
	r, err := bench.Disk{Folder: c.Folder, Size: c.Size, Duration: c.Duration}.Run(env.Context)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return show(env, r, c.JSON)
}

type benchCompare struct {
	Files []string `arg:"" help:"Files of results, one JSON object a line. The first server named in them is compared to the others."`
}

// Run prints the comparison.
func (c benchCompare) Run(env *Env) error {
	var all []report.Result
	for _, name := range c.Files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		some, err := report.Read(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return fmt.Errorf("no results in %v", c.Files)
	}
	return report.Compare(env.Stdout, all)
}
