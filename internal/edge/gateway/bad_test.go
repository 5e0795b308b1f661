package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// raw sends a frame as it is, masked or not.
func (p *peer) raw(h ws.Header, payload string) {
	p.Helper()
	h.Length = int64(len(payload))
	f := ws.Frame{Header: h, Payload: []byte(payload)}
	if h.Masked {
		f = ws.MaskFrame(f)
	}
	if err := ws.WriteFrame(p.Conn, f); err != nil {
		p.Fatal(err)
	}
}

// badFrames are frames, and what a client is answered. Those that a connection does not survive end with a close code.
var badFrames = []struct {
	name   string
	header ws.Header
	text   string
	want   string
}{
	{"no JSON", text, `hello`, "4000 Invalid message format: "},
	{"nothing", text, ``, "4000 Invalid message format: "},
	{"no object", text, `["pusher:ping"]`, "4000 Invalid message format: a frame must be a JSON object"},
	{"no event", text, `{"data":{}}`, "4000 Invalid message format: the frame has no event"},
	{"an event of the wrong type", text, `{"event":1}`, "4000 Invalid message format: the member event must be a string"},
	{"a channel of the wrong type", text, `{"event":"client-a","channel":["private-a"]}`, "4000 Invalid message format: the member channel must be a string"},
	{"a member twice", text, `{"event":"client-a","event":"client-b","channel":"private-a"}`, `4000 Invalid message format: byte 20: the member \"event\" is there twice`},
	{"two values", text, `{"event":"pusher:ping"}{}`, "4000 Invalid message format: "},
	{"nested deeply", text, `{"event":"client-a","channel":"private-a","data":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}`, "4000 Invalid message format: byte 80: nested more than 32 levels deep"},
	{"a lone surrogate", text, `{"event":"client-\ud800","channel":"private-a"}`, "4000 Invalid message format: "},
	{"huge", text, `{"event":"client-a","channel":"private-a","data":"` + strings.Repeat("x", 100_000) + `"}`, "4301 Client event error: the data has 100002 bytes, more than the 10240 allowed"},
	{"a subscribe to nothing", text, `{"event":"pusher:subscribe","data":{}}`, "4300 Channel error: the channel name is empty"},
	{"a subscribe with a string", text, `{"event":"pusher:subscribe","data":"private-a"}`, "4000 Invalid message format: "},
	{"a wrong signature", text, `{"event":"pusher:subscribe","data":{"channel":"private-b","auth":"app-key:00"}}`, "4009 Authentication error: "},
	{"an event of the server", text, `{"event":"pusher_internal:member_added","channel":"private-a","data":"{}"}`, ""},
	{"an event that is not a client's", text, `{"event":"update","channel":"private-a","data":1}`, "4301 Client event error: "},
	{"a channel that is not subscribed to", text, `{"event":"client-a","channel":"private-z","data":1}`, "4301 Client event error: "},
	{"binary", ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true}, "\x00\x01", "4000 Invalid message format: "},
	{"invalid UTF-8", text, "{\"event\":\"client-a\",\"channel\":\"private-a\",\"data\":\"\xff\"}", "close 1007"},
	{"an opcode that is not known", ws.Header{Fin: true, OpCode: 3, Masked: true}, `{}`, "close 1002"},
	{"a frame without a mask", ws.Header{Fin: true, OpCode: ws.OpText}, `{"event":"pusher:ping"}`, "close 1002"},
	{"a reserved bit", ws.Header{Fin: true, Rsv: ws.Rsv(true, false, false), OpCode: ws.OpText, Masked: true}, `{}`, "close 1002"},
	{"a continuation of nothing", ws.Header{Fin: true, OpCode: ws.OpContinuation, Masked: true}, `{}`, "close 1002"},
	{"a ping in parts", ws.Header{OpCode: ws.OpPing, Masked: true}, ``, "close 1002"},
	{"a long ping", ws.Header{Fin: true, OpCode: ws.OpPing, Masked: true}, strings.Repeat("x", 126), "close 1002"},
	{"a close code that cannot be", ws.Header{Fin: true, OpCode: ws.OpClose, Masked: true}, "\x03\xed", "close 1002"},
	{"more than a frame may hold", text, strings.Repeat(" ", 256<<10+1), "close 1009"},
}

var text = ws.Header{Fin: true, OpCode: ws.OpText, Masked: true}

// Whatever a client sends is answered precisely; nothing of it reaches another client or the log, and a connection whose
// frame was only nonsense lives.
func TestBadFrames(t *testing.T) {
	l := newMembers(t)
	witness := l.private()
	for _, tt := range badFrames {
		t.Run(tt.name, func(t *testing.T) {
			x := l.private()
			x.T = t
			x.raw(tt.header, tt.text)
			if code, closed := strings.CutPrefix(tt.want, "close "); closed {
				if got, _ := x.read(); !strings.HasPrefix(got, "close "+code) {
					t.Fatal(got)
				}
				if n, err := io.Copy(io.Discard, x.in); n > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
					t.Fatal("after the close", n, err)
				}
				return
			}
			if code, message, ok := strings.Cut(tt.want, " "); ok {
				x.want(`{"event":"pusher:error","data":{"code":`+code+`,"message":"`+message, `"}}`)
			}
			x.send(`{"event":"pusher:ping","data":{}}`)
			x.exactly(`{"event":"pusher:pong"}`)
		})
	}
	witness.send(`{"event":"pusher:ping","data":{}}`)
	witness.exactly(`{"event":"pusher:pong"}`)
	for _, channel := range []string{"private-a", "private-b", "private-z"} {
		p, err := l.store.Read(t.Context(), stream.Query{Ref: stream.Ref{App: "app", Channel: channel}, Limit: 10})
		if err != nil || len(p.Entries) > 0 {
			t.Fatal(channel, p.Entries, err)
		}
	}
	t.Logf("summary: bad input: %d bad frames, each with a precise answer, nothing reached another client or the log", len(badFrames))
}

// A request that makes no sense is answered before the upgrade.
func TestBadHandshakes(t *testing.T) {
	r := newRig(t, nil)
	base := "http" + strings.TrimPrefix(r.url, "ws")
	for target, want := range map[string]int{
		"/app/":                            http.StatusNotFound,
		"/app/a%2Fb":                       http.StatusNotFound,
		"/app/app-key/x":                   http.StatusNotFound,
		"/app/app-key?protocol=x":          http.StatusBadRequest,
		"/app/app-key?protocol=7":          http.StatusUpgradeRequired,
		"/app/app-key?protocol=2&format=x": http.StatusBadRequest,
	} {
		res, err := http.Get(base + target)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, res.StatusCode, want)
		}
	}
}
