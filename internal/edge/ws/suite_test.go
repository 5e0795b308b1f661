package ws_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/continuo-rt/continuo/internal/edge/ws"
)

// quick is the part of the Autobahn suite that runs each time: all of the protocol, and samples of what takes minutes
// (volume, compression). AUTOBAHN=all runs everything.
var quick = []string{"1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.1.*", "9.2.*", "9.7.1", "9.8.6", "10.*",
	"12.1.1", "12.1.5", "12.2.3", "13.1.2", "13.2.4", "13.4.3", "13.6.4", "13.7.5"}

// TestAutobahnSuite runs the Autobahn suite itself, strictly, if testdata/autobahn/install has found what it takes to run
// it. Where it has not, TestAutobahnTable alone has tested the cases.
func TestAutobahnSuite(t *testing.T) {
	wstest, err := filepath.Abs("testdata/autobahn/venv/wstest")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(wstest); err != nil {
		fmt.Println("autobahn suite: not installed (testdata/autobahn/install), its cases are tested by the table")
		return
	}
	cases := quick
	if os.Getenv("AUTOBAHN") == "all" {
		cases = []string{"*"}
	}
	server := newEchoServer(t, ws.Options{ReadLimit: 32 << 20, Compression: true}, false)
	dir := t.TempDir()
	spec, err := json.Marshal(map[string]any{
		"outdir":              filepath.Join(dir, "report"),
		"servers":             []map[string]any{{"agent": "continuo", "url": "ws://" + server.Listener.Addr().String()}},
		"cases":               cases,
		"exclude-cases":       []string{},
		"exclude-agent-cases": map[string]any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "spec.json"), spec, 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), wstest, "-m", "fuzzingclient", "-s", filepath.Join(dir, "spec.json"))
	run.Dir = dir
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("wstest: %v\n%s", err, out[max(0, len(out)-4096):])
	}
	judge(t, filepath.Join(dir, "report", "index.json"))
}

// judge reads the suite's report. Informational cases have no right outcome; unimplemented ones are offers of a smaller
// compression window, which are declined.
func judge(t *testing.T, index string) {
	t.Helper()
	b, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	var report map[string]map[string]struct {
		Behavior      string `json:"behavior"`
		BehaviorClose string `json:"behaviorClose"`
	}
	if err := json.Unmarshal(b, &report); err != nil {
		t.Fatal(err)
	}
	count := make(map[string]int)
	for id, c := range report["continuo"] {
		count[c.Behavior]++
		fine := []string{"OK", "INFORMATIONAL", "UNIMPLEMENTED"}
		if !slices.Contains(fine, c.Behavior) || c.BehaviorClose != "OK" && c.BehaviorClose != "INFORMATIONAL" {
			t.Errorf("case %s: %s, close %s", id, c.Behavior, c.BehaviorClose)
		}
	}
	if len(report["continuo"]) == 0 {
		t.Fatal("the suite ran no case")
	}
	fmt.Printf("autobahn suite: %d strict OK, %d informational, %d unimplemented (declined), %d failed of %d\n", count["OK"],
		count["INFORMATIONAL"], count["UNIMPLEMENTED"],
		len(report["continuo"])-count["OK"]-count["INFORMATIONAL"]-count["UNIMPLEMENTED"], len(report["continuo"]))
}
