package fault

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// echo answers lines with themselves.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					_, _ = c.Write([]byte(line))
				}
			}()
		}
	}()
	return l.Addr().String()
}

type caller struct {
	net.Conn
	in *bufio.Reader
}

func call(t *testing.T, p *Proxy) caller {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return caller{c, bufio.NewReader(c)}
}

func (c caller) say(t *testing.T, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(c, line); err != nil {
		t.Fatal(err)
	}
}

// hears gives the next line, or what there was of it before the end, or "…" when nothing comes.
func (c caller) hears(patience time.Duration) string {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	line, err := c.in.ReadString('\n')
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return "…"
	}
	if err != nil {
		return line + "$"
	}
	return strings.TrimSuffix(line, "\n")
}

const long, short = 30 * time.Second, 50 * time.Millisecond

func TestControl(t *testing.T) {
	p, err := Listen(echo(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	control := httptest.NewServer(p.Control())
	t.Cleanup(control.Close)
	post := func(path string, status int) {
		t.Helper()
		resp, err := http.Post(control.URL+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Fatalf("%s: %d, want %d", path, resp.StatusCode, status)
		}
	}
	expect := func(c caller, patience time.Duration, want string) {
		t.Helper()
		if got := c.hears(patience); got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	}
	c := call(t, p)
	c.say(t, "one")
	expect(c, long, "one")
	post("/stall", http.StatusNoContent)
	c.say(t, "two")
	expect(c, short, "…")
	post("/resume-stalled", http.StatusNoContent)
	expect(c, long, "two")
	post("/stall?way=down", http.StatusNoContent)
	c.say(t, "answer")
	expect(c, short, "…")
	post("/resume-stalled", http.StatusNoContent)
	expect(c, long, "answer")
	post("/cut-mid-frame", http.StatusNoContent)
	c.say(t, "three")
	expect(c, long, "thr$")
	c = call(t, p)
	c.say(t, "four")
	expect(c, long, "four")
	post("/cut", http.StatusNoContent)
	expect(c, long, "$")
	c = call(t, p)
	c.say(t, "said")
	expect(c, long, "said")
	post("/close?code=4409", http.StatusNoContent)
	c.say(t, "nobody hears this")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	expect(c, long, "\x88\x02\x11\x39$")
	post("/refuse", http.StatusNoContent)
	if c, err := net.Dial("tcp", p.Addr()); err == nil { // or it was reset already
		expect(caller{c, bufio.NewReader(c)}, long, "$")
		_ = c.Close()
	}
	post("/accept", http.StatusNoContent)
	post("/delay?ms=5", http.StatusNoContent)
	c = call(t, p)
	c.say(t, "five")
	expect(c, long, "five")
	post("/target?to="+"127.0.0.1:1", http.StatusNoContent)
	expect(call(t, p), long, "$")
	for _, bad := range []string{"/delay?ms=x", "/faults", "/target", "/stall?way=x", "/close"} {
		post(bad, http.StatusBadRequest)
	}
	if s := p.Stats(); s.Accepted != 5 || s.Refused != 1 || s.Up != int64(len("one\ntwo\nanswer\nsaid\nthree\nfour\nfive\n")) {
		t.Errorf("%+v", s)
	}
}

// drawn waits until a fault was drawn for another connection.
func drawn(p *Proxy, before map[string]int) string {
	for {
		for kind, n := range p.Stats().Faults {
			if n != before[kind] {
				return kind
			}
		}
		runtime.Gosched()
	}
}

// TestFaults draws faults until each kind was drawn and has ended its connection, or not.
func TestFaults(t *testing.T) {
	p, err := Listen(echo(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	p.Faults(true)
	line := strings.Repeat("x", 20_000)
	for len(p.Stats().Faults) < 5 {
		before := p.Stats().Faults
		c := call(t, p)
		kind := drawn(p, before)
		patience := long
		if kind == "half-open" || kind == "slow" { // nothing comes any more, or it may take a minute
			patience = short
		}
		_, _ = fmt.Fprintln(c, line)
		heard := c.hears(patience)
		if whole := heard == line; kind == "none" && !whole || kind != "none" && kind != "slow" && whole {
			t.Errorf("%s: heard %d bytes", kind, len(heard))
		}
	}
	p.Heal()
	c := call(t, p)
	c.say(t, line)
	if got := c.hears(long); got != line {
		t.Errorf("healed: heard %d bytes", len(got))
	}
}
