// Package presence kills the real server with members online and checks that everybody who does not come back is taken
// out exactly once, and nobody else.
package presence

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/test/frames"
)

const configuration = `
apps:
  - id: app
    keys: [{key: key, secret: secret-of-the-presence-test}]
    channels:
      - pattern: "presence-*"
        presence: {drop_grace: 5s} # in which clients come back on a busy machine, too
`

// world is a server that is killed and started again.
type world struct {
	*testing.T
	bin, dir, url string
	server        *exec.Cmd
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, dir: t.TempDir(), bin: os.Getenv("CONTINUO_BIN")}
	if abs, err := filepath.Abs(w.bin); w.bin != "" && err == nil {
		w.bin = abs
	}
	if _, err := os.Stat(w.bin); w.bin == "" || err != nil {
		w.bin = filepath.Join(w.dir, "continuo")
		if out, err := exec.Command("go", "build", "-o", w.bin, "../../cmd/continuo").CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(w.dir, "continuo.yaml"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	t.Cleanup(w.kill)
	return w
}

var listening = regexp.MustCompile(`listening\s+(http\S+)`)

func (w *world) start() {
	w.server = exec.Command(w.bin, "serve", "--config", filepath.Join(w.dir, "continuo.yaml"), "--listen", "127.0.0.1:0",
		"--data", filepath.Join(w.dir, "data"), "--drain", "1s")
	out, err := w.server.StdoutPipe()
	if err != nil {
		w.Fatal(err)
	}
	var errs strings.Builder
	w.server.Stderr = &errs
	if err := w.server.Start(); err != nil {
		w.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			w.url = m[1]
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return
		}
	}
	_ = w.server.Wait()
	w.Fatalf("the server did not start:\n%s", errs.String())
}

func (w *world) kill() {
	_ = w.server.Process.Kill()
	_ = w.server.Wait()
}

// stop ends the server in an orderly way.
func (w *world) stop() {
	_ = w.server.Process.Signal(syscall.SIGTERM)
	_ = w.server.Wait()
}

// tab is one connection.
type tab struct {
	w  *world
	c  net.Conn
	in io.Reader
}

// join connects with a protocol and enters as a user.
func (w *world) join(protocol int, user string) *tab {
	w.Helper()
	c, buffered, _, err := ws.Dial(w.Context(), fmt.Sprintf("ws%s/app/key?protocol=%d", strings.TrimPrefix(w.url, "http"), protocol))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = c.Close() }) // and until then nobody collects it, who would close it
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	x := &tab{w, c, c}
	if buffered != nil {
		x.in = buffered
	}
	var hello struct {
		Socket string `json:"socket_id"`
	}
	x.data(x.until("connection_established"), &hello)
	data := fmt.Sprintf(`{"user_id":%q}`, user)
	mac := hmac.New(sha256.New, []byte("secret-of-the-presence-test"))
	mac.Write([]byte(hello.Socket + ":presence-lobby:" + data))
	prefix := map[int]string{7: "pusher:", 2: "sockudo:"}[protocol]
	b, _ := json.Marshal(map[string]any{"event": prefix + "subscribe", "data": map[string]string{"channel": "presence-lobby",
		"auth": "key:" + hex.EncodeToString(mac.Sum(nil)), "channel_data": data}})
	if err := ws.WriteFrame(c, ws.MaskFrame(ws.NewTextFrame(b))); err != nil {
		w.Fatal(err)
	}
	return x
}

// until reads up to the first frame that has all parts.
func (x *tab) until(parts ...string) string {
	x.w.Helper()
	for {
		f, err := frames.Read(x.in)
		if err != nil {
			x.w.Fatalf("waiting for %q: %v", parts, err)
		}
		text := string(f.Payload)
		if f.Header.OpCode == ws.OpText && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) }) {
			return text
		}
	}
}

func (x *tab) data(frame string, into any) {
	var f struct{ Data string }
	if err := json.Unmarshal([]byte(frame), &f); err != nil {
		x.w.Fatal(err)
	}
	if err := json.Unmarshal([]byte(f.Data), into); err != nil {
		x.w.Fatal(err)
	}
}

// get reads from the HTTP API.
func (w *world) get(path string, into any) {
	w.Helper()
	r, _ := http.NewRequest("GET", w.url+"/apps/app/channels/presence-lobby/"+path, nil)
	r.Header.Set("Authorization", "Bearer key:secret-of-the-presence-test")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	if err := json.Unmarshal(b, into); err != nil || res.StatusCode != 200 {
		w.Fatalf("%s: %d %s %v", path, res.StatusCode, b, err)
	}
}

// history is the transitions as lines, oldest first.
func (w *world) history() (lines []string) {
	w.Helper()
	var page struct {
		Items []struct {
			Event  string
			Cause  string
			User   string  `json:"user_id"`
			Dead   *string `json:"dead_node_id"`
			Detail struct {
				Observed int64 `json:"observed_at"`
				At       int64 `json:"published_at_ms"`
			} `json:"presence_event"`
		}
	}
	w.get("presence/history?direction=oldest_first", &page)
	for _, i := range page.Items {
		lines = append(lines, i.User+" "+i.Event+" "+i.Cause)
		if orphan := i.Cause == "orphan_cleanup"; orphan != (i.Dead != nil) || orphan && (i.Detail.Observed == 0 || i.Detail.Observed >= i.Detail.At) {
			w.Errorf("%+v", i)
		}
	}
	return lines
}

func TestMembersOnlineWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for user, protocol := range map[string]int{"ann": 2, "bob": 7, "cid": 2} {
		w.join(protocol, user).until("subscription_succeeded")
	}
	w.join(2, "bob").until("subscription_succeeded") // another tab
	w.kill()
	w.start()
	ann := w.join(2, "ann")
	if got := ann.until("subscription_succeeded"); !strings.Contains(got, `\"ids\":[\"ann\",\"bob\",\"cid\"]`) {
		t.Fatalf("within the grace time everybody is still there: %s", got)
	}
	cid := w.join(7, "cid")
	cid.until("subscription_succeeded")
	ann.until("member_removed", `\"bob\"`)
	want := []string{"ann member_added join", "bob member_added join", "cid member_added join", "bob member_removed orphan_cleanup"}
	check := func(when string, want ...string) {
		t.Helper()
		got := w.history()
		if len(got) < 3 {
			t.Fatalf("%s: %q", when, got)
		}
		slices.Sort(got[:3]) // the first three came in any order
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %q, want %q", when, got, want)
		}
	}
	check("after the kill", want...)

	w.stop() // in an orderly way: nobody leaves
	w.start()
	check("after an orderly stop", want...)
	dan := w.join(2, "dan")
	if got := dan.until("subscription_succeeded"); !strings.Contains(got, `\"ids\":[\"ann\",\"cid\",\"dan\"]`) {
		t.Fatal(got)
	}
	w.kill() // in the middle of the grace times
	w.start()
	dan = w.join(2, "dan")
	dan.until("subscription_succeeded")
	gone := map[string]bool{}
	for len(gone) < 2 {
		got := dan.until("member_removed")
		gone[map[bool]string{true: "ann", false: "cid"}[strings.Contains(got, `\"ann\"`)]] = true
	}
	got := w.history()
	slices.Sort(got[5:])
	if want := append(want, "dan member_added join", "ann member_removed orphan_cleanup", "cid member_removed orphan_cleanup"); !slices.Equal(got[3:], want[3:]) {
		t.Fatalf("%q, want %q", got, want)
	}
	var now struct {
		Members []struct {
			User string `json:"user_id"`
		}
	}
	w.get("presence/history/snapshot", &now)
	if len(now.Members) != 1 || now.Members[0].User != "dan" {
		t.Fatalf("%+v", now)
	}
	w.get("presence/history/snapshot?at_serial=3", &now)
	if len(now.Members) != 3 {
		t.Fatalf("at serial 3: %+v", now)
	}
}
