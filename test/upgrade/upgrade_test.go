// Package upgrade opens data folders that earlier versions made, and checks that this one reads, continues and keeps
// what is in them.
//
// Each folder in testdata has a data folder as that version left it (killed, so that its log is not flushed), the
// configuration it ran with, and what it answered. A release that changes what is written adds a folder:
//
//	go test ./test/upgrade -run TestMake -upgrade.make=NAME
package upgrade

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/ops/client"
)

var makeName = flag.String("upgrade.make", "", "name of a folder to make in testdata")

const configuration = `mode: production
store: {forget: 0}
apps:
  - id: app
    keys: [{key: key, secret: secret-of-the-upgrade-test}]
    channels:
      - {pattern: "prices:*", retention: {age: 0, entries: 32, bytes: 0, keep: latest}}
      - {pattern: "short:*", retention: {age: 0, entries: 16, bytes: 0}}
      - {pattern: "interval:*", durability: interval, retention: {age: 0, entries: 0, bytes: 64MiB}}
      - {pattern: "*", mutable: true, retention: {age: 0, entries: 0, bytes: 64MiB}}
`

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
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/continuo-rt/continuo/cmd/continuo").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// world is one server on one data folder.
type world struct {
	t         *testing.T
	bin, data string
	config    string
	url       string
	cmd       *exec.Cmd
}

var listening = regexp.MustCompile(`listening\s+(http\S+)`)

func (w *world) start() {
	w.t.Helper()
	w.cmd = exec.Command(w.bin, "serve", "--config", w.config, "--data", w.data, "--listen", "127.0.0.1:0")
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	var errs bytes.Buffer
	w.cmd.Stderr = &errs
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	started := w.cmd
	w.t.Cleanup(func() { _ = started.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			w.url = m[1]
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return
		}
	}
	_ = w.cmd.Wait()
	w.t.Fatalf("the server did not start:\n%s", errs.String())
}

func (w *world) end(how os.Signal) {
	_ = w.cmd.Process.Signal(how)
	_ = w.cmd.Wait()
}

// run runs a command, which must succeed.
func (w *world) run(args ...string) []byte {
	w.t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command(w.bin, args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("continuo %v: %v\n%s%s", args, err, out, errs.String())
	}
	return out
}

func (w *world) publish(ms ...client.Message) []client.Position {
	w.t.Helper()
	p := &client.Publisher{Server: client.Server{URL: w.url, App: "app", Key: "key", Secret: "secret-of-the-upgrade-test"}}
	at, err := p.Publish(w.t.Context(), ms...)
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

func (w *world) call(method, path, body string) []byte {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+"/apps/app/channels/"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer key:secret-of-the-upgrade-test")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %v %s %s", method, path, err, res.Status, answer)
	}
	return answer
}

// answers is what a version said about a folder: by file name, one JSON value a line.
func (w *world) answers() map[string][]byte {
	return map[string][]byte{
		"channels.json": w.run("channels", "--data", w.data, "--json"),
		"export.ndjson": w.run("export", "--all", "--data", w.data),
		"prices.json":   w.call("GET", "prices:all/snapshot?data=value", ""),
		"chat.json":     w.call("GET", "chat/history?direction=oldest_first", ""),
		"versions.json": w.call("GET", "chat/messages/2/versions", ""),
	}
}

func TestUpgrade(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("testdata", "*"))
	if err != nil || len(folders) == 0 {
		t.Fatal("there is no data folder of an earlier version", err)
	}
	bin := binary(t)
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			w := &world{t: t, bin: bin, data: filepath.Join(t.TempDir(), "data"), config: filepath.Join(folder, "continuo.yaml")}
			if err := os.CopyFS(w.data, os.DirFS(filepath.Join(folder, "data"))); err != nil {
				t.Fatal(err)
			}
			w.start()
			defer w.end(os.Kill)
			for name, now := range w.answers() {
				then, err := os.ReadFile(filepath.Join(folder, name))
				if err != nil {
					t.Fatal(err)
				}
				compare(t, name, then, now)
			}
			w.goOn()
			w.end(os.Interrupt)
			if out := w.run("store", "verify", "--data", w.data); !bytes.Contains(out, []byte("all is well")) {
				t.Errorf("%s", out)
			}
		})
	}
}

// goOn checks that logs go on where they ended.
func (w *world) goOn() {
	w.t.Helper()
	var was struct {
		Channels []struct {
			Channel, Stream string
			Head            uint64
		}
	}
	if err := json.Unmarshal(bytes.ReplaceAll(w.run("channels", "--data", w.data, "--json"), []byte("stream_id"), []byte("stream")), &was); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range was.Channels {
		at := w.publish(message(c.Channel, "new", "", `"a"`, "new-"+c.Channel))
		if at[0].Serial != c.Head+1 || at[0].Stream != c.Stream {
			w.t.Errorf("%s goes on at %+v; it ended at %+v", c.Channel, at[0], c)
		}
	}
	w.call("POST", "chat/messages/2/append", `{"data":" again"}`)
	w.publish(message("prices:all", "price", "K1", `{"p":999}`, "new-put"))
	if out := w.call("GET", "prices:all/keys/K1", ""); !bytes.Contains(out, []byte(`"message_serial":"2"`)) {
		w.t.Errorf("a put of a key that was there began another message: %s", out)
	}
}

func message(channel, event, key, data, idempotency string) client.Message {
	return client.Message{Channel: channel, Name: event, Key: key, Data: json.RawMessage(data), Idempotency: idempotency}
}

// compare checks that everything that was said then is said now; there may be more.
func compare(t *testing.T, name string, then, now []byte) {
	t.Helper()
	olds, news := values(t, then), values(t, now)
	if len(olds) != len(news) {
		t.Errorf("%s: %d values then, %d now", name, len(olds), len(news))
		return
	}
	for i := range olds {
		if at, ok := within(olds[i], news[i], name); !ok {
			t.Errorf("%s is not what it was", at)
		}
	}
}

func values(t *testing.T, text []byte) (all []any) {
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var v any
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
}

// within reports whether now says all that then says, and where it does not.
func within(then, now any, at string) (string, bool) {
	switch then := then.(type) {
	case map[string]any:
		now, ok := now.(map[string]any)
		if !ok {
			return at, false
		}
		for name := range then {
			if name == "subscribers" || name == "node_id" {
				continue
			}
			if at, ok := within(then[name], now[name], at+"."+name); !ok {
				return at, false
			}
		}
		return at, true
	case []any:
		now, ok := now.([]any)
		if !ok || len(now) != len(then) {
			return at, false
		}
		for i := range then {
			if at, ok := within(then[i], now[i], fmt.Sprintf("%s[%d]", at, i)); !ok {
				return at, false
			}
		}
		return at, true
	}
	return at, reflect.DeepEqual(then, now)
}

// TestMake makes a folder of this version when it is asked to.
func TestMake(t *testing.T) {
	if *makeName == "" {
		return
	}
	folder := filepath.Join("testdata", *makeName)
	if _, err := os.Stat(folder); err == nil {
		t.Fatalf("%s exists already: what a version made must not change", folder)
	}
	temp := t.TempDir()
	w := &world{t: t, bin: binary(t), data: filepath.Join(temp, "data"), config: filepath.Join(temp, "continuo.yaml")}
	if err := os.WriteFile(w.config, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.fill()
	w.end(os.Interrupt)
	w.start()
	w.publish(message("chat", "after", "", `"after the restart"`, "idem-2"))
	answers := w.answers()
	w.end(os.Kill)
	answers["continuo.yaml"] = []byte(configuration)
	if err := errors.Join(os.MkdirAll(folder, 0o755), copyFiles(w.data, filepath.Join(folder, "data"))); err != nil {
		t.Fatal(err)
	}
	for name, b := range answers {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// fill makes entries of every kind.
func (w *world) fill() {
	w.publish(message("chat", "first", "", `"one"`, "idem-1"))
	w.publish(message("chat", "second", "", `"two"`, "m2"), message("chat", "third", "", `{"n":3}`, "m3"))
	w.call("POST", "chat/messages/2/append", `{"data":" and more"}`)
	w.call("POST", "chat/messages/2/update", `{"data":"replaced","description":"a correction"}`)
	w.call("POST", "chat/messages/3/delete", `{}`)
	w.call("POST", "chat/messages/1/annotations", `{"type":"reactions:distinct.v1","name":"like","client_id":"u"}`)
	for i := range 100 {
		w.publish(message("prices:all", "price", fmt.Sprintf("K%d", i%7), fmt.Sprintf(`{"p":%d}`, i), fmt.Sprint("p", i)))
		w.publish(message("short:log", "line", "", fmt.Sprint(i), fmt.Sprint("s", i)))
	}
	w.call("DELETE", "prices:all/keys/K3", "")
	w.publish(message("interval:log", "line", "", `"x"`, "i1"))
	w.publish(message("reset", "before", "", `"x"`, "r1"))
	w.call("POST", "reset/history/reset", `{"confirm_channel":"reset","confirm_operation":"reset","reason":"test"}`)
	w.publish(message("reset", "after", "", `"x"`, "r2"))
}

// copyFiles copies what is a file: sockets and the note of the process that is gone stay behind.
func copyFiles(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular() || d.Name() == "server.pid":
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".log") { // room that was only reserved
			b = bytes.TrimRight(b, "\x00")
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
}
