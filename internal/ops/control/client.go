package control

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
)

// ErrNoServer says that no server answers in a data folder.
var ErrNoServer = errors.New("no server is running")

// Base is the beginning of the URLs that a client of Dial asks for.
const Base = "http://continuo"

// Dial gives an HTTP client that reaches the server of a data folder. The error wraps ErrNoServer when there is none.
func Dial(data string) (*http.Client, error) {
	if _, err := os.Stat(filepath.Join(data, SocketName)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(ErrNoServer, err)
		}
		return nil, err
	}
	c, err := dial(data)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, errors.Join(ErrNoServer, err) // it was killed and left its socket
	case err != nil:
		return nil, err
	}
	first := make(chan net.Conn, 1)
	first <- c
	return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		select {
		case c := <-first:
			return c, nil
		default:
			return dial(data)
		}
	}}}, nil
}
