// Package local runs whole servers inside the processes of tests.
package local

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"

	"github.com/continuo-rt/continuo/internal/ops/config"
	"github.com/continuo-rt/continuo/internal/ops/server"
)

// T is what of a testing.TB a server needs.
type T interface {
	Helper()
	TempDir() string
	Cleanup(f func())
	Fatal(args ...any)
	Errorf(format string, args ...any)
}

// Serve runs a server of a configuration until the test ends; its data are in a folder of the test's own. env is what the
// environment says beside that, as NAME=value.
func Serve(t T, configuration string, env ...string) *server.Server {
	t.Helper()
	cfg, problems := config.Load(config.Sources{File: "continuo.yaml", Data: []byte(configuration),
		Env: append(env, "CONTINUO_DATA="+filepath.Join(t.TempDir(), "data"))})
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
			t.Errorf("the server ended with %v", err)
		}
	})
	return s
}
