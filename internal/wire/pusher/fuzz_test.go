package pusher

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/wiretest"
)

// FuzzParseQuery fuzzes ParseQuery: what it accepts is one of two protocols.
func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"", "protocol=7&client=js", "protocol=2&format=json&append_mode=full&echo_messages=false", "protocol=300", "%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := ParseQuery(raw)
		if err == nil && q.Protocol != V1 && q.Protocol != V2 {
			t.Fatalf("%q: protocol %d", raw, q.Protocol)
		}
	})
}

// FuzzFrames fuzzes parseRequest and everything behind it: lines of frames, sent by two clients of both protocols. Every
// answer must be valid JSON.
func FuzzFrames(f *testing.F) {
	all := wiretest.Clients(vectors)
	for i, frame := range all {
		f.Add(frame + "\n" + all[(i+1)%len(all)])
	}
	f.Add(strings.Join(all[:min(len(all), 20)], "\n"))
	f.Fuzz(func(t *testing.T, lines string) { // reaches parseRequest
		w := wiretest.NewWorld()
		room := stream.Ref{App: "app-id", Channel: "room"}
		w.Append(room, stream.Entry{Kind: stream.Create, Event: "e", Data: stream.Data{Type: stream.Text, Bytes: []byte("1")}})
		for i, query := range []string{"protocol=7", "protocol=2&append_mode=full"} {
			m, err := machineFor(query, map[string]string{"mutable": "true"})
			if err != nil {
				t.Fatal(err)
			}
			c := w.Open([]string{"1.1", "2.2"}[i], m)
			for line := range strings.SplitSeq(lines, "\n") {
				c.Send(line)
				w.Append(room, stream.Entry{Kind: stream.Append, Message: 1, Data: stream.Data{Type: stream.Text, Bytes: []byte("x")}})
			}
			w.Advance(40_000)
			for _, frame := range c.Inbox {
				if !json.Valid([]byte(frame)) {
					t.Fatalf("not JSON: %s", frame)
				}
			}
			c.Drop(false)
		}
	})
}
