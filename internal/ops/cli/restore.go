package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/ops/control"
)

type restoreCommand struct {
	dataFlag `embed:""`
	Backup   string `arg:"" help:"Folder of the backup."`
	JSON     bool   `name:"json" help:"Print a JSON object."`
}

// Help shows examples.
func (restoreCommand) Help() string {
	return "The server must be stopped, and the data folder must hold no store yet. The restored store has a new epoch: what was published after the " +
		"backup is gone, so clients that come back are told to fetch a fresh state instead of being resumed.\n\n" + examples(
		"continuo restore /backup/2026-11-20 --data /var/lib/continuo", "into a folder that holds no store",
		"mv continuo-data continuo-data.old && continuo restore /backup/2026-11-20 && continuo serve", "in place of a store that is put aside")
}

// Run restores.
func (c *restoreCommand) Run(env *Env) error {
	if _, err := control.Dial(c.Data); err == nil {
		return fmt.Errorf("restore needs the server stopped, and one uses the data folder %s: stop it (continuo status --data %s says which process it is), "+
			"or restore into another folder with --data", c.Data, c.Data)
	}
	if err := storeFolder(c.Backup); err != nil {
		return fmt.Errorf("%s holds no backup: name a folder that continuo store backup has written", c.Backup)
	}
	if _, err := os.Stat(filepath.Join(c.Data, "FORMAT")); err == nil {
		return fmt.Errorf("%s holds a store already, and a restore never overwrites one: put it aside (mv %s %s.old), or restore into another folder with --data",
			c.Data, c.Data, c.Data)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m := newMeter(env)
	epoch, err := disk.Restore(env.Context, c.Backup, c.Data, disk.Options{Folds: folds()}, func(what string, done, total int64) {
		m.show("%s: %s of %s", what, size(done), size(total))
	})
	m.end()
	if err != nil {
		return stopped(err, "restore")
	}
	for _, name := range control.Kept() {
		if err := control.CopyKept(c.Backup, c.Data, name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if c.JSON {
		return printJSON(env, map[string]string{"data": c.Data, "epoch": epoch})
	}
	_, err = fmt.Fprintf(env.Stdout, "Restored %s into %s with the new epoch %s\nStart it: continuo serve --data %s\n", c.Backup, c.Data, epoch, c.Data)
	return err
}
