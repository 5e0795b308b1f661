package sdk

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	continuo "github.com/continuo-rt/continuo/sdk/go"
)

// again runs this program as something else than a test: a client in a process of its own.
func again() bool {
	if len(os.Args) < 2 || !strings.HasPrefix(os.Args[1], "again-") {
		return false
	}
	run := map[string]func() error{"again-reader": reader, "again-peer": goPeer}[os.Args[1]]
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func fromEnvironment(store continuo.Store) *continuo.Client {
	token := os.Getenv("PEER_TOKEN")
	return continuo.New(os.Getenv("PEER_URL"), continuo.Options{Store: store, Clock: fast{time.Now()},
		Token: func(context.Context) (string, error) { return token, nil }})
}

// reader follows a room with its position in a file, and says the number of each event that it has handled, for ever. It takes its
// time: a position that was stored too early would be there before the number is said.
func reader() error {
	ctx := context.Background()
	client := fromEnvironment(continuo.NewFileStore(os.Getenv("PEER_STORE")))
	client.Connect()
	room := client.Room(os.Getenv("PEER_ROOM"))
	if err := room.Join(ctx, continuo.Join{Rewind: &continuo.Rewind{Count: 1000}}); err != nil {
		return err
	}
	for event, err := range room.Events(ctx) {
		if err != nil {
			return err
		}
		if event.EventID > 0 {
			<-time.After(2 * time.Millisecond)
			if _, err := fmt.Println(event.EventID); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestKilledClient kills the process of a client with its position in a file again and again, while connections fail and the server is
// killed, too. What it handled is all that was published: some events more than once, when it died before its position was stored, but
// within one process each once and in order, and never with a gap.
func TestKilledClient(t *testing.T) {
	const events, lives = 400, 12
	s := serve(t, plainConfig)
	p := proxy(t, s.address, *first)
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	b := newBoard()
	straight := proxy(t, s.address, 1)
	writer := follow(b, straight, "writer", bearer(t, "writer"), "killed")
	defer func() { _ = writer.client.Close(ctx) }()
	writer.client.Connect()
	if err := writer.room.Join(ctx, continuo.Join{}); err != nil {
		t.Fatal(err)
	}
	write := make(chan int, events) // permissions to write on
	wrote := make(chan error, 1)
	go func() {
		for range write {
			if _, err := writer.room.Send(ctx, continuo.Send{Text: "text"}); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}()
	kills := killer(t, s)
	p.Faults(true)
	store, handled, repeated := filepath.Join(t.TempDir(), "cursors"), 0, 0
	for life := range lives {
		last := life == lives-1
		for range events / lives {
			write <- 1
		}
		if last {
			p.Heal()
			for range events % lives {
				write <- 1
			}
			close(write)
		}
		until := events
		if !last {
			until = events/lives*(life+1) - life*7%11 // it dies while there is more to handle
		}
		began, ended := live(t, ctx, p.Addr(), store, until)
		if began > handled+1 {
			t.Fatalf("life %d began with event %d, %d was handled last", life, began, handled)
		}
		repeated += handled + 1 - began
		handled = ended
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	t.Logf("summary: killed client: %d events through %d lives of the client and %d kills of the server: no gap, %d handled twice",
		handled, lives, kills(), repeated)
}

// live is one life of the reader: it is killed when it has handled an event. Its first and its last one are returned; those between
// were handled in order.
func live(t *testing.T, ctx context.Context, address, store string, until int) (began, ended int) {
	t.Helper()
	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, test, "again-reader")
	cmd.Env = append(os.Environ(), "PEER_URL=http://"+address, "PEER_TOKEN="+bearer(t, "reader"), "PEER_ROOM=killed",
		"PEER_STORE="+store)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for said := bufio.NewScanner(out); said.Scan(); {
		n, err := strconv.Atoi(said.Text())
		if err != nil {
			t.Fatalf("the reader said %q", said.Text())
		}
		if began == 0 {
			began = n
		} else if n != ended+1 {
			t.Fatalf("event %d was handled after %d in one process", n, ended)
		}
		ended = n
		if n >= until && !killed {
			killed = true
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	if !killed {
		t.Fatalf("the reader ended by itself at %d, before %d", ended, until)
	}
	return began, ended
}

// report is what a peer says: that it has joined, that it has written, or what it has seen.
type report struct {
	Joined      bool    `json:"joined"`
	Wrote       int     `json:"wrote"`
	IDs         []int64 `json:"ids"` // of events, as they were handed over
	Connections int     `json:"connections"`
	Snapshots   int     `json:"snapshots"`
	List        []any   `json:"list"`
}

// goPeer is the peer of the test of three languages that uses this library. See peers_test.go.
func goPeer() error {
	ctx := context.Background()
	client := fromEnvironment(nil)
	room := client.Room(os.Getenv("PEER_ROOM"))
	b, list, report, position := newBoard(), continuo.MessageList{}, report{}, int64(0)
	room.OnEvent(func(_ context.Context, e *continuo.Event) error {
		b.do(func() {
			list.Apply(e)
			switch {
			case e.Kind == "room.snapshot":
				report.Snapshots++
			case e.EventID > 0:
				report.IDs = append(report.IDs, e.EventID)
			default:
				return
			}
			position = e.EventID
		})
		return nil
	})
	go func() {
		for state := range client.States(ctx) {
			if state.State == "connected" {
				b.do(func() { report.Connections++ })
			}
		}
	}()
	client.Connect()
	if err := room.Join(ctx, continuo.Join{}); err != nil {
		return err
	}
	out, in := json.NewEncoder(os.Stdout), json.NewDecoder(os.Stdin)
	var command struct{ Last int64 }
	if err := out.Encode(map[string]bool{"joined": true}); err != nil {
		return err
	}
	if err := in.Decode(&command); err != nil {
		return err
	}
	sends, err := strconv.Atoi(os.Getenv("PEER_SENDS"))
	if err != nil {
		return err
	}
	if err := peerWrites(ctx, room, os.Getenv("PEER_NAME"), sends); err != nil {
		return err
	}
	if err := out.Encode(map[string]int{"wrote": sends}); err != nil {
		return err
	}
	if err := in.Decode(&command); err != nil {
		return err
	}
	if err := b.until(ctx, func() error {
		if position < command.Last {
			return fmt.Errorf("the position is %d", position)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, m := range list.All() {
		counts := m.Counts
		if counts == nil {
			counts = map[string]int64{}
		}
		report.List = append(report.List, []any{m.MessageID, m.Text, m.Version, m.Sender, counts, m.Incomplete})
	}
	if err := out.Encode(report); err != nil {
		return err
	}
	return client.Close(ctx)
}

func peerWrites(ctx context.Context, room *continuo.Room, name string, sends int) error {
	mine := ""
	for i := range sends {
		var got continuo.Accepted
		var err error
		switch {
		case i%5 == 0:
			got, err = room.Send(ctx, continuo.Send{Text: fmt.Sprint(name, " ", i)})
			mine = got.MessageID
		case i%5 == 1:
			_, err = room.Append(ctx, mine, fmt.Sprint(" and ", i))
		case i%5 == 2:
			_, err = room.React(ctx, mine, "like")
		case i%5 == 3:
			_, err = room.Edit(ctx, mine, continuo.Edit{Text: fmt.Sprint(name, " ", i, ", edited")})
		case i%10 == 9:
			_, err = room.Delete(ctx, mine, 0)
		default:
			_, err = room.Append(ctx, mine, "!")
		}
		if err != nil {
			return fmt.Errorf("%s: number %d: %w", name, i, err)
		}
	}
	return nil
}
