package control

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func serve(t *testing.T, data string) (end func()) {
	t.Helper()
	l, err := Listen(data)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "here") })}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	return func() { _ = s.Close(); <-done }
}

func TestSocket(t *testing.T) {
	for name, data := range map[string]string{
		"short": filepath.Join(t.TempDir(), "d"),
		"long":  filepath.Join(t.TempDir(), strings.Repeat("d", 120), strings.Repeat("e", 120)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Dial(data); !errors.Is(err, ErrNoServer) {
				t.Errorf("before there is a folder: %v", err)
			}
			end := serve(t, data)
			info, err := os.Stat(filepath.Join(data, SocketName))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", info, err)
			}
			if _, err := Listen(data); err == nil || !strings.Contains(err.Error(), "another server answers") {
				t.Errorf("a second server: %v", err)
			}
			c, err := Dial(data)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				res, err := c.Get(Base + "/x")
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if string(body) != "here" {
					t.Errorf("%q", body)
				}
			}
			c.CloseIdleConnections()
			end()
			if _, err := Dial(data); !errors.Is(err, ErrNoServer) {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}

// A server that was killed leaves its socket; nobody is there, and the next server takes its place.
func TestSocketOfTheDead(t *testing.T) {
	data := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(data, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := Dial(data); !errors.Is(err, ErrNoServer) {
		t.Errorf("%v", err)
	}
	serve(t, data)()
}
