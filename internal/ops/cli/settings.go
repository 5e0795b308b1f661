package cli

import (
	"os"

	"github.com/alecthomas/kong"

	"github.com/continuo-rt/continuo/internal/ops/config"
)

// settings are the flags of every key of the configuration, for commands that act like a server. Make them with
// newSettings before the grammar is parsed.
type settings struct {
	Config string `name:"config" short:"c" placeholder:"FILE" help:"Configuration file (YAML); also CONTINUO_CONFIG."`
	kong.Plugins
	flags *config.Flags
}

func newSettings() settings {
	flags := config.NewFlags()
	return settings{Plugins: kong.Plugins{flags.Target()}, flags: flags}
}

// sources are where the configuration of this command line comes from.
func (s *settings) sources() config.Sources {
	return config.Sources{File: s.Config, Env: os.Environ(), Flags: s.flags.Given()}
}

// load reads the configuration: file, then variables, then flags.
func (s *settings) load() (*config.Config, config.Problems) { return config.Load(s.sources()) }
