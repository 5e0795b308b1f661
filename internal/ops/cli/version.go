package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker (-X) in builds made with make; see Version.
var version string

// Version names this build: the tag (or commit) it was made from, else what the Go tool recorded, else "devel".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

type versionCommand struct {
	JSON bool `name:"json" help:"Print a JSON object instead of a line."`
}

// Run prints the version, the Go release that built it, and the platform.
func (c versionCommand) Run(env *Env) error {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	if c.JSON {
		return json.NewEncoder(env.Stdout).Encode(struct {
			Version  string `json:"version"`
			Go       string `json:"go"`
			Platform string `json:"platform"`
		}{Version(), runtime.Version(), platform})
	}
	_, err := fmt.Fprintf(env.Stdout, "continuo %s (%s, %s)\n", Version(), runtime.Version(), platform)
	return err
}
