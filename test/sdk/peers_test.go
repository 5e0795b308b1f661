//go:build peers

package sdk

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/test/sdk/fault"
)

// peer is a process that uses one of the libraries, behind a proxy of its own.
type peer struct {
	t       testing.TB
	name    string
	proxy   *fault.Proxy
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	trouble *os.File
}

func launch(t testing.TB, s *server, seed uint64, room, name string, command ...string) *peer {
	t.Helper()
	p := &peer{t: t, name: name, proxy: proxy(t, s.address, seed), cmd: exec.CommandContext(t.Context(), command[0], command[1:]...)}
	python, err := filepath.Abs("../../sdk/python/src")
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Env = append(os.Environ(), "PEER_URL=http://"+p.proxy.Addr(), "PEER_TOKEN="+bearer(t, name), "PEER_NAME="+name, "PEER_ROOM="+room,
		fmt.Sprint("PEER_SENDS=", peerSends), "PYTHONPATH="+python)
	if p.trouble, err = os.Create(filepath.Join(t.TempDir(), "stderr")); err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.trouble
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		_ = p.trouble.Close()
	})
	return p
}

// says is the next line of the peer.
func (p *peer) says() (said report) {
	p.t.Helper()
	if !p.out.Scan() || json.Unmarshal(p.out.Bytes(), &said) != nil {
		trouble, _ := os.ReadFile(p.trouble.Name())
		p.t.Fatalf("%s said %q, %v; its errors:\n%s", p.name, p.out.Text(), p.out.Err(), trouble)
	}
	return said
}

func (p *peer) tell(v any) {
	p.t.Helper()
	if err := json.NewEncoder(p.in).Encode(v); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

const peerSends = 60

// TestThreeLanguages lets a client of each library write, edit, append to, delete and react to messages of one room, through faults
// and a server that is killed. In the end all three show the same messages. In a room whose gaps are never too long each was handed every
// event once and in order; in the other one snapshots took the place of some, and what was handed over is in order, too.
func TestThreeLanguages(t *testing.T) {
	s := serve(t, plainConfig)
	for i, room := range []string{"peers", "brief-peers"} {
		t.Run(room, func(t *testing.T) { threeLanguages(t, s, room, *first+10*uint64(i)) })
	}
}

func threeLanguages(t *testing.T, s *server, room string, seed uint64) {
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	peers := []*peer{
		launch(t, s, seed, room, "go", test, "again-peer"),
		launch(t, s, seed+1, room, "typescript", "node", "peers/peer.mjs"),
		launch(t, s, seed+2, room, "python", python, "peers/peer.py"),
	}
	for _, p := range peers {
		if !p.says().Joined {
			t.Fatalf("%s did not join", p.name)
		}
		p.proxy.Faults(true)
		p.proxy.Cut()
	}
	for _, p := range peers {
		p.tell(struct{}{})
	}
	stop := harass(t, s, peers)
	for _, p := range peers {
		if said := p.says(); said.Wrote != peerSends {
			t.Fatalf("%s wrote %d", p.name, said.Wrote)
		}
	}
	stop()
	var reports []report
	for _, p := range peers {
		p.proxy.Heal()
		p.tell(map[string]int{"last": len(peers) * peerSends})
		reports = append(reports, p.says())
	}
	for i, r := range reports {
		check(t, peers[i].name, r, room == "peers")
		if !reflect.DeepEqual(r.List, reports[0].List) {
			t.Errorf("%s shows\n%s\n%s shows\n%s", peers[0].name, shown(reports[0].List), peers[i].name, shown(r.List))
		}
		t.Logf("summary: three languages in %s: %s: %d events in order, %d snapshots, %d messages, %d connections (%v)", room,
			peers[i].name, len(r.IDs), r.Snapshots, len(r.List), r.Connections, peers[i].proxy.Stats().Faults)
	}
}

// check looks at the order of what was handed over, and, if that was all, that nothing is missing.
func check(t *testing.T, name string, r report, whole bool) {
	t.Helper()
	last := int64(0)
	for _, id := range r.IDs {
		if id <= last || whole && id != last+1 {
			t.Fatalf("%s was handed %d after %d", name, id, last)
		}
		last = id
	}
	if whole && (last != 3*peerSends || r.Snapshots > 0) {
		t.Errorf("%s was handed %d events and %d snapshots", name, last, r.Snapshots)
	}
}

// harass kills the server now and then, and cuts connections, of which some are half open and would say nothing for half a minute.
func harass(t testing.TB, s *server, peers []*peer) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(150 * time.Millisecond)
		defer tick.Stop()
		for i := 1; ; i++ {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			peers[i%len(peers)].proxy.Cut()
			if i%8 == 1 {
				s.end(syscall.SIGKILL)
				s.start()
			}
		}
	}()
	return func() {
		close(end)
		<-done
	}
}
