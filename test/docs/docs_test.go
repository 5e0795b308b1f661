// Package docs runs every command block of the documents as a reader would, and follows every link between them.
package docs

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/test/address"
)

const root = "../.."

// documents lists the Markdown files for users.
func documents(t *testing.T) []string {
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md", "spec/*.md", "spec/vectors/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// block is one fenced block of shell commands.
type block struct {
	line int
	text string
}

// background reports whether the block is to go on while the reader opens another terminal.
func (b block) background() bool { return strings.HasPrefix(b.text, "# leave it running\n") }

// blocks reads the ```sh blocks of a document. Other languages (text, yaml, html …) are not run.
func blocks(t *testing.T, file string) []block {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []block
	var in *block
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		switch line := s.Text(); {
		case in == nil && line == "```sh":
			in = &block{line: n}
		case in != nil && line == "```":
			all = append(all, *in)
			in = nil
		case in != nil:
			in.text += line + "\n"
		}
	}
	return all
}

func TestCommands(t *testing.T) {
	bin := binary(t)
	ran := 0
	for _, file := range documents(t) {
		name, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		list := blocks(t, file)
		if len(list) == 0 || name == "CONTRIBUTING.md" {
			continue // what contributors run is this very run
		}
		ran += len(list)
		t.Run(name, func(t *testing.T) {
			r := newReader(t, bin)
			for _, b := range list {
				r.run(fmt.Sprintf("%s:%d", name, b.line), b)
			}
		})
	}
	t.Logf("summary: docs: %d command blocks were run", ran)
}

func binary(t *testing.T) string {
	if bin := os.Getenv("CONTINUO_BIN"); bin != "" {
		if abs, err := filepath.Abs(bin); err == nil {
			if _, err := os.Stat(abs); err == nil {
				return abs
			}
		}
	}
	bin := filepath.Join(t.TempDir(), "continuo")
	build := exec.Command("go", "build", "-o", bin, "./cmd/continuo")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// reader is somebody who follows one document in a folder of their own. The server listens on a free port instead of
// 6001: the environment says so to the commands, and addresses in the text are replaced.
type reader struct {
	t    *testing.T
	dir  string
	addr string
	env  []string
}

func newReader(t *testing.T, bin string) *reader {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(bin, filepath.Join(dir, "bin", "continuo")); err != nil {
		t.Fatal(err)
	}
	for _, shared := range []string{"examples", "deploy", "go.mod", "go.sum", "internal", "cmd", "sdk"} {
		if abs, err := filepath.Abs(filepath.Join(root, shared)); err == nil {
			if _, err := os.Stat(abs); err == nil {
				_ = os.Symlink(abs, filepath.Join(dir, shared))
			}
		}
	}
	addr := address.Free()
	git, err := filepath.Abs(filepath.Join(root, ".git"))
	if err != nil {
		t.Fatal(err)
	}
	return &reader{t: t, dir: dir, addr: addr, env: append(os.Environ(), "CONTINUO_LISTEN="+addr, "CONTINUO_URL=http://"+addr,
		"GIT_DIR="+git, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))}
}

func (r *reader) command(ctx context.Context, b block) *exec.Cmd {
	text := strings.ReplaceAll(b.text, "127.0.0.1:6001", r.addr)
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	cmd.Dir, cmd.Env = r.dir, r.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

var makes = regexp.MustCompile(`^make\s+([a-z-]+)\s*$`)

func (r *reader) run(where string, b block) {
	r.t.Helper()
	if m := makes.FindStringSubmatch(strings.TrimSpace(b.text)); m != nil {
		check := exec.Command("make", "-n", m[1])
		check.Dir = root
		if out, err := check.CombinedOutput(); err != nil {
			r.t.Errorf("%s: make %s is no target: %v\n%s", where, m[1], err, out)
		}
		return
	}
	if b.background() {
		r.leaveRunning(where, b)
		return
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 60*time.Second)
	defer cancel()
	if out, err := r.command(ctx, b).CombinedOutput(); err != nil {
		r.t.Errorf("%s: %v\n%s\nsaid:\n%s", where, err, b.text, out)
	}
}

// leaveRunning starts a block and goes on when it has said its first word.
func (r *reader) leaveRunning(where string, b block) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	cmd := r.command(ctx, b)
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		r.t.Fatalf("%s: %v", where, err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		in.Close()
	}()
	r.t.Cleanup(func() {
		cancel()
		<-ended
	})
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		said <- line
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case line := <-said:
		if line == "" || strings.HasPrefix(line, "continuo: ") {
			r.t.Fatalf("%s: %q ended at once: %s", where, b.text, line)
		}
	case <-time.After(20 * time.Second):
		r.t.Fatalf("%s: %q said nothing", where, b.text)
	}
}

var links = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks follows the links between files of the repository, to headings too.
func TestLinks(t *testing.T) {
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range links.FindAllStringSubmatch(string(text), -1) {
			target, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			to := file
			if target != "" {
				to = filepath.Join(filepath.Dir(file), target)
			}
			body, err := os.ReadFile(to)
			if err != nil {
				if info, statErr := os.Stat(to); statErr != nil || !info.IsDir() {
					t.Errorf("%s links to %s, which is not there", file, m[1])
				}
				continue
			}
			if heading != "" && !hasHeading(string(body), heading) {
				t.Errorf("%s links to %s, which has no such heading", file, m[1])
			}
		}
	}
}

var notInAnchor = regexp.MustCompile("[^a-z0-9 _-]")

func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			title := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
			if strings.ReplaceAll(notInAnchor.ReplaceAllString(title, ""), " ", "-") == anchor {
				return true
			}
		}
	}
	return strings.Contains(text, fmt.Sprintf("<a id=%q>", anchor))
}
