package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
)

// acked is one publish whose answer came.
type acked struct {
	payload string
	serial  uint64
	at      time.Time
}

// A backup that is taken under load holds everything that was acknowledged before the command began, at the same
// serials, nothing that was never published and no hole; and no publish waited for it.
func TestBackupUnderLoad(t *testing.T) {
	_, url, data := run(t, "")
	channels := []string{"a", "b", "c"}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	all := map[string][]acked{}
	var slowest time.Duration
	enough := make(chan struct{})
	total := 0
	var publishing sync.WaitGroup
	for w := range 16 {
		publishing.Go(func() {
			channel := channels[w%len(channels)]
			p := &client.Publisher{Server: client.Server{URL: url, App: "app-id", Key: "app-key", Secret: "app-secret"}}
			for n := 0; ctx.Err() == nil; n++ {
				payload := fmt.Sprintf("w%d-%d", w, n)
				quoted, _ := json.Marshal(payload)
				began := time.Now()
				at, err := p.Publish(context.WithoutCancel(ctx), client.Message{Name: "n", Channel: channel, Data: quoted, Idempotency: payload})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all[channel] = append(all[channel], acked{payload, at[0].Serial, time.Now()})
				slowest = max(slowest, time.Since(began))
				if total++; total%1000 == 0 {
					select {
					case enough <- struct{}{}:
					default:
					}
				}
				mu.Unlock()
			}
		})
	}
	wait := func() {
		select {
		case <-enough:
		case <-time.After(patience):
			t.Fatal("publishing is stuck")
		}
	}
	wait()
	copies := filepath.Join(t.TempDir(), "copy")
	restored := filepath.Join(t.TempDir(), "restored")
	began := time.Now()
	command(t, "store", "backup", copies, "--data", data)
	ended := time.Now()
	wait()
	stop()
	publishing.Wait()
	command(t, "store", "verify", "--data", copies)
	command(t, "restore", copies, "--data", restored)
	command(t, "store", "verify", "--data", restored)
	_, url2, err := launchOn(t, restored)
	if err != nil {
		t.Fatal(err)
	}
	entries := 0
	for _, channel := range channels {
		entries += compare(t, channel, url2, all[channel], began, ended)
	}
	t.Logf("summary: backup: taken in %v under load, %d entries restored of %d acknowledged in the end; the slowest publish took %v", ended.Sub(began), entries, total, slowest)
}

// compare judges a restored channel by what publishers were told.
func compare(t *testing.T, channel, url string, told []acked, began, ended time.Time) int {
	t.Helper()
	out := command(t, "history", channel, "--limit", "0", "--json", "--url", url)
	found := map[string]uint64{}
	next := uint64(1)
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var row struct {
			Serial  uint64 `json:"serial"`
			Message struct {
				Data string `json:"data"`
			} `json:"message"`
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		if row.Serial != next {
			t.Fatalf("%s: serial %d where %d must be", channel, row.Serial, next)
		}
		next++
		found[row.Message.Data] = row.Serial
	}
	for _, a := range told {
		serial, ok := found[a.payload]
		switch {
		case !ok && a.at.Before(began):
			t.Errorf("%s: %s was acknowledged before the backup and is not in it", channel, a.payload)
		case ok && serial != a.serial:
			t.Errorf("%s: %s has serial %d in the backup and was acknowledged with %d", channel, a.payload, serial, a.serial)
		}
		delete(found, a.payload)
	}
	for payload := range found {
		t.Errorf("%s: %s is in the backup and was never published", channel, payload)
	}
	return int(next - 1)
}

// command runs the binary, which must succeed, and gives what it printed.
func command(t *testing.T, args ...string) []byte {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("continuo %v: %v\n%s%s", args, err, out, errs.String())
	}
	return out
}

func launchOn(t *testing.T, data string) (*server, string, error) {
	s, url, err := launch(binary, t.TempDir(), []string{"CONTINUO_LOG_FORMAT=text"}, "--data", data, "--listen", "127.0.0.1:0")
	if err == nil {
		t.Cleanup(s.kill)
	}
	return s, url, err
}
