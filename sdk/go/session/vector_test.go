package session

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"testing"

	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// With -record the vectors get the effects that this machine has: read each of them before it is believed.
var record = flag.Bool("record", false, "write the effects of this machine into session.json")

const vectors = "../../../spec/vectors/client/session.json"

type scene struct {
	Name   string `json:"name"`
	Client string `json:"client,omitempty"`
	Buffer int    `json:"buffer,omitempty"`
	Steps  []step `json:"steps"`
}

type step struct {
	Now    *int64           `json:"now,omitempty"`
	Random *float64         `json:"random,omitempty"`
	In     json.RawMessage  `json:"in"`
	Out    []map[string]any `json:"out"`
}

// player plays scenes: it keeps the JSON of the frames that went in, so that the same come out.
type player struct {
	machine *Machine
	frames  map[*wire.Frame]any
}

func TestVectors(t *testing.T) {
	text, err := os.ReadFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	var scenes []scene
	if err := json.Unmarshal(text, &scenes); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for i := range scenes {
		s := &scenes[i]
		if names[s.Name] {
			t.Errorf("two scenes are called %q", s.Name)
		}
		names[s.Name] = true
		t.Run(s.Name, func(t *testing.T) { play(t, s) })
	}
	if *record {
		write(t, scenes)
	}
}

func play(t *testing.T, s *scene) {
	p := &player{New(s.Client, s.Buffer), map[*wire.Frame]any{}}
	now := int64(0)
	for i := range s.Steps {
		step := &s.Steps[i]
		random := 0.5
		if step.Now != nil {
			now = *step.Now
		}
		if step.Random != nil {
			random = *step.Random
		}
		got := []map[string]any{}
		for _, e := range p.machine.Step(now, random, p.input(t, step.In)) {
			got = append(got, p.effect(t, &e))
		}
		if *record {
			step.Out = anyText(got)
			continue
		}
		if !reflect.DeepEqual(normal(got), wild(normal(got), normal(step.Out))) {
			t.Fatalf("step %d %s\n got %s\nwant %s", i, step.In, oneLine(got), oneLine(step.Out))
		}
	}
}

// wild puts got's text in the place of a message "*".
func wild(got, want any) any {
	g, _ := got.([]any)
	w, _ := want.([]any)
	for i := range w {
		if w := w[i].(map[string]any); i < len(g) && w["message"] == "*" && g[i].(map[string]any)["message"] != "" {
			w["message"] = g[i].(map[string]any)["message"]
		}
	}
	return want
}

// anyText replaces the texts that each library words in its own way.
func anyText(out []map[string]any) []map[string]any {
	own := map[any]bool{"closed": true, "not_connected": true, "queue_full": true, "outcome_unknown": true}
	for _, e := range out {
		if e["do"] == Warn || e["do"] == Failed && own[e["code"]] {
			e["message"] = "*"
		}
	}
	return out
}

type jsonInput struct {
	Do           string          `json:"do"`
	Token        *string         `json:"token"`
	Message      string          `json:"message"`
	Frame        json.RawMessage `json:"frame"`
	Status       int             `json:"status"`
	RetryAfterMS int64           `json:"retry_after_ms"`
	Code         int             `json:"code"`
	Room         string          `json:"room"`
	StreamID     string          `json:"stream_id"`
	EventID      int64           `json:"event_id"`
	ID           string          `json:"id"`
	Again        bool            `json:"again"`
	Presence     string          `json:"presence"`
	PresenceData json.RawMessage `json:"presence_data"`
	Events       []string        `json:"events"`
	Rewind       *wire.Rewind    `json:"rewind"`
	Cursor       *Cursor         `json:"cursor"`
}

func (p *player) input(t *testing.T, text json.RawMessage) Input {
	t.Helper()
	var in jsonInput
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		t.Fatal(err)
	}
	to := Input{Do: in.Do, Token: in.Token, Message: in.Message, Status: in.Status, RetryAfterMS: in.RetryAfterMS, Code: in.Code, Room: in.Room,
		StreamID: in.StreamID, EventID: in.EventID, ID: in.ID, Again: in.Again,
		Join: Join{Presence: in.Presence, PresenceData: in.PresenceData, Events: in.Events, Rewind: in.Rewind, Cursor: in.Cursor}}
	switch in.Do {
	case Frame:
		f, err := wire.Decode(in.Frame)
		if err != nil {
			t.Fatalf("%s: %v", in.Frame, err)
		}
		var value any
		_ = json.Unmarshal(in.Frame, &value)
		to.Frame, p.frames[f] = f, value
	case Request:
		to.Command = new(wire.Command)
		if err := json.Unmarshal(in.Frame, to.Command); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// effect is an effect as in the vectors.
func (p *player) effect(t *testing.T, e *Effect) map[string]any {
	t.Helper()
	out := map[string]any{"do": e.Do}
	switch e.Do {
	case Dial:
		out["token"] = e.Token
	case Send:
		out["frame"] = e.Command
	case HangUp:
		out["code"] = e.Code
	case SetTimer:
		out["in_ms"] = e.InMS
		if e.InMS < 0 {
			out["in_ms"] = nil
		}
	case Deliver:
		out["room"], out["frame"] = e.Room, p.frames[e.Frame]
	case StoreCursor:
		out["room"], out["stream_id"], out["event_id"] = e.Room, e.StreamID, e.EventID
	case FetchSnapshot:
		out["room"], out["reason"], out["stream_id"], out["event_id"] = e.Room, e.Reason, e.StreamID, e.EventID
		if e.URL != "" {
			out["url"] = e.URL
		}
	case Answer:
		out["id"], out["frame"] = e.ID, p.frames[e.Frame]
	case Failed:
		out["id"], out["code"], out["message"], out["retryable"] = e.ID, e.Failure.Code, e.Failure.Message, e.Failure.Retryable
		if e.Failure.Version != 0 {
			out["version"] = e.Failure.Version
		}
	case Warn:
		out["message"] = e.Message
	case StateChanged:
		stateJSON(out, e.State)
	case RoomChanged:
		out["room"] = e.Room
		roomJSON(out, e.RoomState)
	case WantToken:
	default:
		t.Fatalf("what is %q?", e.Do)
	}
	return out
}

func stateJSON(out map[string]any, s State) {
	out["state"] = s.State
	switch s.State {
	case StateConnecting:
		out["attempt"] = s.Attempt
	case StateConnected:
		out["session_id"] = s.SessionID
		if s.UserID != "" {
			out["user_id"] = s.UserID
		}
	case StateWaiting:
		out["retry_in_ms"], out["attempt"], out["code"] = s.RetryInMS, s.Attempt, s.Code
	case StateStopped:
		out["reason"], out["code"] = s.Reason, s.Code
	}
}

func roomJSON(out map[string]any, s RoomState) {
	out["state"] = s.State
	switch s.State {
	case RoomResuming:
		out["replaying"] = s.Replaying
	case RoomLive:
		out["resumed"], out["missed"] = s.Resumed, s.Missed
	case RoomSnapshot:
		out["reason"] = s.Reason
	case RoomRefused:
		out["code"], out["message"] = s.Code, s.Message
	}
}

// normal is a value as JSON has it.
func normal(v any) any {
	text, _ := json.Marshal(v)
	var to any
	_ = json.Unmarshal(text, &to)
	return to
}

func oneLine(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return string(bytes.TrimSpace(b.Bytes()))
}

// write writes scenes, a line for each step.
func write(t *testing.T, scenes []scene) {
	var b bytes.Buffer
	b.WriteString("[\n")
	for i, s := range scenes {
		fmt.Fprintf(&b, "{\"name\":%s,\"client\":%s,", oneLine(s.Name), oneLine(s.Client))
		if s.Buffer > 0 {
			fmt.Fprintf(&b, "\"buffer\":%d,", s.Buffer)
		}
		b.WriteString("\"steps\":[\n")
		for j, step := range s.Steps {
			b.WriteString("  {")
			if step.Now != nil {
				fmt.Fprintf(&b, "\"now\":%d,", *step.Now)
			}
			if step.Random != nil {
				fmt.Fprintf(&b, "\"random\":%v,", *step.Random)
			}
			fmt.Fprintf(&b, "\"in\":%s,\n   \"out\":%s}%s\n", step.In, oneLine(step.Out), comma(j, len(s.Steps)))
		}
		fmt.Fprintf(&b, "]}%s\n", comma(i, len(scenes)))
	}
	b.WriteString("]\n")
	if err := os.WriteFile(vectors, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func comma(i, n int) string {
	if i < n-1 {
		return ","
	}
	return ""
}
