// Package crash kills the real server at random moments and checks that nothing it acknowledged is lost, doubled or
// moved, and that nobody ever saw a serial that later held something else.
package crash

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
	"github.com/continuo-rt/continuo/test/address"
)

var (
	rounds = flag.Int("crash.rounds", 50, "how often the server is killed")
	seed   = flag.Uint64("crash.seed", 0, "seed of the moments; 0 picks one")
)

// The configuration: one channel in each durable mode, kept long enough for the whole run to be compared.
const configuration = `
apps:
  - id: app
    keys: [{key: key, secret: secret-of-the-crash-test}]
    channels:
      - pattern: "interval-*"
        durability: interval
        retention: {age: 24h, entries: 10000000, bytes: 1GiB}
      - pattern: "*"
        retention: {age: 24h, entries: 10000000, bytes: 1GiB}
`

var channels = []string{"sync-a", "sync-b", "interval-a"}

const publishers = 32

// world is what the outside knows: acknowledgements and what subscribers saw.
type world struct {
	t        *testing.T
	bin      string
	dir      string
	url      atomic.Pointer[string]
	inflight atomic.Int64
	acked    atomic.Int64
	resumed  atomic.Int64
	progress chan struct{} // gets a value when a publish begins or was acknowledged

	mu   sync.Mutex
	seen map[string]map[at]string // channel → position → payload
	acks map[string]map[string]at // channel → payload → position
}

type at struct {
	stream string
	serial uint64
}

// note records that a payload was at a position; two different payloads at one position are a broken promise.
func (w *world) note(who, channel, payload string, where at) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[channel] == nil {
		w.seen[channel] = map[at]string{}
	}
	if before, ok := w.seen[channel][where]; ok && before != payload {
		w.t.Errorf("%s: serial %d of %s held %q and now %q", who, where.serial, channel, before, payload)
	}
	w.seen[channel][where] = payload
}

func TestCrash(t *testing.T) {
	n := *rounds
	if testing.Short() {
		n = 5
	}
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("replay the moments with: go test ./test/crash -run TestCrash -crash.seed=%d -crash.rounds=%d", s, n)
	moments := rand.New(rand.NewPCG(s, s))
	w := &world{t: t, progress: make(chan struct{}, 1), bin: binary(t), dir: t.TempDir(), seen: map[string]map[at]string{}, acks: map[string]map[string]at{}}
	if err := os.WriteFile(filepath.Join(w.dir, "continuo.yaml"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := w.start()
	stop := make(chan struct{})
	var publishing, following sync.WaitGroup
	for i := range publishers {
		publishing.Add(1)
		go func() {
			defer publishing.Done()
			w.publish(ctx, i, stop)
		}()
	}
	for i := range 4 {
		following.Add(1)
		go func() {
			defer following.Done()
			w.follow(ctx, i)
		}()
	}
	for range n {
		w.killWhen(server, moments)
		server = w.start()
	}
	close(stop)
	publishing.Wait()
	total := w.compare(ctx)
	cancel()
	following.Wait()
	_ = server.Process.Kill()
	_ = server.Wait()
	t.Logf("summary: crash: %d kills with at least 16 publishes in flight, %d publishes acknowledged, %d entries found, %d resumes, nothing lost, doubled or moved",
		n, w.acked.Load(), total, w.resumed.Load())
}

// binary is the server under test: the one that was built already, or a fresh one.
func binary(t *testing.T) string {
	if bin := os.Getenv("CONTINUO_BIN"); bin != "" {
		if abs, err := filepath.Abs(bin); err == nil {
			if _, err := os.Stat(abs); err == nil {
				return abs
			}
		}
	}
	bin := filepath.Join(t.TempDir(), "continuo")
	build := exec.Command("go", "build", "-o", bin, "../../cmd/continuo")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

var listening = regexp.MustCompile(`listening\s+(http\S+)`)

// start runs the server on the same data folder and waits until it says where it listens.
func (w *world) start() *exec.Cmd {
	cmd := exec.Command(w.bin, "serve", "--config", filepath.Join(w.dir, "continuo.yaml"), "--listen", address.Free(),
		"--data", filepath.Join(w.dir, "data"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			w.url.Store(&m[1])
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return cmd
		}
	}
	_ = cmd.Wait()
	w.t.Fatalf("the server did not start:\n%s", errs.String())
	return nil
}

// killWhen kills the server at a random moment at which enough publishes are in flight and some were acknowledged in
// this round.
func (w *world) killWhen(server *exec.Cmd, moments *rand.Rand) {
	least := w.acked.Load() + 50 + moments.Int64N(1500)
	patience := time.After(2 * time.Minute)
	for w.acked.Load() < least || w.inflight.Load() < 16 {
		select {
		case <-w.progress:
		case <-patience:
			w.t.Fatalf("only %d acknowledged of %d, %d in flight", w.acked.Load(), least, w.inflight.Load())
		}
	}
	_ = server.Process.Kill()
	_ = server.Wait()
}

// publish publishes one numbered payload after the other until stop, retrying each with its own key until the outcome
// is known.
func (w *world) publish(ctx context.Context, id int, stop <-chan struct{}) {
	channel := channels[id%len(channels)]
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		payload := fmt.Sprintf("p%d-%d", id, n)
		data, _ := json.Marshal(payload)
		m := client.Message{Name: "n", Channel: channel, Data: data, Idempotency: payload}
		w.inflight.Add(1)
		w.tick()
		position, err := w.settle(ctx, m)
		w.inflight.Add(-1)
		if err != nil {
			if ctx.Err() == nil {
				w.t.Errorf("publish %s: %v", payload, err)
			}
			return
		}
		where := at{position.Stream, position.Serial}
		w.note("acknowledged", channel, payload, where)
		w.mu.Lock()
		if w.acks[channel] == nil {
			w.acks[channel] = map[string]at{}
		}
		w.acks[channel][payload] = where
		w.mu.Unlock()
		w.acked.Add(1)
		w.tick()
	}
}

func (w *world) tick() {
	select {
	case w.progress <- struct{}{}:
	default:
	}
}

func (w *world) settle(ctx context.Context, m client.Message) (client.Position, error) {
	for {
		try, cancel := context.WithTimeout(ctx, 3*time.Second)
		p := client.Publisher{Server: client.Server{URL: *w.url.Load(), App: "app", Key: "key", Secret: "secret-of-the-crash-test"}}
		p.Waiting = func(error, time.Duration) { // the server came back elsewhere: ask there
			if *w.url.Load() != p.Server.URL {
				cancel()
			}
		}
		got, err := p.Publish(try, m)
		cancel()
		if err == nil {
			return got[0], nil
		}
		var final *client.Error
		if errors.As(err, &final) && final.Status < 500 {
			return client.Position{}, err
		}
		if ctx.Err() != nil {
			return client.Position{}, ctx.Err()
		}
	}
}

// follow keeps a subscriber on every channel through all kills and notes what it saw where. Its own cursors must never
// see a gap or a repetition.
func (w *world) follow(ctx context.Context, id int) {
	cursors := map[string]client.Cursor{}
	for ctx.Err() == nil {
		url := *w.url.Load()
		one, cancel := context.WithCancel(ctx)
		s := &client.Subscriber{URL: url, Key: "key", Channels: channels, Cursors: cursors}
		s.Event = func(e client.Event) error {
			var payload string
			if err := json.Unmarshal(e.Data, &payload); err != nil {
				return err
			}
			if last := cursors[e.Channel]; last.Stream == e.Stream && e.Serial != last.Serial+1 {
				w.t.Errorf("subscriber %d: %s went from serial %d to %d", id, e.Channel, last.Serial, e.Serial)
			}
			w.note(fmt.Sprintf("subscriber %d", id), e.Channel, payload, at{e.Stream, e.Serial})
			return nil
		}
		s.State = func(st client.State) {
			switch st.State {
			case "resumed":
				w.resumed.Add(1)
			case "lost":
				w.t.Errorf("subscriber %d: %s lost: %s", id, st.Channel, st.Reason)
			case "disconnected":
				if *w.url.Load() != url {
					cancel()
				}
			}
		}
		if err := s.Run(one); err != nil && ctx.Err() == nil {
			w.t.Errorf("subscriber %d: %v", id, err)
		}
		cancel()
	}
}

// compare reads the whole history and holds it against what was acknowledged and seen.
func (w *world) compare(ctx context.Context) (total int) {
	for _, channel := range channels {
		log := w.history(ctx, channel)
		total += len(log)
		found := map[string]int{}
		for i, item := range log {
			if item.Serial != uint64(i+1) {
				w.t.Fatalf("%s: item %d has serial %d: the log has a hole", channel, i, item.Serial)
			}
			var payload string
			if err := json.Unmarshal([]byte(item.Message.Data), &payload); err != nil {
				payload = item.Message.Data
			}
			found[payload]++
			w.note("history", channel, payload, at{item.Stream, item.Serial})
		}
		w.mu.Lock()
		for payload, where := range w.acks[channel] {
			if found[payload] != 1 {
				w.t.Errorf("%s: %s was acknowledged at serial %d and is in the log %d times", channel, payload, where.serial, found[payload])
			}
		}
		for where, payload := range w.seen[channel] {
			if where.serial > uint64(len(log)) {
				w.t.Errorf("%s: %q was seen at serial %d beyond the log", channel, payload, where.serial)
			}
		}
		w.mu.Unlock()
	}
	return total
}

type item struct {
	Stream  string `json:"stream_id"`
	Serial  uint64 `json:"serial"`
	Message struct {
		Data string `json:"data"`
	} `json:"message"`
}

func (w *world) history(ctx context.Context, channel string) (all []item) {
	cursor := ""
	for {
		target := *w.url.Load() + "/apps/app/channels/" + channel + "/history?direction=oldest_first&limit=100"
		if cursor != "" {
			target += "&cursor=" + cursor
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer key:secret-of-the-crash-test")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		var page struct {
			Items []item `json:"items"`
			Next  string `json:"next_cursor"`
		}
		err = json.NewDecoder(res.Body).Decode(&page)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			w.t.Fatalf("history of %s: %d %v", channel, res.StatusCode, err)
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		cursor = page.Next
	}
}
