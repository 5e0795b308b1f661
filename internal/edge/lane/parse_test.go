package lane

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

const fields = "Host: h\r\nContent-Length: 2\r\n"

func plain(more string) string {
	return "POST /apps/a/events?x=1 HTTP/1.1\r\n" + fields + more + "\r\nab"
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     verdict
	}{
		{"nothing", "", more},
		{"half a method", "PO", more},
		{"another method", "G", other},
		{"half a head", "POST /apps/a/events HTTP/1.1\r\nHos", more},
		{"half a body", strings.TrimSuffix(plain(""), "b"), more},
		{"whole", plain(""), whole},
		{"whole, and another", plain("") + plain(""), whole},
		{"no body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", whole},
		{"kept alive in words", plain("Connection: Keep-Alive\r\n"), whole},
		{"a field twice", plain("X: 1\r\nX: 2\r\n"), whole},
		{"an empty value", plain("X:\r\n"), whole},
		{"HTTP/1.0", strings.Replace(plain(""), "1.1", "1.0", 1), other},
		{"absolute target", strings.Replace(plain(""), "/apps", "http://h/apps", 1), other},
		{"two spaces", strings.Replace(plain(""), " HTTP", "  HTTP", 1), other},
		{"a tab in the target", strings.Replace(plain(""), "events", "eve\tnts", 1), other},
		{"UTF-8 in the target", strings.Replace(plain(""), "events", "évents", 1), other},
		{"no host", "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", other},
		{"two hosts", plain("Host: h\r\n"), other},
		{"a host with a path", strings.Replace(plain(""), "Host: h", "Host: h/x", 1), other},
		{"no length", "POST / HTTP/1.1\r\nHost: h\r\n\r\n", other},
		{"two lengths", plain("Content-Length: 2\r\n"), other},
		{"a length with a sign", strings.Replace(plain(""), ": 2", ": +2", 1), other},
		{"a list of lengths", strings.Replace(plain(""), ": 2", ": 2, 2", 1), other},
		{"too long a body", strings.Replace(plain(""), ": 2", ": 65537", 1), other},
		{"a coding", plain("Transfer-Encoding: chunked\r\n"), other},
		{"an expectation", plain("Expect: 100-continue\r\n"), other},
		{"an upgrade", plain("Connection: upgrade\r\nUpgrade: websocket\r\n"), other},
		{"the last one", plain("Connection: close\r\n"), other},
		{"a folded line", plain("X: 1\r\n 2\r\n"), other},
		{"a line without a colon", plain("X\r\n"), other},
		{"a space before the colon", plain("X : 1\r\n"), other},
		{"a bare newline", plain("X: 1\nY: 2\r\n"), other},
		{"a bare return", plain("X: 1\rY: 2\r\n"), other},
		{"a zero byte", plain("X: \x00\r\n"), other},
		{"Latin-1", plain("X: \xe9\r\n"), other},
		{"too long a head", plain("X: " + strings.Repeat("x", mostHead) + "\r\n"), other},
		{"a head without end", "POST /" + strings.Repeat("x", mostHead), other},
	} {
		if got := parse([]byte(c.in)).verdict; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFields(t *testing.T) {
	p := parse([]byte(plain("x-a:  1 \r\nX-A: 2\r\nAUTHORIZATION: Bearer k:s\r\n")))
	want := http.Header{"X-A": {"1", "2"}, "Authorization": {"Bearer k:s"}, "Content-Length": {"2"}}
	if !reflect.DeepEqual(p.header, want) || p.host != "h" || p.target != "/apps/a/events?x=1" || p.size-p.head != 2 {
		t.Errorf("%+v", p)
	}
}

// What the lane serves, net/http would have read in the same way.
func FuzzParse(f *testing.F) {
	f.Add([]byte(plain("")))
	f.Add([]byte(plain("x-a: 1\r\nX-A: 2\r\nConnection: keep-alive\r\n") + "POST"))
	f.Add([]byte("POST /a%20b//c HTTP/1.1\r\nhost: [::1]:80\r\ncontent-length: 0\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"))
	f.Fuzz(func(t *testing.T, in []byte) {
		p := parse(in)
		if p.verdict != whole {
			return
		}
		rest := bytes.NewReader(in)
		b := bufio.NewReader(rest)
		r, err := http.ReadRequest(b)
		if err != nil {
			if strings.Contains(err.Error(), "parse ") { // the target: the loop asks the same parser and gives it back
				return
			}
			t.Fatalf("net/http refuses it: %v", err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != "POST" || r.RequestURI != p.target || r.Host != p.host || !reflect.DeepEqual(r.Header, p.header) ||
			string(body) != string(in[p.head:p.size]) || r.Close || len(in)-rest.Len()-b.Buffered() != p.size {
			t.Errorf("net/http reads %+v with body %q (%v)\nwant %+v", r, body, err, p)
		}
	})
}
