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
	"slices"
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

func launch(t testing.TB, s *server, seed uint64, name string, command ...string) *peer {
	t.Helper()
	p := &peer{t: t, name: name, proxy: proxy(t, s.address, seed), cmd: exec.CommandContext(t.Context(), command[0], command[1:]...)}
	python, err := filepath.Abs("../../sdk/python/src")
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Env = append(os.Environ(), "PEER_URL=http://"+p.proxy.Addr(), "PEER_TOKEN="+bearer(t, name), "PEER_NAME="+name,
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
// and a server that is killed. In the end each has been handed every event once, and all three show the same messages.
func TestThreeLanguages(t *testing.T) {
	s := serve(t, plainConfig)
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	peers := []*peer{
		launch(t, s, *first, "go", test, "again-peer"),
		launch(t, s, *first+1, "typescript", "node", "peers/peer.mjs"),
		launch(t, s, *first+2, "python", python, "peers/peer.py"),
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
	last := uint64(len(peers) * peerSends)
	var reports []report
	for _, p := range peers {
		p.proxy.Heal()
		p.tell(map[string]uint64{"last": last})
		reports = append(reports, p.says())
	}
	for i, r := range reports {
		want := make([]uint64, last)
		for k := range want {
			want[k] = uint64(k + 1)
		}
		if !slices.Equal(r.IDs, want) {
			t.Errorf("%s was handed %d", peers[i].name, r.IDs)
		}
		if !reflect.DeepEqual(r.List, reports[0].List) {
			t.Errorf("%s shows\n%s\n%s shows\n%s", peers[0].name, shown(reports[0].List), peers[i].name, shown(r.List))
		}
		t.Logf("summary: three languages: %s: %d events once and in order, %d messages, %d connections (%v)",
			peers[i].name, len(r.IDs), len(r.List), r.Connections, peers[i].proxy.Stats().Faults)
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
