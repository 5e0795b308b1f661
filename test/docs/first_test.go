package docs

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestFirstMessage is a newcomer on an empty machine: no home, no variables, an empty folder, the binary alone. The
// commands that the server's greeting proposes reach the first message.
func TestFirstMessage(t *testing.T) {
	bin, dir := binary(t), t.TempDir()
	began := time.Now()
	command := func(line string) *exec.Cmd {
		cmd := exec.Command(bin, strings.Fields(line)...)
		cmd.Dir, cmd.Env = dir, []string{}
		return cmd
	}
	server := command("serve --listen 127.0.0.1:0")
	greeting, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	var subscribe, publish string
	for s := bufio.NewScanner(greeting); publish == "" && s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if rest, ok := strings.CutPrefix(line, "continuo subscribe "); ok {
			subscribe = "subscribe --count 1 " + rest
		}
		if rest, ok := strings.CutPrefix(line, "continuo publish "); ok {
			publish = "publish " + strings.ReplaceAll(rest, "'", "")
		}
	}
	if subscribe == "" || publish == "" {
		t.Fatal("the greeting proposes no commands")
	}
	follower := command(subscribe)
	shown, err := follower.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	state, err := follower.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follower.Start(); err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(state); s.Scan() && !strings.HasPrefix(s.Text(), "# subscribed"); {
	}
	if out, err := command(publish).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", publish, err, out)
	}
	got := bufio.NewScanner(shown)
	if !got.Scan() || got.Text() != `1 news hello {"a":1}` {
		t.Fatalf("the subscriber shows %q", got.Text())
	}
	if err := follower.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("summary: first message: %d ms after the first command, in an empty environment", time.Since(began).Milliseconds())
}
