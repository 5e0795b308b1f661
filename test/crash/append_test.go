package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const appendConfiguration = `
apps:
  - id: app
    keys: [{key: key, secret: secret-of-the-crash-test}]
    channels:
      - pattern: "*"
        mutable: true
        max_versions: 0
`

// TestAppends kills the server in the middle of a thousand appends to one message.
// Every fragment is in the text exactly once, in the order in which the answers say that it was committed.
func TestAppends(t *testing.T) {
	const writers, each = 16, 63
	w := &world{t: t, progress: make(chan struct{}, 1), bin: binary(t), dir: t.TempDir(), seen: map[string]map[at]string{}, acks: map[string]map[string]at{}}
	if err := os.WriteFile(filepath.Join(w.dir, "continuo.yaml"), []byte(appendConfiguration), 0o600); err != nil {
		t.Fatal(err)
	}
	server := w.start()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var made struct {
		Channels map[string]struct {
			Message string `json:"message_serial"`
		} `json:"channels"`
	}
	w.call(ctx, "events", `{"name":"answer","channel":"doc","data":"","info":"position","idempotency_key":"begin"}`, &made)
	message := made.Channels["doc"].Message
	var done atomic.Int64
	var mu sync.Mutex
	order := map[uint64]string{} // serial → fragment
	var writing sync.WaitGroup
	for i := range writers {
		writing.Add(1)
		go func() {
			defer writing.Done()
			for n := range each {
				fragment := fmt.Sprintf("<%d.%d>", i, n)
				var ack struct {
					Serial uint64 `json:"delivery_serial"`
				}
				body := fmt.Sprintf(`{"data":%q,"op_id":"op-%d-%d"}`, fragment, i, n)
				w.call(ctx, "channels/doc/messages/"+message+"/append", body, &ack)
				mu.Lock()
				if other, taken := order[ack.Serial]; taken {
					t.Errorf("serial %d was given to %s and to %s", ack.Serial, other, fragment)
				}
				order[ack.Serial] = fragment
				mu.Unlock()
				done.Add(1)
				w.tick()
			}
		}()
	}
	moments := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for goal := int64(150); goal < writers*each-50; goal += 100 + moments.Int64N(100) {
		for done.Load() < goal {
			<-w.progress
		}
		_ = server.Process.Kill()
		_ = server.Wait()
		kills++
		server = w.start()
	}
	writing.Wait()
	var got struct {
		Item struct {
			Data    string `json:"data"`
			Version struct {
				Serial string `json:"serial"`
			} `json:"version"`
		} `json:"item"`
	}
	w.get(ctx, "channels/doc/messages/"+message, &got)
	found := regexp.MustCompile(`<\d+\.\d+>`).FindAllString(got.Item.Data, -1)
	if len(found) != writers*each || strings.Join(found, "") != got.Item.Data {
		t.Errorf("the text has %d fragments, %d were acknowledged", len(found), writers*each)
	}
	last := uint64(0)
	position := map[string]int{}
	for i, fragment := range found {
		if before, twice := position[fragment]; twice {
			t.Errorf("%s is at %d and at %d", fragment, before, i)
		}
		position[fragment] = i
	}
	serials := make([]uint64, len(found))
	for serial, fragment := range order {
		at, there := position[fragment]
		if !there {
			t.Fatalf("%s was acknowledged at serial %d and is not in the text", fragment, serial)
		}
		serials[at] = serial
	}
	for i, serial := range serials {
		if serial <= last {
			t.Fatalf("fragment %d has serial %d after %d: not in commit order", i, serial, last)
		}
		last = serial
	}
	_ = server.Process.Kill()
	_ = server.Wait()
	t.Logf("summary: appends: %d fragments by %d writers through %d kills, each once and in commit order", len(found), writers, kills)
}

// call posts until there is an answer, and decodes it.
func (w *world) call(ctx context.Context, path, body string, answer any) {
	for {
		status, text, err := w.request(ctx, http.MethodPost, path, []byte(body))
		if err == nil && status == http.StatusOK {
			if err := json.Unmarshal(text, answer); err != nil {
				w.t.Errorf("%s: %v in %s", path, err, text)
			}
			return
		}
		if err == nil && status < 500 {
			w.t.Errorf("%s: %d %s", path, status, text)
			return
		}
		if ctx.Err() != nil {
			w.t.Errorf("%s: %v", path, errors.Join(ctx.Err(), err))
			return
		}
	}
}

func (w *world) get(ctx context.Context, path string, answer any) {
	status, text, err := w.request(ctx, http.MethodGet, path, nil)
	if err != nil || status != http.StatusOK {
		w.t.Fatalf("%s: %d %s %v", path, status, text, err)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) request(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, *w.url.Load()+"/apps/app/"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer key:secret-of-the-crash-test")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, text, err
}
