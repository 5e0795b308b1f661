// Package cli runs the real binary as people do: each file in testdata/script is a manual page of a command or a signal
// that is executed.
//
// Beside testscript's own commands there are:
//
//	server NAME [ARG…]      start continuo serve on a free port with the data folder NAME; sets $NAME (its URL) and
//	                        $NAME_PID. A file NAME.yaml is its configuration. Its log is kept.
//	signal NAME TERM|HUP|KILL
//	logged NAME REGEXP      wait until a line of the server's log, or of what it printed, matches
//	ended NAME [CODE]       wait until the server has ended, with this exit code
//	get [-H 'NAME: V'] [-d BODY] [-unix PATH] URL   print the status, the headers and the body of an answer
//	certificate PREFIX CN   write PREFIX.pem and PREFIX.key
//	damage GLOB             overwrite bytes in the middle of the first file that matches
package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "continuo-cli")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary = build(dir)
		return m.Run()
	}())
}

// build gives the binary under test: the one that was built already, or a fresh one.
func build(dir string) string {
	if bin := os.Getenv("CONTINUO_BIN"); bin != "" {
		if abs, err := filepath.Abs(bin); err == nil {
			if _, err := os.Stat(abs); err == nil {
				return abs
			}
		}
	}
	bin := filepath.Join(dir, "continuo")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/continuo-rt/continuo/cmd/continuo").CombinedOutput()
	if err != nil {
		panic(string(out))
	}
	return bin
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			bin := filepath.Join(e.WorkDir, ".bin")
			if err := os.Mkdir(bin, 0o755); err != nil {
				return err
			}
			if err := os.Symlink(binary, filepath.Join(bin, "continuo")); err != nil {
				return err
			}
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("CONTINUO_LOG_FORMAT", "text")
			e.Setenv("HOME", e.WorkDir)
			e.Values[servers{}] = map[string]*server{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": startServer, "signal": sendSignal, "logged": waitLog, "ended": waitEnd, "get": get,
			"certificate": makeCertificate, "damage": damage,
		},
	})
}
