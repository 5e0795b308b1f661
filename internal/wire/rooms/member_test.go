package rooms

import (
	"fmt"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

var members1 = stream.Ref{App: "app", Channel: "room", Log: stream.Presence}

// TestMembers has the frames that the scripts of spec/vectors do not reach.
func TestMembers(t *testing.T) {
	for _, test := range []struct {
		name string
		e    stream.Entry
		want string // empty: the entry is not shown
	}{
		{"a quiet transition", stream.Entry{Serial: 7, Time: 2, Kind: stream.Put, Key: "ann", Version: 1, Event: presence.Quiet, Extras: presence.Note{Count: 1001}.Extras()},
			`{"kind":"presence.changed","room_id":"room","presence_id":7,"ts":2,"count":1001}`},
		{"one of a burst", stream.Entry{Serial: 7, Kind: stream.Put, Key: "ann", Version: 1, Event: presence.Quiet}, ""},
		{"another connection of a member", stream.Entry{Serial: 7, Kind: stream.Put, Key: "ann", Version: 2}, ""},
		{"a member whose data is damaged", stream.Entry{Serial: 7, Kind: stream.Put, Key: "ann", Version: 1},
			`{"kind":"presence.joined","room_id":"room","presence_id":7,"ts":0,"user_id":"ann"}`},
		{"a leave without a cause", stream.Entry{Serial: 7, Kind: stream.Delete, Key: "ann"},
			`{"kind":"presence.left","room_id":"room","presence_id":7,"ts":0,"user_id":"ann"}`},
	} {
		got, ok := Members{}.Entry(nil, session.Delivery{Ref: members1, Entry: &test.e})
		if ok != (test.want != "") || string(got) != test.want {
			t.Errorf("%s: %s (%v), want %s", test.name, got, ok, test.want)
		}
	}
	if got := (Members{}).Position(nil, members1, "s", 42); got != nil {
		t.Errorf("a presence log has the position %s", got)
	}
}

// TestBehind is what a client is told of a page that it missed. A capital letter is a quiet transition, and a number
// after it is the number of members that it tells.
func TestBehind(t *testing.T) {
	for page, want := range map[string]string{
		"+a +b":            "+a +b",
		"+a -a":            "",
		"-a +a":            "-a +a",
		"+a *a -a +b":      "+b",
		"+A +B2 +C +D4":    "+D4",
		"+a +B2 -c +D3 +E": "+a -c +D3",
		"+A1 -A":           "+A1",
		"+A +B -C +D":      "",
		"*A1001 *A +B1002": "+B1002",
		"+B2 -b":           "+B2 -b",
		"+x +Y5 -x":        "+x +Y5 -x",
		"+x -x +Y5 +z -z":  "+Y5",
	} {
		var entries []*stream.Entry
		words := strings.Fields(page)
		for i, w := range words {
			entries = append(entries, transitionOf(uint64(i+1), w))
		}
		var got []string
		for i, keep := range (Members{}).Choose(entries) {
			if keep {
				got = append(got, words[i])
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", page, got, want)
		}
	}
}

func transitionOf(serial uint64, w string) *stream.Entry {
	e := &stream.Entry{Serial: serial, Kind: stream.Put, Key: strings.ToLower(w[1:2]), Version: 2, Member: &stream.Member{}}
	switch w[0] {
	case '+':
		e.Version = 1
	case '*':
		e.Member.Update = true
	case '-':
		e.Kind = stream.Delete
	}
	if e.Key != w[1:2] {
		e.Event = presence.Quiet
		n := 0
		_, _ = fmt.Sscan(w[2:], &n)
		e.Extras = presence.Note{Count: n}.Extras()
	}
	return e
}

// TestGathers says for which entries a later one stands.
func TestGathers(t *testing.T) {
	for w, want := range map[string]bool{"+a": false, "-a": false, "*a": false, "+A": true, "-A7": true, "*A": true} {
		if got := (Members{}).Gathers(transitionOf(1, w)); got != want {
			t.Errorf("%s: %v", w, got)
		}
	}
	if !(Members{}).Gathers(&stream.Entry{Kind: stream.Put, Key: "a", Version: 2}) {
		t.Error("a further connection does not end the waiting")
	}
}
