package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/control"
)

type storeBackupCommand struct {
	dataFlag `embed:""`
	Dir      string `arg:"" help:"Folder to write the copy to. It must not exist."`
	JSON     bool   `name:"json" help:"Print a JSON object."`
}

// Help shows examples.
func (storeBackupCommand) Help() string {
	return "The copy holds everything that was acknowledged before the command ended, and credentials that the server made for itself. Files are " +
		"linked, not copied, where the folder is on the same file system. A backup is brought back with: continuo restore\n\n" + examples(
		"continuo store backup /backup/$(date +%F)", "a copy of the store of the server that uses ./continuo-data",
		"continuo store backup /backup/now --data /var/lib/continuo && continuo store verify --data /backup/now", "a copy that was checked")
}

// Run asks the server for it.
func (c *storeBackupCommand) Run(env *Env) error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	a, err := c.local()
	if errors.Is(err, control.ErrNoServer) {
		return fmt.Errorf("%w. The store of a server that is stopped can be copied like any folder: cp -a %s %s", err, c.Data, c.Dir)
	}
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"dir": dir})
	if err != nil {
		return err
	}
	res, err := a.do(env.Context, http.MethodPost, "/control/backup", body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	m := newMeter(env)
	var b control.Backup
	for dec := json.NewDecoder(res.Body); !b.Done; {
		b = control.Backup{}
		if err := dec.Decode(&b); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("the server ended before the backup was whole: remove %s and try again: %w", dir, err)
		}
		m.show("%s in %s after %.0f s", size(b.Bytes), count(b.Files, "file"), b.Seconds)
	}
	m.end()
	if b.Error != "" {
		return errors.New(b.Error)
	}
	if c.JSON {
		return printJSON(env, b)
	}
	_, err = fmt.Fprintf(env.Stdout, "Wrote %s: %s in %s, %s\nBring it back: continuo restore %s --data NEW_FOLDER\n", b.Dir, size(b.Bytes),
		count(b.Files, "file"), time.Duration(b.Seconds*float64(time.Second)).Round(time.Millisecond), b.Dir)
	return err
}
