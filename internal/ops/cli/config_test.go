package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/ops/config"
)

func TestConfigInitAndCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if code, out, errs := run(t, "config", "init", file); code != ExitOK || !strings.Contains(out, "continuo serve --config "+file) {
		t.Fatal(code, out, errs)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if code, _, errs := run(t, "config", "init", file); code != ExitFailed || !strings.Contains(errs, "--force") {
		t.Error(code, errs)
	}
	if code, out, errs := run(t, "config", "init", "--force", "--json", file); code != ExitOK || !json.Valid([]byte(out)) {
		t.Error(code, out, errs)
	}
	if code, _, errs := run(t, "config", "init", filepath.Join(file+".d", "c.yaml")); code != ExitFailed || !strings.Contains(errs, "does not exist") {
		t.Error(code, errs)
	}
	if code, out, errs := run(t, "config", "check", file); code != ExitOK || !strings.Contains(out, "is fine: production mode, 1 app, 3 channel policies") {
		t.Error(code, out, errs)
	}
	if code, out, _ := run(t, "config", "init", "-"); code != ExitOK || !strings.Contains(out, "apps:") {
		t.Error(code, out)
	}
}

func TestConfigCheckFaults(t *testing.T) {
	file := filepath.Join("..", "config", "testdata", "ten.yaml")
	code, out, errs := run(t, "config", "check", file)
	if code != ExitFailed || strings.Count(out, "\n") != 10 || !strings.Contains(errs, "has 10 faults") {
		t.Error(code, out, errs)
	}
	code, out, _ = run(t, "config", "check", "--json", file)
	var got struct {
		OK     bool
		Faults []config.Problem
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != ExitFailed || got.OK || len(got.Faults) != 10 || got.Faults[0].Line != 2 {
		t.Error(code, err, out)
	}
}

func TestConfigShow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	run(t, "config", "init", file)
	code, out, errs := run(t, "config", "show", "--config", file, "--set", "--listen", ":7000", "--store", "memory", "--no-metrics-public", "--drain=1m")
	for _, want := range []string{"listen: :7000 # --listen", "engine: memory # --store", "public: false # --metrics-public", "drain: 1m # --drain", "secret: (secret)"} {
		if code != ExitOK || !strings.Contains(out, want) {
			t.Errorf("%d: %q is missing in\n%s%s", code, want, out, errs)
		}
	}
	if code, out, errs := run(t, "config", "show", "--json"); code != ExitOK || !json.Valid([]byte(out)) {
		t.Error(code, out, errs)
	}
	if code, _, errs := run(t, "config", "show", "--drain=never"); code != ExitFailed || !strings.Contains(errs, `--drain: drain: "never" is not a duration`) {
		t.Error(code, errs)
	}
}

func TestConfigDocs(t *testing.T) {
	if code, out, _ := run(t, "config", "docs"); code != ExitOK || out != string(config.Reference()) {
		t.Error(code)
	}
}

// Every key with a flag must be one that kong takes.
func TestEverySettingIsAFlag(t *testing.T) {
	args := []string{"config", "show", "--set"}
	for _, s := range config.Settings() {
		switch {
		case s.Flag == "" || strings.HasPrefix(s.Key, "app."):
		case s.Kind == "true or false":
			args = append(args, "--"+s.Flag)
		case s.Default != "":
			args = append(args, "--"+s.Flag+"="+s.Default)
		}
	}
	if code, out, errs := run(t, args...); code != ExitOK || !strings.Contains(out, "--websocket-outbox") {
		t.Error(code, out, errs)
	}
}
