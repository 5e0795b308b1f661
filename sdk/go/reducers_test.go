package continuo

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/continuo-rt/continuo/sdk/go/wire"
)

func vectors(t *testing.T, name string, to any) {
	t.Helper()
	text, err := os.ReadFile("../../spec/vectors/client/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatal(err)
	}
}

type foldStep struct {
	Event    json.RawMessage `json:"event"`
	Snapshot json.RawMessage `json:"snapshot"`
	History  json.RawMessage `json:"history"`
	List     any             `json:"list"`
	Count    *int64          `json:"count"`
}

// input is what a step folds. A snapshot is no frame of the protocol: it is decoded as the page of history that it holds.
func (s foldStep) input(t *testing.T) *Event {
	t.Helper()
	text := s.Event
	if s.History != nil {
		text = s.History
	}
	if s.Snapshot != nil {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(s.Snapshot, &members); err != nil {
			t.Fatal(err)
		}
		members["kind"] = json.RawMessage(`"room.history"`)
		text, _ = json.Marshal(members)
	}
	e, err := wire.Decode(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if s.Snapshot != nil {
		e.Kind = wire.Snapshot
	}
	return e
}

func checkList(t *testing.T, i int, got, want any) {
	t.Helper()
	text, _ := json.Marshal(got)
	var plain any
	_ = json.Unmarshal(text, &plain)
	if !reflect.DeepEqual(plain, want) {
		wanted, _ := json.Marshal(want)
		t.Fatalf("step %d:\n got %s\nwant %s", i, text, wanted)
	}
}

func TestMessageVectors(t *testing.T) {
	var cases []struct {
		Name  string
		Steps []foldStep
	}
	vectors(t, "messages.json", &cases)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			var l MessageList
			for i, s := range c.Steps {
				l.Apply(s.input(t))
				all := l.All()
				if all == nil {
					all = []Message{}
				}
				checkList(t, i, all, s.List)
			}
		})
	}
}

func TestMemberVectors(t *testing.T) {
	var cases []struct {
		Name  string
		Steps []foldStep
	}
	vectors(t, "members.json", &cases)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			var l MemberList
			for i, s := range c.Steps {
				l.Apply(s.input(t))
				all := l.All()
				if all == nil {
					all = []Member{}
				}
				checkList(t, i, all, s.List)
				if l.Count() != *s.Count {
					t.Fatalf("step %d: count %d, want %d", i, l.Count(), *s.Count)
				}
			}
		})
	}
}

func TestDescribeVectors(t *testing.T) {
	var cases []struct {
		State *State
		Room  *RoomState
		Text  string
	}
	vectors(t, "describe.json", &cases)
	for _, c := range cases {
		got := ""
		if c.State != nil {
			got = c.State.Describe()
		} else {
			got = c.Room.Describe()
		}
		if got != c.Text {
			t.Errorf("got %q, want %q", got, c.Text)
		}
	}
}
