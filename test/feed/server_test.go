// Package feed runs clients of the feed protocol, which know the protocol alone, against the real server: through cut
// connections, slow phases and kills.
package feed

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
	"github.com/continuo-rt/continuo/test/address"
)

// configuration has room for everything that a test publishes, small buffers, and a feed with a filter.
const configuration = `
mode: development
drain: 1s
websocket: {outbox: 16KiB}
hot: {entries: 64}
apps:
  - id: app
    keys: [{key: app-key, secret: secret-of-the-feed-test}]
    feed_keys:
      - {id: all, secret: all-channels, channels: ["*"]}
      - {id: named, secret: named-channels, channels: [plain, keyed]}
    channels:
      - pattern: brief
        retention: {age: 24h, entries: 200, bytes: 1GiB}
      - pattern: forgetful
        durability: volatile
        retention: {age: 24h, entries: 10000000, bytes: 1GiB}
      - pattern: "*"
        mutable: true
        retention: {age: 24h, entries: 10000000, bytes: 1GiB}
        feed: {filters: {groups: /group}}
`

// server is the real server, which can be killed and started again on the same address.
type server struct {
	t      testing.TB
	bin    string
	dir    string
	engine string
	listen string
	url    string

	mu      sync.Mutex
	process *exec.Cmd
	errs    *strings.Builder // of process, complete when it has ended
}

func start(t *testing.T, engine string) *server {
	s := &server{t: t, bin: binary(t), dir: t.TempDir(), engine: engine, listen: address.Free()}
	if err := os.WriteFile(filepath.Join(s.dir, "continuo.yaml"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + s.listen
	s.start()
	t.Cleanup(s.kill)
	return s
}

// binary is the server under test: the one that was built already, or a fresh one.
func binary(t testing.TB) string {
	if bin := os.Getenv("CONTINUO_BIN"); bin != "" {
		if abs, err := filepath.Abs(bin); err == nil {
			if _, err := os.Stat(abs); err == nil {
				return abs
			}
		}
	}
	bin := filepath.Join(t.TempDir(), "continuo")
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/continuo").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

var listening = regexp.MustCompile(`listening\s+http://(\S+)`)

func (s *server) start() {
	cmd := exec.Command(s.bin, "serve", "--config", filepath.Join(s.dir, "continuo.yaml"), "--listen", s.listen, "--store", s.engine,
		"--data", filepath.Join(s.dir, "data"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			s.mu.Lock()
			s.process, s.errs = cmd, &errs
			s.mu.Unlock()
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return
		}
	}
	_ = cmd.Wait()
	s.t.Fatalf("the server did not start:\n%s", errs.String())
}

func (s *server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if strings.Contains(s.errs.String(), bad) {
				s.t.Errorf("the server printed\n%s", s.errs)
			}
		}
	}
}

// stop asks the server to stop in an orderly way.
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) caller() client.Server {
	return client.Server{URL: s.url, App: "app", Key: "app-key", Secret: "secret-of-the-feed-test"}
}

// publish publishes through restarts; the errors of an ended ctx are none.
func (s *server) publish(ctx context.Context, ms ...client.Message) {
	p := client.Publisher{Server: s.caller(), HTTP: &http.Client{Timeout: 5 * time.Second}}
	if _, err := p.Publish(ctx, ms...); err != nil && ctx.Err() == nil {
		s.t.Errorf("publish: %v", err)
	}
}

// snapshot is all pages of a channel's state.
type snapshot struct {
	Epoch   string `json:"serverEpoch"`
	EntryID string `json:"entryId"`
	Items   []struct {
		Key     string          `json:"key"`
		Payload json.RawMessage `json:"payload"`
	} `json:"items"`
	HasMore bool   `json:"has_more"`
	Next    string `json:"next_cursor"`
}

func (s *server) snapshot(ctx context.Context, channel string) (all snapshot, err error) {
	for cursor := ""; ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/feed/snapshot/"+channel+"?limit=7"+cursor, nil)
		if err != nil {
			return all, err
		}
		req.Header.Set("Authorization", "Bearer all-channels")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return all, err
		}
		var page snapshot
		err = json.NewDecoder(res.Body).Decode(&page)
		_ = res.Body.Close()
		switch {
		case err != nil:
			return all, err
		case res.StatusCode != http.StatusOK:
			return all, errors.New(res.Status)
		case cursor != "" && page.EntryID != all.EntryID:
			return all, errors.New("the pages of one snapshot are of different positions")
		}
		all.Epoch, all.EntryID = page.Epoch, page.EntryID
		all.Items = append(all.Items, page.Items...)
		if !page.HasMore {
			return all, nil
		}
		cursor = "&cursor=" + page.Next
	}
}
