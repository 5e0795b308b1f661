package cli

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long anything may take before a test fails.
const patience = 30 * time.Second

type servers struct{}

// server is a running continuo serve.
type server struct {
	cmd  *exec.Cmd
	done chan struct{}
	code int

	mu    sync.Mutex
	lines []string
	news  chan struct{} // closed and made anew with each line
	read  int           // lines that logged has passed
}

var listening = regexp.MustCompile(`listening\s+(https?://\S+)`)

// launch starts a server and waits until it listens. It returns where.
func launch(bin, dir string, env []string, args ...string) (*server, string, error) {
	s := &server{cmd: exec.Command(bin, append([]string{"serve"}, args...)...), done: make(chan struct{}), news: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env = dir, env
	r, w, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		return nil, "", err
	}
	w.Close()
	go func() {
		defer close(s.done)
		s.follow(r)
		_ = s.cmd.Wait()
		s.code = s.cmd.ProcessState.ExitCode()
	}()
	line, err := s.await(listening)
	if err != nil {
		return nil, "", err
	}
	return s, listening.FindStringSubmatch(line)[1], nil
}

func (s *server) follow(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.mu.Lock()
		s.lines = append(s.lines, lines.Text())
		close(s.news)
		s.news = make(chan struct{})
		s.mu.Unlock()
	}
}

// await returns the next line that matches.
func (s *server) await(what *regexp.Regexp) (string, error) {
	late := time.After(patience)
	for {
		s.mu.Lock()
		for s.read < len(s.lines) {
			line := s.lines[s.read]
			s.read++
			if what.MatchString(line) {
				s.mu.Unlock()
				return line, nil
			}
		}
		news := s.news
		s.mu.Unlock()
		select {
		case <-news:
			continue
		case <-s.done:
			s.mu.Lock()
			left := s.read < len(s.lines)
			s.mu.Unlock()
			if left {
				continue
			}
		case <-late:
		}
		return "", &missing{what.String(), s.log()}
	}
}

type missing struct{ what, log string }

func (m *missing) Error() string { return "no line matches " + m.what + "\n" + m.log }

func (s *server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

func known(ts *testscript.TestScript) map[string]*server {
	return ts.Value(servers{}).(map[string]*server)
}

func startServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: server NAME [ARG…]")
	}
	name := args[0]
	flags := []string{"--data", name}
	if !strings.Contains(strings.Join(args, " "), "--listen") {
		flags = append(flags, "--listen", "127.0.0.1:0")
	}
	if file := ts.MkAbs(name + ".yaml"); exists(file) {
		flags = append(flags, "--config", file)
	}
	env := []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "CONTINUO_LOG_FORMAT=text"}
	s, url, err := launch(binary, ts.MkAbs("."), env, append(flags, args[1:]...)...)
	ts.Check(err)
	ts.Defer(s.kill)
	known(ts)[name] = s
	ts.Setenv(name, url)
	ts.Setenv(name+"_PID", strconv.Itoa(s.cmd.Process.Pid))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func serverNamed(ts *testscript.TestScript, neg bool, args []string, n int) *server {
	if neg || len(args) < n || known(ts)[args[0]] == nil {
		ts.Fatalf("no such server, or arguments are missing: %q", args)
	}
	return known(ts)[args[0]]
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	s := serverNamed(ts, neg, args, 2)
	signal, ok := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL, "INT": syscall.SIGINT}[args[1]]
	if !ok {
		ts.Fatalf("no such signal: %s", args[1])
	}
	ts.Check(s.cmd.Process.Signal(signal))
}

func waitLog(ts *testscript.TestScript, neg bool, args []string) {
	s := serverNamed(ts, neg, args, 2)
	line, err := s.await(regexp.MustCompile(args[1]))
	ts.Check(err)
	ts.Logf("%s", line)
}

func waitEnd(ts *testscript.TestScript, neg bool, args []string) {
	s := serverNamed(ts, neg, args, 1)
	want := 0
	if len(args) > 1 {
		var err error
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		ts.Fatalf("%s has not ended\n%s", args[0], s.log())
	}
	if s.code != want {
		ts.Fatalf("%s ended with code %d, not %d\n%s", args[0], s.code, want, s.log())
	}
}

func damage(ts *testscript.TestScript, neg bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("no file matches %s", args[0])
	}
	b, err := os.ReadFile(files[0])
	ts.Check(err)
	for i := len(b) / 2; i < len(b)/2+64 && i < len(b); i++ {
		b[i] ^= 0x5a
	}
	ts.Check(os.WriteFile(files[0], b, 0o600))
	ts.Logf("damaged %s", files[0])
}
