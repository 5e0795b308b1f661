// Package control is how commands reach the server on their own machine: HTTP over a unix socket in the data folder,
// which only the server's user can open.
//
// The socket answers the whole HTTP API under /apps/ without credentials (whoever may open the socket can read them in
// the data folder anyway) and, under /control/, what only an operator asks: statistics, all channels, backups, and the
// entries of a channel as they are.
package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// SocketName is the file in the data folder.
const SocketName = "control.sock"

// maxPath is what every platform allows in the address of a unix socket.
const maxPath = 103

// Listen makes the socket in a data folder. A socket that a dead server has left is replaced; one that is answered is
// not: then another server uses the folder.
func Listen(data string) (net.Listener, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(data, SocketName)
	if c, err := dial(data); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("another server answers on %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := short(data, func(path string) (net.Listener, error) { return net.Listen("unix", path) })
	if err != nil {
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the name that it knows may be that of a descriptor which is gone
	}
	return &listener{Listener: l, path: path}, os.Chmod(path, 0o600)
}

// listener removes the socket when it is closed.
type listener struct {
	net.Listener
	path string
}

// Close implements net.Listener.
func (l *listener) Close() error {
	err := l.Listener.Close()
	if err == nil {
		err = os.Remove(l.path)
	}
	return err
}

// dialTimeout is how long a server may take to accept.
const dialTimeout = 2 * time.Second

func dial(data string) (net.Conn, error) {
	return short(data, func(path string) (net.Conn, error) { return net.DialTimeout("unix", path, dialTimeout) })
}

// short calls f with a path of the socket that is short enough for the kernel: that in the folder or, for folders deep
// down, one through a descriptor of the folder.
func short[T any](data string, f func(path string) (T, error)) (none T, err error) {
	path := filepath.Join(data, SocketName)
	if len(path) <= maxPath {
		return f(path)
	}
	dir, err := os.Open(data)
	if err != nil {
		return none, err
	}
	defer dir.Close()
	by := filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), SocketName)
	if _, err := os.Stat(filepath.Dir(by)); err != nil {
		return none, fmt.Errorf("the path %s is too long for a socket (%d bytes; %d are possible): use a shorter data folder", path, len(path), maxPath)
	}
	return f(by)
}
