package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/ops/config"
	"github.com/continuo-rt/continuo/internal/ops/server"
	"github.com/continuo-rt/continuo/internal/wire/token"
)

// TestTranscript runs the lab against a server of its own, as nobody in particular and with a token.
func TestTranscript(t *testing.T) {
	want, err := os.ReadFile("transcript.txt")
	if err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Load(config.Sources{File: "lab.yaml", Data: []byte("mode: development\nlisten: 127.0.0.1:0\ndrain: 200ms\n" +
		"app: {id: app, key: key, secret: secret-of-the-lab}\n"), Env: []string{"CONTINUO_DATA=" + filepath.Join(t.TempDir(), "data")}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s, err := server.New(server.Options{Config: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
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
