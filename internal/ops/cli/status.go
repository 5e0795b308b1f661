package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/control"
)

// statusCommand describes a running server.
type statusCommand struct {
	dataFlag `embed:""`
	JSON     bool `name:"json" help:"Print a JSON object."`
}

// Help shows examples.
func (statusCommand) Help() string {
	return examples(
		"continuo status", "the server that uses ./continuo-data",
		"continuo status --data /var/lib/continuo --json | jq .sessions", "one figure")
}

// Run prints it.
func (c *statusCommand) Run(env *Env) error {
	a, err := c.local()
	if err != nil {
		return err
	}
	var st control.Status
	if err := a.get(env.Context, "/control/status", nil, &st); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env, st)
	}
	colour := map[string]string{"OK": green, "DEGRADED": yellow}[st.State]
	if colour == "" {
		colour = red
	}
	if err := facts(env.Stdout,
		"state", paint(env.Stdout, colour, st.State),
		"version", st.Version,
		"process", fmt.Sprintf("%d, up %s, %s mode", st.PID, time.Duration(st.Seconds)*time.Second, st.Mode),
		"listening", st.Listen,
		"apps", strings.Join(st.Apps, ", "),
		"sessions", fmt.Sprint(st.Sessions),
		"behind", fmt.Sprintf("%s, %s wait for sockets", count(int(st.Behind), "follower"), size(st.Outbox)),
		"memory", fmt.Sprintf("%s, of which the hot windows hold %s", size(st.Memory), size(st.HotBytes)),
		"data", st.DataDir,
	); err != nil {
		return err
	}
	return printStore(env, &st.Store)
}

func printStore(env *Env, s *control.StoreStatus) error {
	state := paint(env.Stdout, green, "open")
	if !s.Open {
		state = paint(env.Stdout, red, "closed after a failure; it is being reopened")
	}
	pairs := []string{"store", s.Engine + ", " + state, "epoch", s.Epoch, "promise", s.Note}
	if s.Engine == "disk" {
		pairs = append(pairs,
			"on disk", fmt.Sprintf("%s: %s in %s, %s of log", size(s.DiskBytes), size(s.TableBytes), count(int(s.Tables), "table"), size(s.LogBytes)),
			"in memory", fmt.Sprintf("%s of blocks and unflushed rows, %s", size(s.MemoryBytes), count(s.CachedStreams, "stream row")),
			"upkeep", fmt.Sprintf("%s, %s, %s to compact, a read looks into %s, %s waiting", count2(int(s.Flushes), "flush", "flushes"),
				count(int(s.Compactions), "compaction"), size(s.CompactionDebt), count(s.ReadAmp, "table"), count(s.BackgroundWork, "task")))
	}
	return facts(env.Stdout, pairs...)
}
