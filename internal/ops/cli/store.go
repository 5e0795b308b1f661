package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/ops/control"
)

// storeCommand groups what can be done with the embedded store.
type storeCommand struct {
	Stats  storeStatsCommand  `cmd:"" help:"Print how large the store is and what it does."`
	Backup storeBackupCommand `cmd:"" help:"Write a consistent copy of a running server's store, without a pause."`
	Verify storeVerifyCommand `cmd:"" help:"Check every file and row of a store that no server has open."`
	Repair storeRepairCommand `cmd:"" help:"Copy what can be read of a damaged store into a new folder."`
}

// storeFolder makes sure that a folder holds a store, so that nothing is made in a folder that was mistyped.
func storeFolder(dir string) error {
	for _, name := range []string{"FORMAT", "store"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fmt.Errorf("%s holds no store: name the data folder of a server, or a backup, with --data", dir)
}

// stopped explains the refusal of a folder that a server has open.
func stopped(err error, what string) error {
	var used *disk.InUseError
	if !errors.As(err, &used) {
		return err
	}
	stop := "Stop the server first"
	if used.PID != 0 {
		stop = fmt.Sprintf("Stop the server first: kill -TERM %d", used.PID)
	}
	return fmt.Errorf("%s needs the server stopped, and process %d has the data folder %s open. %s. Or look at a copy, which needs no stop: "+
		"continuo store backup DIR --data %s", what, used.PID, used.Dir, stop, used.Dir)
}

// folds make the states of messages, as the server does.
func folds() map[stream.Log]stream.Fold {
	return map[stream.Log]stream.Fold{stream.Messages: message.Fold, stream.Presence: presence.Fold}
}

type storeStatsCommand struct {
	dataFlag `embed:""`
	JSON     bool `name:"json" help:"Print a JSON object."`
}

// Help shows examples.
func (storeStatsCommand) Help() string {
	return "Asks the running server, and opens the store itself if there is none.\n\n" + examples(
		"continuo store stats", "the store in ./continuo-data",
		"continuo store stats --json | jq .disk_bytes", "one figure")
}

// Run prints them.
func (c *storeStatsCommand) Run(env *Env) error {
	st, err := c.read(env)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env, st)
	}
	return printStore(env, &st)
}

func (c *storeStatsCommand) read(env *Env) (control.StoreStatus, error) {
	if a, err := c.local(); err == nil {
		var st control.Status
		err := a.get(env.Context, "/control/status", nil, &st)
		return st.Store, err
	} else if !errors.Is(err, control.ErrNoServer) {
		return control.StoreStatus{}, err
	}
	if err := storeFolder(c.Data); err != nil {
		return control.StoreStatus{}, err
	}
	s, err := disk.Open(c.Data, disk.Options{SweepEvery: -1, Folds: folds()})
	if err != nil {
		return control.StoreStatus{}, stopped(err, "store stats without a control socket")
	}
	d, info := s.Stats(), s.Info()
	return control.StoreStatus{Engine: info.Name, Open: d.Open, Epoch: d.Epoch, Note: info.Note, DiskBytes: d.DiskBytes, TableBytes: d.TableBytes,
		Tables: d.Tables, LogBytes: d.LogBytes, MemoryBytes: d.MemoryBytes, ReadAmp: d.ReadAmp, CompactionDebt: d.CompactionDebt}, s.Close()
}

type storeVerifyCommand struct {
	dataFlag `embed:""`
	JSON     bool `name:"json" help:"Print a JSON object."`
}

// Help shows examples.
func (storeVerifyCommand) Help() string {
	return "Reads every block of every file and every row, and changes nothing: that each log is without a hole, that its bytes add up, that time " +
		"does not run backwards. The server must be stopped; a backup can be verified at any time.\n\n" + examples(
		"continuo store verify --data /var/lib/continuo", "the store of a server that is stopped",
		"continuo store verify --data /backup/2026-11-20", "a backup")
}

// Run prints what is wrong and fails if anything is.
func (c *storeVerifyCommand) Run(env *Env) error {
	if err := storeFolder(c.Data); err != nil {
		return err
	}
	m := newMeter(env)
	rep, err := disk.Verify(env.Context, c.Data, disk.Options{Folds: folds()}, func(what string, done, total int64) {
		if total > 0 {
			m.show("%s: %d of %d", what, done, total)
			return
		}
		m.show("%s: %d", what, done)
	})
	m.end()
	if err != nil {
		return stopped(err, "store verify")
	}
	if rep.Problems == nil {
		rep.Problems = []disk.Problem{}
	}
	return printReport(env, rep, c.Data, c.JSON)
}

func printReport(env *Env, rep *disk.Report, dir string, asJSON bool) error {
	wrong := len(rep.Problems) + rep.More
	if asJSON {
		if err := printJSON(env, struct {
			OK bool `json:"ok"`
			*disk.Report
		}{wrong == 0, rep}); err != nil {
			return err
		}
	} else if err := printProblems(env, rep); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%s is damaged: %s. Restore a backup (continuo restore), or copy what can be read into a new folder: continuo store repair NEW --data %s",
			dir, count(wrong, "problem"), dir)
	}
	return nil
}

func printProblems(env *Env, rep *disk.Report) error {
	for _, p := range rep.Problems {
		if _, err := fmt.Fprintf(env.Stdout, "%s %s: %s\n", paint(env.Stdout, red, "✗"), p.Where, strings.TrimSpace(p.What)); err != nil {
			return err
		}
	}
	if rep.More > 0 {
		if _, err := fmt.Fprintf(env.Stdout, "and %d more\n", rep.More); err != nil {
			return err
		}
	}
	verdict := paint(env.Stdout, green, "all is well")
	if len(rep.Problems) > 0 {
		verdict = paint(env.Stdout, red, count(len(rep.Problems)+rep.More, "problem"))
	}
	_, err := fmt.Fprintf(env.Stdout, "%s: %s, %s with %d entries, %d rows\n", verdict, count(rep.Tables, "table"), count(rep.Streams, "stream"), rep.Entries, rep.Rows)
	return err
}
