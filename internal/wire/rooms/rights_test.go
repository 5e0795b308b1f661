package rooms

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/wiretest"
)

// operation is something that a client may do, and the claims of which it needs one.
type operation struct {
	name  string
	frame string
	needs []string
}

// operations are all that rights decide about. Message 1 is the client's own, message 2 another's.
var operations = []operation{
	{"`client.join`", `{"kind":"client.join","room_id":"room","correlation_id":"x"}`, []string{"join"}},
	{"`client.join` with `presence`", `{"kind":"client.join","room_id":"other","presence":"enter","correlation_id":"x"}`, []string{"presence"}},
	{"`chat.send`", `{"kind":"chat.send","room_id":"room","text":"x","correlation_id":"x"}`, []string{"send"}},
	{"`chat.send`, ephemeral", `{"kind":"chat.send","room_id":"room","text":"x","ephemeral":true,"correlation_id":"x"}`, []string{"send"}},
	{"`message.update`, own", `{"kind":"message.update","room_id":"room","message_id":"1","text":"x","correlation_id":"x"}`, []string{"edit_own", "edit_any"}},
	{"`message.update`, another's", `{"kind":"message.update","room_id":"room","message_id":"2","text":"x","correlation_id":"x"}`, []string{"edit_any"}},
	{"`message.append`, own", `{"kind":"message.append","room_id":"room","message_id":"1","text":"x","correlation_id":"x"}`, []string{"edit_own", "edit_any"}},
	{"`message.append`, another's", `{"kind":"message.append","room_id":"room","message_id":"2","text":"x","correlation_id":"x"}`, []string{"edit_any"}},
	{"`message.delete`, own", `{"kind":"message.delete","room_id":"room","message_id":"1","correlation_id":"x"}`, []string{"delete_own", "delete_any"}},
	{"`message.delete`, another's", `{"kind":"message.delete","room_id":"room","message_id":"2","correlation_id":"x"}`, []string{"delete_any"}},
	{"`message.react`, `message.unreact`", `{"kind":"message.react","room_id":"room","message_id":"2","name":"like","correlation_id":"x"}`, []string{"react"}},
	{"`client.history`", `{"kind":"client.history","room_id":"room","correlation_id":"x"}`, []string{"history"}},
	{"`client.presence`", `{"kind":"client.presence","room_id":"room","correlation_id":"x"}`, []string{"presence"}},
}

// TestRights tries every operation with every claim: what the table allows is done, all else is unauthorized.
func TestRights(t *testing.T) {
	for _, claim := range append([]string{""}, app.RoomRights()...) {
		for _, op := range operations {
			can := []string{claim}
			if claim != "join" && !slices.Contains(op.needs, "join") {
				can = append(can, "join") // or nothing could be tried in a room
			}
			want := slices.Contains(op.needs, claim)
			if got := allowed(t, strings.Join(can, ","), op.frame); got != want {
				t.Errorf("%s with the claim %q: allowed %v, want %v", op.name, claim, got, want)
			}
		}
	}
}

// allowed plays an operation in a fresh world and reports whether it was not refused for want of a right.
func allowed(t *testing.T, can, frame string) bool {
	t.Helper()
	m, err := machineFor("user=ann&can="+strings.Trim(can, ","), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := wiretest.NewWorld()
	ref := stream.Ref{App: "app-id", Channel: "room"}
	for _, user := range []string{"ann", "bob"} {
		w.Append(ref, stream.Entry{Kind: stream.Create, Event: plainEvent, User: user, Data: stream.Data{Type: stream.Text, Bytes: []byte("x")}})
	}
	c := w.Open("session", &host{Machine: m, server: newServer()})
	c.Send(`{"kind":"client.join","room_id":"room"}`)
	c.Inbox = nil
	c.Send(frame)
	for _, answer := range c.Inbox {
		var v struct {
			Kind, Code  string
			Correlation string `json:"correlation_id"`
		}
		if err := json.Unmarshal([]byte(answer), &v); err != nil {
			t.Fatal(err)
		}
		if v.Correlation == "x" {
			if v.Kind == "server.error" && v.Code != codeForbidden {
				t.Fatalf("%s with %s: %s", frame, can, answer)
			}
			return v.Kind != "server.error"
		}
	}
	t.Fatalf("%s with %s was not answered: %q", frame, can, c.Inbox)
	return false
}

// TestRightsTable compares the table of the protocol's description with the one that was tested.
func TestRightsTable(t *testing.T) {
	text, err := os.ReadFile("../../../spec/rooms.md")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| operation |")
	for _, claim := range app.RoomRights() {
		b.WriteString(" `" + claim + "` |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(app.RoomRights())) + "\n")
	for _, op := range operations {
		b.WriteString("| " + op.name + " |")
		for _, claim := range app.RoomRights() {
			mark := "   |"
			if slices.Contains(op.needs, claim) {
				mark = " ✓ |"
			}
			b.WriteString(mark)
		}
		b.WriteString("\n")
	}
	if !strings.Contains(string(text), b.String()) {
		t.Errorf("spec/rooms.md does not have the table of rights as it is:\n%s", b.String())
	}
}
