package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/wire/token"
	"github.com/continuo-rt/continuo/test/local"
)

// TestTranscript runs the lab against a server of its own, as nobody in particular and with a token.
func TestTranscript(t *testing.T) {
	want, err := os.ReadFile("transcript.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := local.Serve(t, "mode: development\nlisten: 127.0.0.1:0\ndrain: 200ms\napp: {id: app, key: key, secret: secret-of-the-lab}\n")
	signed, err := token.Make(auth.Claims{App: "app", Subject: "ann", Expires: time.Now().Add(time.Hour),
		Rooms: []auth.RoomClaim{{Pattern: "lab-*", Can: app.RoomRights()}}}, "secret-of-the-lab")
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]string{"lab-anonymous": "", "lab-ann": signed} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			l := lab{server: s.Addr().String(), token: raw, room: name, out: &out}
			if err := l.run(); err != nil {
				t.Fatalf("%v after\n%s", err, out.String())
			}
			if out.String() != string(want) {
				t.Errorf("the lab said\n%s\nwant\n%s", out.String(), want)
			}
		})
	}
}
