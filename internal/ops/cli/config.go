package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/continuo-rt/continuo/internal/ops/config"
)

// configCommand groups what can be done with a configuration without a server.
type configCommand struct {
	Check configCheckCommand `cmd:"" help:"Report everything that is wrong with a configuration file, with line and suggestion."`
	Show  configShowCommand  `cmd:"" help:"Print the configuration that a server would have, without secrets."`
	Init  configInitCommand  `cmd:"" help:"Write a commented configuration file with an app of its own."`
	Docs  configDocsCommand  `cmd:"" help:"Print the reference of all keys as Markdown."`
}

type configCheckCommand struct {
	File string `arg:"" optional:"" help:"The file to check; without one, CONTINUO_CONFIG. Variables count too, as they do for the server."`
	JSON bool   `name:"json" help:"Print a JSON object instead of lines."`
}

// Run prints the problems and fails if one of them is a fault.
func (c configCheckCommand) Run(env *Env) error {
	cfg, problems := config.Load(config.Sources{File: c.File, Env: os.Environ()})
	faults, warnings := problems.Faults(), problems.Warnings()
	name := c.File
	if name == "" {
		name = "the configuration"
	}
	if c.JSON {
		if err := printJSON(env, struct {
			OK       bool            `json:"ok"`
			Faults   config.Problems `json:"faults"`
			Warnings config.Problems `json:"warnings"`
		}{len(faults) == 0, orEmpty(faults), orEmpty(warnings)}); err != nil {
			return err
		}
	} else {
		for _, p := range problems {
			if _, err := fmt.Fprintln(env.Stdout, p.Error()); err != nil {
				return err
			}
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s has %s", name, count(len(faults), "fault"))
	}
	if c.JSON {
		return nil
	}
	policies := len(cfg.Channels)
	for _, a := range cfg.Apps {
		policies += len(a.Channels)
	}
	_, err := fmt.Fprintf(env.Stdout, "%s is fine: %s mode, %s, %s\n", name, cfg.Mode, count(len(cfg.Apps), "app"), count2(policies, "channel policy", "channel policies"))
	return err
}

func orEmpty(ps config.Problems) config.Problems {
	if ps == nil {
		return config.Problems{}
	}
	return ps
}

func count(n int, one string) string { return count2(n, one, one+"s") }

func count2(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func printJSON(env *Env, v any) error {
	enc := json.NewEncoder(env.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

type configShowCommand struct {
	settings `embed:""`
	Set      bool `name:"set" help:"Only what differs from the defaults because it was set."`
	JSON     bool `name:"json" help:"Print JSON instead of YAML."`
}

// Run prints the effective configuration with the origin of what was set.
func (c *configShowCommand) Run(env *Env) error {
	cfg, problems := c.load()
	if err := problems.Err(); err != nil {
		return err
	}
	print := cfg.YAML
	if c.JSON {
		print = cfg.JSON
	}
	text, err := print(c.Set)
	if err != nil {
		return err
	}
	if c.JSON {
		text = append(text, '\n')
	}
	_, err = env.Stdout.Write(text)
	return err
}

type configInitCommand struct {
	File  string `arg:"" optional:"" default:"continuo.yaml" help:"The file to write; - is standard output."`
	Force bool   `name:"force" help:"Replace a file that exists."`
	JSON  bool   `name:"json" help:"Print a JSON object about what was written."`
}

// Run writes the file, readable by its owner alone since it holds a secret.
func (c configInitCommand) Run(env *Env) error {
	made := config.RandomApp()
	text := config.InitFile(made)
	if c.File == "-" {
		_, err := env.Stdout.Write(text)
		return err
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(c.File, how, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists already: name another file, or replace it with --force", c.File)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder %s does not exist: make it first", filepath.Dir(c.File))
	case err != nil:
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env, map[string]string{"file": c.File, "app": made.ID, "key": made.Key})
	}
	_, err = fmt.Fprintf(env.Stdout, "Wrote %s with the app %s, key %s. Its secret is in the file.\nStart it: continuo serve --config %s\n", c.File, made.ID, made.Key, c.File)
	return err
}

type configDocsCommand struct{}

// Run prints docs/configuration.md.
func (configDocsCommand) Run(env *Env) error {
	_, err := env.Stdout.Write(config.Reference())
	return err
}
