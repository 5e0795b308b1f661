package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

// run executes a command line inside the test's process.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(context.Background(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestMainExitCodes(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string // a part of it; "" means nothing may be printed
		stderr string
	}{
		{"no arguments show the help", nil, ExitOK, "version", ""},
		{"help", []string{"--help"}, ExitOK, "Usage: continuo <command>", ""},
		{"help of a command", []string{"version", "--help"}, ExitOK, "--json", ""},
		{"version", []string{"version"}, ExitOK, "continuo " + Version(), ""},
		{"unknown command", []string{"dance"}, ExitUsage, "", "Try: continuo --help"},
		{"unknown flag", []string{"version", "--dance"}, ExitUsage, "", "Try: continuo version --help"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := run(t, tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			checkOutput(t, "stdout", stdout, tt.stdout)
			checkOutput(t, "stderr", stderr, tt.stderr)
		})
	}
}

func checkOutput(t *testing.T, stream, got, part string) {
	t.Helper()
	if part == "" && got != "" {
		t.Errorf("%s: got %q, want nothing", stream, got)
	}
	if !strings.Contains(got, part) {
		t.Errorf("%s: got %q, want it to contain %q", stream, got, part)
	}
}

func TestVersionJSON(t *testing.T) {
	code, stdout, stderr := run(t, "version", "--json")
	if code != ExitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("not JSON: %v: %q", err, stdout)
	}
	want := map[string]string{
		"version": Version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s: got %q, want %q", key, got[key], value)
		}
	}
}
