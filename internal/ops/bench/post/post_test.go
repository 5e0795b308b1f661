package post

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAgainstNetHTTP(t *testing.T) {
	conns := make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		conns <- r.RemoteAddr
		switch string(b) {
		case "flush":
			w.Write([]byte("one "))
			w.(http.Flusher).Flush()
			w.Write([]byte("two"))
		case "none":
			w.WriteHeader(http.StatusNoContent)
		case "long":
			w.Write(bytes.Repeat([]byte("z"), 3*maxBody))
		case "bad":
			http.Error(w, "no", http.StatusTeapot)
		case "close":
			w.Header().Set("Connection", "close")
		default:
			w.Write(b)
		}
	}))
	defer s.Close()
	c, err := Dial(t.Context(), s.Listener.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var first string
	for i, x := range []struct {
		in     string
		status int
		body   string
	}{
		{"hello", 200, "hello"},
		{"flush", 200, "one two"},
		{"none", 204, ""},
		{"long", 200, strings.Repeat("z", maxBody)},
		{"bad", 418, "no\n"},
		{"close", 200, ""},
		{"again", 200, "again"},
	} {
		req := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + itoa(len(x.in)) + "\r\n\r\n" + x.in
		status, body, err := c.Do(t.Context(), []byte(req))
		if err != nil || status != x.status || string(body) != x.body {
			t.Errorf("%s: %d %.20q %v", x.in, status, body, err)
		}
		remote := <-conns
		if i == 0 {
			first = remote
		}
		if reused := remote == first; reused != (x.in != "again") {
			t.Errorf("%s: connection reused: %v", x.in, reused)
		}
	}
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/10%10), byte('0' + n%10)})
}

func TestMalformedAnswers(t *testing.T) {
	for _, answer := range []string{
		"",
		"HTTP/2 200\r\n\r\n",
		"HTTP/1.1 abc OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
		"HTTP/1.1 200 OK\r\nConten",
	} {
		c := &Client{}
		client, server := net.Pipe()
		go func() {
			io.CopyN(io.Discard, server, 1)
			io.WriteString(server, answer)
			server.Close()
		}()
		c.nc, c.timeout = client, 10*time.Second
		c.br = newReader(client)
		if _, _, err := c.Do(t.Context(), []byte("x")); err == nil {
			t.Errorf("%q was accepted", answer)
		}
		if c.nc != nil {
			t.Errorf("%q: the connection was kept", answer)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Client{br: newReader(bytes.NewReader(b))}
		if status, _, err := c.answer(); err == nil && (status < 100 || len(c.body) > maxBody) {
			t.Fatalf("status %d, %d bytes", status, len(c.body))
		}
	})
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 4<<10) }
