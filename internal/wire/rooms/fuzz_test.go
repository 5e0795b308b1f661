package rooms

import (
	"encoding/json"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/wiretest"
)

// FuzzFrames lets a client send two frames, whatever they are: every answer is one valid JSON object with a kind, no
// frame ends the connection but a greeting in another version, and nothing is in the log that a valid frame did not put
// there. It reaches Decode.
func FuzzFrames(f *testing.F) {
	for _, frame := range wiretest.Clients(vectors) {
		f.Add([]byte(frame), []byte(`{"kind":"chat.send","room_id":"room","text":"x"}`))
		f.Add([]byte(`{"kind":"client.join","room_id":"room","presence":"enter"}`), []byte(frame))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		m, err := machineFor("user=ann", nil)
		if err != nil {
			t.Fatal(err)
		}
		w := wiretest.NewWorld()
		c := w.Open("session", &host{Machine: m, server: newServer()})
		for _, frame := range [][]byte{first, second} {
			before := len(c.Inbox)
			c.Step(session.Frame{Data: frame})
			if r, err := Decode(frame); err == nil && len(c.Inbox) == before && c.Closed == nil && r.Kind != "" {
				t.Errorf("%q was not answered", frame)
			}
		}
		for _, frame := range c.Inbox {
			var v struct {
				Kind string `json:"kind"`
				Code string `json:"code"`
			}
			if err := json.Unmarshal([]byte(frame), &v); err != nil || v.Kind == "" {
				t.Fatalf("the server sent %q (%v)", frame, err)
			}
			if v.Kind == "server.error" && v.Code == "" {
				t.Fatalf("an error without a code: %q", frame)
			}
		}
		if c.Closed != nil && c.Closed.Code != closeProtocol {
			t.Fatalf("closed with %d", c.Closed.Code)
		}
		for _, e := range w.Log(stream.Ref{App: "app-id", Channel: "room"}).Entries() {
			if e.User != "ann" || e.Data.Type == stream.JSON && !json.Valid(e.Data.Bytes) {
				t.Fatalf("the log holds %+v", e)
			}
		}
	})
}
