// Package table is what a viewer of the demonstration feed knows: fixtures, their scores and the best odds, the cursors
// that belong to them, and an account of what was missed or seen twice.
package table

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/continuo-rt/continuo/examples/feed-table/feed"
)

// Channels of the demonstration feed.
var Channels = []string{"fixtures", "scores", "odds"}

// Account counts frames. Missed and Twice stay 0 when the server keeps its promise.
type Account struct {
	Frames    int
	Missed    uint64 // serials that were skipped
	Twice     int    // frames at or below the cursor
	OutOfTurn int    // payloads whose own number does not follow that of the one before
	Snapshots int
	Runs      int // how often the demonstration began anew
	LastSeq   map[string]uint64
}

// Table is a viewer's state. Its methods may be called concurrently.
type Table struct {
	mu    sync.Mutex
	state state
	last  string
	dirty bool
}

// state is what is kept in a file: the rows and the cursors that they reflect, together or not at all.
type state struct {
	Epoch   string
	Cursors map[string]string
	// Fresh are channels whose cursor came from a snapshot: frames that it overtook may still come.
	Fresh   map[string]bool
	Rows    map[string]map[string]json.RawMessage // channel → key → payload
	Account Account
}

// Open reads a table from a file; a file that is not there is an empty table.
func Open(file string) (*Table, error) {
	t := &Table{state: state{Cursors: map[string]string{}, Fresh: map[string]bool{}, Rows: map[string]map[string]json.RawMessage{}, Account: Account{LastSeq: map[string]uint64{}}}}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || file == "" {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &t.state); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// Save writes the table to a file if it has changed, so that a crash leaves the old file or the new one.
func (t *Table) Save(file string) error {
	t.mu.Lock()
	if !t.dirty || file == "" {
		t.mu.Unlock()
		return nil
	}
	b, err := json.Marshal(t.state)
	t.dirty = false
	t.mu.Unlock()
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// Cursors implements feed.Handler.
func (t *Table) Cursors() (string, map[string]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[string]string, len(t.state.Cursors))
	for channel, id := range t.state.Cursors {
		all[channel] = id
	}
	return t.state.Epoch, all
}

// Snapshot implements feed.Handler.
func (t *Table) Snapshot(channel, epoch, entryID string, items []feed.Item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := make(map[string]json.RawMessage, len(items))
	for _, item := range items {
		rows[item.Key] = item.Payload
	}
	s := &t.state
	s.Rows[channel], s.Cursors[channel], s.Fresh[channel], s.Epoch = rows, entryID, true, epoch
	s.Account.Snapshots++
	delete(s.Account.LastSeq, channel)
	t.dirty = true
}

// Overtaken reports whether a frame at or below the cursor was overtaken by a snapshot.
func (t *Table) Overtaken(channel, entryID string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.Fresh[channel] && feed.Serial(entryID) <= feed.Serial(t.state.Cursors[channel])
}

// Data implements feed.Handler.
func (t *Table) Data(f *feed.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.state
	t.dirty = true
	s.Account.Frames++
	at, was := feed.Serial(f.EntryID), feed.Serial(s.Cursors[f.Channel])
	switch {
	case at <= was:
		s.Account.Twice++
		return
	case at > was+1:
		s.Account.Missed += at - was - 1
	}
	s.Cursors[f.Channel] = f.EntryID
	delete(s.Fresh, f.Channel)
	rows := s.Rows[f.Channel]
	if rows == nil {
		rows = map[string]json.RawMessage{}
		s.Rows[f.Channel] = rows
	}
	if f.Type == "DELETE" {
		delete(rows, f.Key)
		return
	}
	rows[f.Key] = f.Payload
	s.Account.number(f)
}

// number checks the number that the payload itself has.
func (a *Account) number(f *feed.Frame) {
	var p struct{ Seq uint64 }
	if json.Unmarshal(f.Payload, &p) != nil || p.Seq == 0 {
		return
	}
	last, known := a.LastSeq[f.Channel]
	switch {
	case p.Seq == 1:
		a.Runs++
	case known && p.Seq != last+1:
		a.OutOfTurn++
	}
	a.LastSeq[f.Channel] = p.Seq
}

// Status implements feed.Handler.
func (t *Table) Status(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = text
}

// Account is what was counted so far.
func (t *Table) Account() Account {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.Account
}

// Rows is a copy of what is known: channel → key → payload.
func (t *Table) Rows() map[string]map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]map[string]string{}
	for channel, rows := range t.state.Rows {
		all[channel] = map[string]string{}
		for key, payload := range rows {
			all[channel][key] = string(payload)
		}
	}
	return all
}

type fixture struct {
	Sport, Home, Away, Status string
	Kickoff                   int64
}

type score struct{ Home, Away, Minute int }

type odds struct {
	FixtureID        string
	Home, Draw, Away float64
}

// Render draws the table.
func (t *Table) Render() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.state
	best := map[string]odds{}
	for _, raw := range s.Rows["odds"] {
		var o odds
		if json.Unmarshal(raw, &o) == nil {
			b := best[o.FixtureID]
			best[o.FixtureID] = odds{Home: max(b.Home, o.Home), Draw: max(b.Draw, o.Draw), Away: max(b.Away, o.Away)}
		}
	}
	keys := make([]string, 0, len(s.Rows["fixtures"]))
	for key := range s.Rows["fixtures"] {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %-11s %-24s %7s %5s %-10s %s\n", "FIXTURE", "SPORT", "", "SCORE", "MIN", "STATUS", "BEST ODDS 1 X 2")
	for _, key := range keys {
		var f fixture
		var sc score
		_ = json.Unmarshal(s.Rows["fixtures"][key], &f)
		_ = json.Unmarshal(s.Rows["scores"][key], &sc)
		fmt.Fprintf(&b, "%-8s %-11s %-24s %3d:%-3d %5d %-10s ", key, f.Sport, f.Home+" – "+f.Away, sc.Home, sc.Away, sc.Minute, f.Status)
		if o, ok := best[key]; ok {
			fmt.Fprintf(&b, "%5.2f %5.2f %5.2f", o.Home, o.Draw, o.Away)
		}
		b.WriteByte('\n')
	}
	a := s.Account
	fmt.Fprintf(&b, "\n%d frames, %d missed, %d twice, %d out of turn, %d snapshots · %s\n", a.Frames, a.Missed, a.Twice, a.OutOfTurn, a.Snapshots, t.last)
	return b.String()
}
