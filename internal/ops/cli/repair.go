package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/ops/control"
)

type storeRepairCommand struct {
	dataFlag `embed:""`
	To       string `arg:"" help:"Folder for the repaired store. It must hold none; the damaged one is not changed."`
	JSON     bool   `name:"json" help:"Print a JSON object."`
}

// Help shows examples.
func (storeRepairCommand) Help() string {
	return "Reads what can be read of every file, drops what is not whole, and writes the rest into a new store with a new epoch. Of a log with a hole " +
		"the newest part is kept, so that it is without one. The server must be stopped. A backup is better, if it is recent enough.\n\n" + examples(
		"continuo store repair /var/lib/continuo.new --data /var/lib/continuo", "make a store of what is left of a damaged one")
}

// Run repairs.
func (c *storeRepairCommand) Run(env *Env) error {
	if err := storeFolder(c.Data); err != nil {
		return err
	}
	m := newMeter(env)
	rep, err := disk.Repair(env.Context, c.Data, c.To, disk.Options{Folds: folds()}, func(what string, done, total int64) {
		m.show("%s: %d of %d", what, done, total)
	})
	m.end()
	if err != nil {
		return stopped(err, "store repair")
	}
	if err := control.CopyKept(c.Data, c.To, "app.json"); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if rep.Problems == nil {
		rep.Problems = []disk.Problem{}
	}
	if c.JSON {
		return printJSON(env, rep)
	}
	for _, p := range rep.Problems {
		if _, err := fmt.Fprintf(env.Stdout, "%s %s: %s\n", paint(env.Stdout, yellow, "lost"), p.Where, p.What); err != nil {
			return err
		}
	}
	if rep.More > 0 {
		if _, err := fmt.Fprintf(env.Stdout, "and %d more\n", rep.More); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(env.Stdout, "Wrote %s with the new epoch %s: %s with %d entries; %s cut, %s lost\nCheck it: continuo store verify --data %s\nStart it: continuo serve --data %s\n",
		c.To, rep.Epoch, count(rep.Streams, "stream"), rep.Entries, count2(rep.Cut, "was", "were"), count2(rep.Lost, "was", "were"), c.To, c.To)
	return err
}
