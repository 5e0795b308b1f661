package crash

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/test/address"
)

// TestPipe is the README's tour: a source is piped through `continuo publish --stdin` into a channel that `continuo
// subscribe` shows, the server is killed in the middle and started again, and not one line is missing, doubled or out of
// order.
func TestPipe(t *testing.T) {
	const lines = 20_000
	bin, dir := binary(t), t.TempDir()
	listen := address.Free()
	server, target := serve(t, bin, dir, listen)
	subscribe := exec.Command(bin, "subscribe", "log", "--url", target, "--count", fmt.Sprint(lines))
	shown, err := subscribe.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	state, err := subscribe.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := subscribe.Start(); err != nil {
		t.Fatal(err)
	}
	connection := bufio.NewScanner(state)
	for connection.Scan() && connection.Text() != "# subscribed log" {
	}
	var said strings.Builder
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for connection.Scan() {
			fmt.Fprintln(&said, connection.Text())
		}
	}()
	publish := exec.Command(bin, "publish", "--stdin", "--url", target, "log", "line")
	in, err := publish.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	publish.Stdout, publish.Stderr = &told, &told
	if err := publish.Start(); err != nil {
		t.Fatal(err)
	}
	killed := make(chan struct{}) // both times
	go func() {
		defer in.Close()
		for i := range lines {
			if i == lines*2/3 { // a subscriber that is behind would not notice the kills
				<-killed
			}
			if _, err := fmt.Fprintf(in, "{\"n\":%d}\n", i); err != nil {
				return
			}
		}
	}()
	got := bufio.NewScanner(shown)
	for i := range lines {
		if !got.Scan() {
			t.Fatalf("subscribe ended after %d lines; it said:\n%s\npublish said:\n%s", i, said.String(), told.String())
		}
		if want := fmt.Sprintf("%d log line {\"n\":%d}", i+1, i); got.Text() != want {
			t.Fatalf("line %d is %q, want %q", i, got.Text(), want)
		}
		if i == lines/3 || i == lines/2 { // in the middle
			_ = server.Process.Kill()
			_ = server.Wait()
			if server, _ = serve(t, bin, dir, listen); i == lines/2 {
				close(killed)
			}
		}
	}
	if err := subscribe.Wait(); err != nil {
		t.Errorf("subscribe: %v", err)
	}
	<-drained
	if err := publish.Wait(); err != nil {
		t.Errorf("publish: %v\n%s", err, told.String())
	}
	_ = server.Process.Kill()
	_ = server.Wait()
	if !strings.Contains(said.String(), "# resumed") {
		t.Errorf("the subscriber did not say that it resumed:\n%s", said.String())
	}
	t.Logf("summary: pipe: %d lines through 2 kills, none missing, doubled or out of order", lines)
}

// serve runs the server in development mode and waits until it says where it listens.
func serve(t *testing.T, bin, dir, listen string) (*exec.Cmd, string) {
	cmd := exec.Command(bin, "serve", "--listen", listen, "--data", filepath.Join(dir, "data"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for said := bufio.NewScanner(out); said.Scan(); {
		if m := listening.FindStringSubmatch(said.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return cmd, m[1]
		}
	}
	_ = cmd.Wait()
	t.Fatalf("the server did not start:\n%s", errs.String())
	return nil, ""
}
