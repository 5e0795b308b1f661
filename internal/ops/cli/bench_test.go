package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/ops/bench/fake"
	"github.com/continuo-rt/continuo/internal/ops/bench/report"
)

func TestBenchRunsEveryWorkload(t *testing.T) {
	server := fake.Start(fake.Faults{})
	defer server.Close()
	for _, args := range [][]string{
		{"fanout", "--subscribers=3", "--rate=100", "--duration=30ms", "--warmup=10ms"},
		{"loaded", "--subscribers=3", "--in-flight=2", "--duration=30ms", "--warmup=10ms"},
		{"channels", "--channels=3", "--subscribers=2", "--rate=100", "--duration=30ms", "--warmup=10ms"},
		{"publish", "--connections=2", "--channels=3", "--count=6", "--duration=20s"},
		{"idle", "--connections=4", "--channels=2", "--settle=1ms"},
		{"storm", "--clients=3", "--missed=2", "--settle=1ms"},
		{"churn", "--workers=2", "--count=4", "--duration=20s"},
		{"hop", "--channels=2", "--subscribers=2", "--hops=200", "--rounds=1", "--round=30ms"},
	} {
		t.Run(args[0], func(t *testing.T) {
			line := append([]string{"bench"}, args...)
			line = append(line, "--url", server.URL.String(), "--protocol=sockudo", "--name=toy", "--case=mine", "--storage=none")
			code, table, stderr := run(t, line...)
			if code != ExitOK || !strings.HasPrefix(table, "toy: mine over sockudo (none)\n") {
				t.Fatalf("exit code %d\n%s%s", code, table, stderr)
			}
			code, line1, stderr := run(t, append(line, "--json")...)
			all, err := report.Read(strings.NewReader(line1))
			if code != ExitOK || err != nil || len(all) != 1 || len(all[0].Figures) == 0 {
				t.Errorf("exit code %d, %v\n%s%s", code, err, line1, stderr)
			}
		})
	}
}

func TestBenchRefusesOtherMachines(t *testing.T) {
	for _, url := range []string{"http://192.0.2.7:6001", "https://127.0.0.1:6001", "127.0.0.1:6001", "http://%zz"} {
		code, _, stderr := run(t, "bench", "churn", "--duration=1ms", "--url", url)
		if code != ExitFailed || stderr == "" {
			t.Errorf("%s: exit code %d, %q", url, code, stderr)
		}
	}
	if code, _, stderr := run(t, "bench", "churn", "--protocol=smtp"); code != ExitUsage || !strings.Contains(stderr, "nchan") {
		t.Errorf("an unknown protocol: exit code %d, %q", code, stderr)
	}
}

func TestBenchCompare(t *testing.T) {
	folder := t.TempDir()
	save := func(name string, r report.Result) string {
		path := filepath.Join(folder, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := r.WriteJSON(f); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mine, other := report.Result{Target: "mine", Case: "x"}, report.Result{Target: "other", Case: "x"}
	mine.Add("cost", 1, "s", report.Less)
	other.Add("cost", 2, "s", report.Less)
	code, out, stderr := run(t, "bench", "compare", save("a", mine), save("b", other))
	if code != ExitOK || !strings.Contains(out, "mine : other") || !strings.Contains(out, "0.50") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
	empty := filepath.Join(folder, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(folder, "broken")
	if err := os.WriteFile(broken, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, broken, filepath.Join(folder, "none")} {
		if code, _, stderr := run(t, "bench", "compare", path); code != ExitFailed || stderr == "" {
			t.Errorf("%s: exit code %d, %q", path, code, stderr)
		}
	}
}

func TestBenchDisk(t *testing.T) {
	code, out, stderr := run(t, "bench", "disk", t.TempDir(), "--duration=5ms")
	if code != ExitOK || !strings.Contains(out, "append and fsync p50") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
}
