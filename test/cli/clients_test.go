package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// run starts a server for a test written in Go.
func run(t *testing.T, config string, args ...string) (s *server, url, data string) {
	t.Helper()
	dir := t.TempDir()
	data = filepath.Join(dir, "data")
	args = append([]string{"--data", data, "--listen", "127.0.0.1:0"}, args...)
	if config != "" {
		file := filepath.Join(dir, "continuo.yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	s, url, err := launch(binary, dir, append(os.Environ(), "CONTINUO_LOG_FORMAT=text"), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s, url, data
}

// wsDial opens a connection of the Pusher face and reads its first frame.
func wsDial(ctx context.Context, url string, header http.Header) (net.Conn, error) {
	d := ws.Dialer{Timeout: patience, Header: ws.HandshakeHeaderHTTP(header)}
	c, br, _, err := d.Dial(ctx, strings.Replace(url, "http", "ws", 1)+"/app/app-key?protocol=7")
	if err != nil {
		return nil, err
	}
	if br != nil {
		c = &buffered{c, br}
	}
	if _, _, err := wsutil.ReadServerData(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

type buffered struct {
	net.Conn
	r io.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// fate is how a connection ended.
type fate struct {
	code int // of the close frame
	at   time.Time
}

func ending(c net.Conn) fate {
	for {
		if _, _, err := wsutil.ReadServerData(c); err != nil {
			var closed wsutil.ClosedError
			_ = errors.As(err, &closed) // without a close frame the code is 0
			return fate{int(closed.Code), time.Now()}
		}
	}
}

// At SIGTERM the server is unready, accepts nobody, and tells its clients to come back, spread over the drain time, with
// a code that makes them.
func TestDrainSpreadsReconnects(t *testing.T) {
	const clients, drain = 40, 2 * time.Second
	s, url, _ := run(t, "", "--drain", drain.String(), "--admin-listen", "127.0.0.1:0")
	admin := s.operators(t)
	fates := make([]fate, clients)
	var open sync.WaitGroup
	for i := range clients {
		c, err := wsDial(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		open.Go(func() { fates[i] = ending(c); c.Close() })
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := s.await(regexp.MustCompile(`stopping: clients are told to reconnect`)); err != nil {
		t.Fatal(err)
	}
	if status, body := fetch(t, admin+"/ready"); status != 503 || body != "DRAINING" {
		t.Errorf("while it drains, /ready answers %d %q", status, body)
	}
	if status, _ := fetch(t, admin+"/live"); status != 200 {
		t.Errorf("while it drains, /live answers %d", status)
	}
	if _, err := wsDial(t.Context(), url, nil); err == nil {
		t.Error("a new connection was accepted while the server drained")
	}
	open.Wait()
	<-s.done
	if s.code != 0 {
		t.Errorf("exit code %d\n%s", s.code, s.log())
	}
	first, last := fates[0].at, fates[0].at
	for i, f := range fates {
		if f.code < 4200 || f.code > 4299 {
			t.Errorf("client %d was closed with code %d, which does not make it come back at once", i, f.code)
		}
		if f.at.Before(first) {
			first = f.at
		}
		if f.at.After(last) {
			last = f.at
		}
	}
	if spread := last.Sub(first); spread < drain/4 { // of a machine that may be busy for a while
		t.Errorf("all clients were told within %v", spread)
	}
}

var operators = regexp.MustCompile(`operators\s+(http\S+)`)

// operators is the URL of the server's listener for them.
func (s *server) operators(t *testing.T) string {
	t.Helper()
	line, err := s.await(operators)
	if err != nil {
		t.Fatal(err)
	}
	return operators.FindStringSubmatch(line)[1]
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, string(body)
}

// Connections of one address are counted until they end, behind a proxy by what it says, and other addresses are not
// concerned.
func TestConnectionsPerAddress(t *testing.T) {
	_, url, _ := run(t, "trusted_proxies: [127.0.0.1]\nlimits: {connections_per_ip: 2}\n")
	from := func(ip string) (net.Conn, error) {
		return wsDial(t.Context(), url, http.Header{"X-Forwarded-For": {ip}})
	}
	var open []net.Conn
	for range 2 {
		c, err := from("198.51.100.7")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	var refused ws.StatusError
	if _, err := from("198.51.100.7"); !asStatus(err, &refused) || refused != 429 {
		t.Errorf("the third connection: %v", err)
	}
	if _, err := from("198.51.100.8"); err != nil {
		t.Errorf("another address: %v", err)
	}
	open[0].Close()
	late := time.After(patience)
	for {
		c, err := from("198.51.100.7")
		if err == nil {
			c.Close()
			break
		}
		select {
		case <-late:
			t.Fatalf("the place of a connection that ended is still taken: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// A page may read that its address is beyond a limit, and when to come back: its browser asks first, which is not counted.
func TestPagesCanReadLimits(t *testing.T) {
	_, url, _ := run(t, "trusted_proxies: [127.0.0.1]\nlimits: {requests_per_ip: 1, connects_per_ip: 1}\n")
	ask := func(method, path string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"X-Forwarded-For": {"198.51.100.7"}, "Origin": {"https://page.test"}}
		if method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", "GET")
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	for _, path := range []string{"/rooms/room-1/snapshot", "/rooms"} { // what HTTP answers, and what refuses a connection
		if first := ask(http.MethodGet, path); first.StatusCode == http.StatusTooManyRequests {
			t.Fatalf("the first request of %s: %s", path, first.Status)
		}
		res := ask(http.MethodGet, path)
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Access-Control-Allow-Origin") != "*" ||
			res.Header.Get("Retry-After") == "" || res.Header.Get("Access-Control-Expose-Headers") != "Retry-After" {
			t.Errorf("the second request of %s: %s %v", path, res.Status, res.Header)
		}
	}
	if res := ask(http.MethodOptions, "/rooms/room-1/snapshot"); res.StatusCode != http.StatusNoContent {
		t.Errorf("a preflight: %s", res.Status)
	}
}

func asStatus(err error, status *ws.StatusError) bool {
	s, ok := err.(ws.StatusError)
	*status = s
	return ok
}

// Who is slow to send a request is cut off, whatever part of it is missing.
func TestSlowRequestsAreCutOff(t *testing.T) {
	_, url, _ := run(t, "http: {header_timeout: 300ms, body_timeout: 600ms}\n")
	address := strings.TrimPrefix(url, "http://")
	for name, begin := range map[string]string{
		"nothing":        "",
		"half a header":  "GET /live HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"half a body":    "POST /apps/app-id/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer app-key:app-secret\r\nContent-Length: 100\r\n\r\n{",
		"half a upgrade": "GET /app/app-key HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			began := time.Now()
			if _, err := fmt.Fprint(c, begin); err != nil {
				t.Fatal(err)
			}
			if err := c.SetReadDeadline(began.Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("it was not cut off: %v", err)
			}
		})
	}
}
