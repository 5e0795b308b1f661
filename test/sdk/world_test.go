// Package sdk plays the scenario of spec/vectors/client with the Go library, and holds the libraries to their promises
// through connections and processes that die.
package sdk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/test/address"
	"github.com/continuo-rt/continuo/test/sdk/fault"
)

// patience is how long anything may take before a test gives up on it.
const patience = 30 * time.Second

// binary is the server's: CONTINUO_BIN, or one that is built for this run.
var binary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("CONTINUO_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	return build("continuo", "../../cmd/continuo")
})

var built = struct{ dir string }{}

func build(name, from string) (string, error) {
	bin := filepath.Join(built.dir, name)
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, from).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return bin, nil
}

func TestMain(m *testing.M) {
	if again() {
		return
	}
	code := func() int {
		dir, err := os.MkdirTemp("", "continuo-sdk-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		built.dir = dir
		return m.Run()
	}()
	os.Exit(code)
}

// server is a real server as a process of its own, which can be killed and comes back at the same address.
type server struct {
	t       testing.TB
	dir     string
	address string
	cmd     *exec.Cmd
	stderr  strings.Builder
}

func serve(t testing.TB, config string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), address: address.Free()}
	if err := os.WriteFile(filepath.Join(s.dir, "continuo.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	return s
}

func (s *server) url() string { return "http://" + s.address }

// start runs the server and waits until it says where it listens.
func (s *server) start() {
	s.t.Helper()
	if err := s.run(); err != nil {
		s.t.Fatal(err)
	}
}

// run tries again when the server's port is taken for a moment, by a connection that is going away.
func (s *server) run() error {
	bin, err := binary()
	if err != nil {
		return err
	}
	for range 50 {
		s.cmd = exec.Command(bin, "serve", "--config", filepath.Join(s.dir, "continuo.yaml"), "--listen", s.address, "--data", filepath.Join(s.dir, "data"))
		s.stderr.Reset()
		s.cmd.Stderr = &s.stderr
		out, err := s.cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := s.cmd.Start(); err != nil {
			return err
		}
		for said := bufio.NewScanner(out); said.Scan(); {
			if strings.Contains(said.Text(), "listening") {
				go func() { _, _ = io.Copy(io.Discard, out) }()
				return nil
			}
		}
		_ = s.cmd.Wait()
	}
	return fmt.Errorf("the server did not start:\n%s", s.stderr.String())
}

// end stops the server and waits until it has gone.
func (s *server) end(how os.Signal) {
	_ = s.cmd.Process.Signal(how)
	_ = s.cmd.Wait()
}

func proxy(t testing.TB, to string, seed uint64) *fault.Proxy {
	t.Helper()
	p, err := fault.Listen(to, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// board is what several goroutines write on and a test waits for.
type board struct {
	mu      sync.Mutex
	changed chan struct{}
}

func newBoard() *board { return &board{changed: make(chan struct{})} }

// do changes something and wakes who waits.
func (b *board) do(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
	close(b.changed)
	b.changed = make(chan struct{})
}

// until waits until check finds nothing missing, for as long as ctx or our patience lasts; what it missed last is the error.
func (b *board) until(ctx context.Context, check func() error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	for {
		b.mu.Lock()
		err, changed := check(), b.changed
		b.mu.Unlock()
		if err == nil || errors.Is(err, errNever) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waited in vain: %w", err)
		}
	}
}

// errNever says that waiting does not help.
var errNever = errors.New("this cannot become right")
