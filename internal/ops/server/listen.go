package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/continuo-rt/continuo/internal/edge/lane"
	"github.com/continuo-rt/continuo/internal/ops/config"
	"github.com/continuo-rt/continuo/internal/ops/control"
)

// listeners are where the server can be reached; all but public may be nil.
type listeners struct {
	public, unix, admin net.Listener
	control             net.Listener
	certificate         *certificate // nil: plain
}

// listen opens them.
func (s *Server) listen(c *config.Config) (err error) {
	l := &s.listeners
	if l.certificate, err = loadCertificate(c.TLS, s.log); err != nil {
		return err
	}
	if l.public, err = net.Listen("tcp", c.Listen); err != nil {
		return fmt.Errorf("listen on %s: %w%s", c.Listen, err, portHint(err))
	}
	if c.UnixSocket != "" {
		if l.unix, err = listenUnix(c.UnixSocket, 0o660); err != nil {
			return fmt.Errorf("listen on the unix socket %s: %w", c.UnixSocket, err)
		}
	}
	if c.Admin.Listen != "" {
		if l.admin, err = net.Listen("tcp", c.Admin.Listen); err != nil {
			return fmt.Errorf("listen on %s for operators: %w%s", c.Admin.Listen, err, portHint(err))
		}
	}
	if l.control, err = control.Listen(c.Data); err != nil {
		s.log.Warn("there is no control socket: commands on this server need --url", "data", c.Data, "err", err)
	}
	return nil
}

// portHint says what to do about an address that is taken.
func portHint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; is another server running? Stop it, or choose another address with --listen"
	case errors.Is(err, syscall.EACCES):
		return "; ports below 1024 need a capability: choose a higher one, or put a proxy before it"
	}
	return ""
}

// listenUnix listens on a path. What a dead process has left there is removed; what a living one serves is not.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, errors.New("the path exists and is no socket")
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = c.Close()
			return nil, errors.New("another process serves it")
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, mode)
}

func (l *listeners) close() {
	for _, one := range []net.Listener{l.public, l.unix, l.admin, l.control} {
		if one != nil {
			_ = one.Close()
		}
	}
}

// serving lists what serves until the servers are closed; back is where connections come back from the lane.
func (l *listeners) serving(web, admin, local *http.Server, back net.Listener) []func() error {
	all := []func() error{func() error { return web.Serve(back) }, func() error {
		if l.certificate == nil {
			return web.Serve(tracking{l.public})
		}
		return web.ServeTLS(tracking{l.public}, "", "")
	}}
	if l.unix != nil {
		all = append(all, func() error { return web.Serve(tracking{l.unix}) })
	}
	if l.admin != nil {
		all = append(all, func() error { return admin.Serve(l.admin) })
	}
	if l.control != nil {
		all = append(all, func() error { return local.Serve(l.control) })
	}
	return all
}

// writeSlack is how much longer than its request an answer may take to be written: a client that reads nothing must
// not hold a page of history for ever.
const writeSlack = time.Minute

// webServer serves everyone. What is slow to send its header, its body or nothing is cut off; connections of faces are
// theirs to watch once they are upgraded.
func (s *Server) webServer() *http.Server {
	c := s.Config()
	s.lane = lane.New(lane.Options{Handler: http.HandlerFunc(s.public), Takes: s.short,
		IdleTimeout: c.HTTP.IdleTimeout, ReadTimeout: c.HTTP.BodyTimeout, WriteTimeout: c.HTTP.BodyTimeout + writeSlack})
	w := &http.Server{Handler: s.lane, ConnContext: trackContext, MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: c.HTTP.HeaderTimeout, ReadTimeout: c.HTTP.BodyTimeout, WriteTimeout: c.HTTP.BodyTimeout + writeSlack,
		IdleTimeout: c.HTTP.IdleTimeout, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	if cert := s.listeners.certificate; cert != nil {
		w.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get}
	}
	return w
}
