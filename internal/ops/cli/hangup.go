package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/ops/config"
	"github.com/continuo-rt/continuo/internal/ops/server"
)

// onHangup reloads the configuration at every SIGHUP, until stop is called.
func (c *serveCommand) onHangup(env *Env, s *server.Server, log *slog.Logger) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			c.reload(env, s, log)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

// reload reads file and variables again and puts in force what can be. A configuration with faults changes nothing.
func (c *serveCommand) reload(env *Env, s *server.Server, log *slog.Logger) {
	next, problems := c.load()
	for _, p := range problems.Warnings() {
		log.Warn("configuration", "problem", p.Error())
	}
	if faults := problems.Faults(); len(faults) > 0 {
		for _, p := range faults {
			log.Error("configuration", "problem", p.Error())
		}
		log.Error("nothing was reloaded: correct the configuration and send SIGHUP again", "faults", len(faults))
		return
	}
	if next.NeedsApp() {
		kept, _, err := config.KeptApp(s.Config().Data)
		if err == nil {
			err = next.AddApp(kept)
		}
		if err != nil {
			log.Error("nothing was reloaded", "err", err)
			return
		}
	}
	changes, err := s.Reload(next)
	applied := 0
	for _, change := range changes {
		if change.Live {
			applied++
			log.Info("changed", "key", change.Key, "old", change.Old, "new", change.New)
			continue
		}
		log.Warn("changed, but waits for a restart", "key", change.Key, "runs_with", change.Old, "configured", change.New)
	}
	if err != nil {
		log.Error("reload", "err", err)
	}
	log.Info("reloaded", "applied", applied, "waiting_for_restart", len(changes)-applied)
}

// explainInUse adds to the refusal of a data folder what else can be done.
func explainInUse(err error) error {
	var used *disk.InUseError
	if !errors.As(err, &used) {
		return err
	}
	if used.PID == 0 {
		return fmt.Errorf("%w. Another folder is named with --data", err)
	}
	return fmt.Errorf("%w. Its state: continuo status --data %s. To stop it: kill -TERM %d. Another folder is named with --data", err, used.Dir, used.PID)
}
