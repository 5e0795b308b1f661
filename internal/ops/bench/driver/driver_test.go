package driver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/continuo-rt/continuo/internal/ops/bench/fake"
	"github.com/continuo-rt/continuo/internal/ops/bench/sock"
	"github.com/continuo-rt/continuo/internal/ops/bench/stamp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(u *url.URL) Config {
	return Config{URL: u, App: "app-id", Key: "app-key", Secret: "app-secret"}
}

// subscriber runs a session over a real connection to a fake server.
type subscriber struct {
	ready   bool
	seqs    []uint32
	conn    *sock.Conn
	session Session
	op      Protocol
}

func (s *subscriber) Ready()                { s.ready = true }
func (s *subscriber) Message(m stamp.Stamp) { s.seqs = append(s.seqs, m.Seq) }
func (s *subscriber) send(b []byte) error   { return s.conn.Write(s.op.Op(), b) }
func (s *subscriber) until(f func() bool) error {
	for !f() {
		err := s.conn.Read(func(b []byte) error { return s.session.Feed(b, s.send) })
		if err != nil {
			return err
		}
	}
	return nil
}

func attach(t *testing.T, p Protocol, sub Sub) (*subscriber, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := sock.Dial(ctx, p.Request(sub))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Drop() })
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	s := &subscriber{conn: conn, op: p}
	s.session = p.Session(sub, s)
	if err := s.session.Start(s.send); err != nil {
		t.Fatal(err)
	}
	return s, s.until(func() bool { return s.ready })
}

func TestEveryProtocol(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			server := fake.Start(fake.Faults{})
			defer server.Close()
			p, err := New(name, config(server.URL))
			if err != nil || p.Name() != name {
				t.Fatal(p, err)
			}
			a, err := attach(t, p, Sub{Channel: "bench-0", Track: true})
			if err != nil {
				t.Fatal(err)
			}
			defer a.conn.Drop()
			publish(t, p, "bench-0", 1, 3)
			if err := a.until(func() bool { return len(a.seqs) == 3 }); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(a.seqs, []uint32{1, 2, 3}) {
				t.Fatalf("received %v", a.seqs)
			}
			if !p.Recovers() {
				return
			}
			cursor := a.session.Cursor()
			a.conn.Close()
			publish(t, p, "bench-0", 4, 6)
			b, err := attach(t, p, Sub{Channel: "bench-0", From: cursor})
			if err != nil {
				t.Fatal(err)
			}
			defer b.conn.Drop()
			publish(t, p, "bench-0", 7, 7)
			if err := b.until(func() bool { return len(b.seqs) == 4 }); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(b.seqs, []uint32{4, 5, 6, 7}) {
				t.Fatalf("recovered %v from %+v", b.seqs, cursor)
			}
		})
	}
}

// publish sends a range of seqs, half with each kind of publisher.
func publish(t *testing.T, p Protocol, channel string, from, to uint32) {
	t.Helper()
	for seq := from; seq <= to; seq++ {
		pub, err := p.Publisher(t.Context(), seq%2 == 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := pub.Publish(t.Context(), channel, stamp.Append(nil, stamp.Stamp{Seq: seq}, 200)); err != nil {
			t.Fatal(err)
		}
		if n, ok := pub.(*natsPublisher); ok && n.unsure > 0 {
			n.out = n.out[:0]
			if err := n.flush(); err != nil {
				t.Fatal(err)
			}
		}
		pub.Close()
	}
}

func TestRefusedPublish(t *testing.T) {
	server := fake.Start(fake.Faults{RefusePublish: true})
	defer server.Close()
	for _, name := range Names() {
		p, _ := New(name, config(server.URL))
		pub, err := p.Publisher(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		if err := pub.Publish(t.Context(), "c", []byte("x")); err == nil {
			t.Errorf("%s: a refused publish must be an error", name)
		}
		pub.Close()
	}
}

func TestRefusedResume(t *testing.T) {
	server := fake.Start(fake.Faults{RefuseResume: true})
	defer server.Close()
	for _, name := range []string{"sockudo", "centrifugo"} {
		p, _ := New(name, config(server.URL))
		if _, err := attach(t, p, Sub{Channel: "c", From: Cursor{Stream: "gone", Serial: 9}}); err == nil {
			t.Errorf("%s: a refused resume must be an error", name)
		}
	}
}

func TestSignedPublish(t *testing.T) {
	server := fake.Start(fake.Faults{})
	defer server.Close()
	c := config(server.URL)
	c.Signed = true
	p, _ := New("pusher", c)
	publish(t, p, "c", 1, 1)
	if server.Published() != 1 {
		t.Error("nothing was published")
	}
	// The worked example of the published documentation of the signature scheme.
	c = Config{Key: "278d425bdf160c739803", Secret: "7ad3773142a6692b25b8"}
	body := []byte(`{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}`)
	got := c.signature("/apps/3/events", body, time.Unix(1353088179, 0))
	if !strings.HasSuffix(got, "&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c") {
		t.Errorf("query %s", got)
	}
}

func TestPresenceIsSigned(t *testing.T) {
	server := fake.Start(fake.Faults{})
	defer server.Close()
	p, _ := New("pusher", config(server.URL))
	if _, err := attach(t, p, Sub{Channel: "presence-bench", Index: 3}); err != nil {
		t.Error(err)
	}
}

// recorder is a sink and a send for sessions without a connection.
type recorder struct {
	ready int
	seqs  []uint32
	sent  []string
}

func (r *recorder) Ready()                { r.ready++ }
func (r *recorder) Message(m stamp.Stamp) { r.seqs = append(r.seqs, m.Seq) }
func (r *recorder) send(b []byte) error   { r.sent = append(r.sent, string(b)); return nil }

func mark(seq uint32) string { return string(stamp.Append(nil, stamp.Stamp{Seq: seq}, 60)) }

func TestSessions(t *testing.T) {
	greeting := `{"event":"sockudo:connection_established","data":"{\"socket_id\":\"1.2\"}"}`
	for _, c := range []struct {
		name, protocol string
		sub            Sub
		in             []string
		sent           []string
		ready          int
		seqs           []uint32
		cursor         Cursor
		fails          bool
	}{
		{
			name: "pusher answers a ping", protocol: "pusher", in: []string{`{"event":"pusher:ping"}`},
			sent: []string{`{"data":{},"event":"pusher:pong"}`},
		},
		{name: "pusher error", protocol: "pusher", in: []string{`{"event":"pusher:error","data":{"code":4001}}`}, fails: true},
		{name: "pusher not JSON", protocol: "pusher", in: []string{`hello`}, fails: true},
		{name: "private without a socket id", protocol: "pusher", sub: Sub{Channel: "private-x"},
			in: []string{`{"event":"pusher:connection_established","data":"{}"}`}, fails: true},
		{
			name: "sockudo follows positions on either side of the data", protocol: "sockudo", sub: Sub{Channel: "c", Track: true},
			in: []string{
				`{"event":"sockudo_internal:subscription_succeeded","channel":"c","data":"{}","stream_id":"s","serial":4}`,
				`{"event":"bench","channel":"c","data":"` + mark(1) + `","stream_id":"s","serial":5}`,
				`{"stream_id":"s2","serial":6,"event":"bench","channel":"c","data":"` + mark(2) + `"}`,
			},
			ready: 1, seqs: []uint32{1, 2}, cursor: Cursor{Stream: "s2", Serial: 6},
		},
		{
			name: "a quiet channel keeps the position of the acknowledgement", protocol: "sockudo", sub: Sub{Channel: "c", Track: true},
			in:    []string{`{"event":"sockudo_internal:subscription_succeeded","channel":"c","stream_id":"s","serial":0}`},
			ready: 1, cursor: Cursor{Stream: "s"},
		},
		{
			name: "sockudo resumes behind the subscribe and is ready at the end of it", protocol: "sockudo",
			sub: Sub{Channel: "c", From: Cursor{Stream: "s", Serial: 4}},
			in: []string{greeting, `{"event":"sockudo_internal:subscription_succeeded","channel":"c","stream_id":"s","serial":4}`,
				`{"event":"bench","channel":"c","data":"` + mark(5) + `"}`, `{"event":"sockudo:resume_success","data":"{}"}`},
			sent: []string{
				`{"data":{"auth":"","channel":"c"},"event":"sockudo:subscribe"}`,
				`{"data":"{\"channel_positions\":{\"c\":{\"serial\":4,\"stream_id\":\"s\"}}}","event":"sockudo:resume"}`,
			},
			ready: 1, seqs: []uint32{5}, cursor: Cursor{Stream: "s", Serial: 4},
		},
		{
			name: "centrifugo joins documents in a frame", protocol: "centrifugo", sub: Sub{Channel: "c", Track: true},
			in: []string{"{\"id\":1,\"connect\":{}}\n{}", `{"id":2,"subscribe":{"epoch":"e","offset":1}}`,
				`{"push":{"channel":"c","pub":{"data":"` + mark(1) + `","offset":2}}}` + "\n" +
					`{"push":{"channel":"c","pub":{"data":"` + mark(2) + `","offset":3}}}`},
			sent:  []string{`{"id":1,"connect":{}}`, `{"id":2,"subscribe":{"channel":"c"}}`, `{}`},
			ready: 1, seqs: []uint32{1, 2}, cursor: Cursor{Stream: "e", Serial: 3},
		},
		{name: "centrifugo error", protocol: "centrifugo", in: []string{`{"id":1,"error":{"code":101}}`}, fails: true,
			sent: []string{`{"id":1,"connect":{}}`}},
		{name: "centrifugo disconnect", protocol: "centrifugo", in: []string{`{"push":{"disconnect":{"code":3000}}}`}, fails: true,
			sent: []string{`{"id":1,"connect":{}}`}},
		{
			name: "nchan takes the id of each message", protocol: "nchan", sub: Sub{Channel: "c", Track: true},
			in:    []string{"id: 170:0\ncontent-type: text/plain\n\n" + mark(1), "id: 171:2\n\n" + mark(2)},
			ready: 1, seqs: []uint32{1, 2}, cursor: Cursor{ID: "171:2"},
		},
		{
			name: "nats operations span frames", protocol: "nats", sub: Sub{Channel: "c"},
			in: []string{"INFO {", "}\r\nPONG\r", "\nPING\r\nMSG c 1 60\r\n" + mark(1)[:10], mark(1)[10:] + "\r",
				"\nMSG c 1 60\r\n" + mark(2) + "\r\n+OK\r\n"},
			sent:  []string{natsConnect + "SUB c 1\r\nPING\r\n", "PONG\r\n"},
			ready: 1, seqs: []uint32{1, 2},
		},
		{name: "nats error", protocol: "nats", in: []string{"-ERR 'Authorization Violation'\r\n"}, fails: true},
		{name: "nats nonsense", protocol: "nats", in: []string{"HELLO\r\n"}, fails: true},
		{name: "nats bad length", protocol: "nats", in: []string{"MSG c 1 x\r\n"}, fails: true},
		{name: "nats wrong length", protocol: "nats", in: []string{"MSG c 1 2\r\nabcd\r\n"}, fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := New(c.protocol, config(&url.URL{Scheme: "http", Host: "127.0.0.1:1"}))
			if err != nil {
				t.Fatal(err)
			}
			r := &recorder{}
			s := p.Session(c.sub, r)
			err = s.Start(r.send)
			for _, in := range c.in {
				err = errors.Join(err, s.Feed([]byte(in), r.send))
			}
			if (err != nil) != c.fails {
				t.Errorf("err = %v, want one: %v", err, c.fails)
			}
			if !reflect.DeepEqual(r.sent, c.sent) {
				t.Errorf("sent %q, want %q", r.sent, c.sent)
			}
			if c.protocol == "nchan" {
				c.ready = 1
			}
			if r.ready != c.ready || !reflect.DeepEqual(r.seqs, c.seqs) || s.Cursor() != c.cursor {
				t.Errorf("ready %d, seqs %v, cursor %+v; want %d %v %+v", r.ready, r.seqs, s.Cursor(), c.ready, c.seqs, c.cursor)
			}
		})
	}
}

func TestNewAndLoopback(t *testing.T) {
	if _, err := New("smtp", Config{}); err == nil || !strings.Contains(err.Error(), "nchan") {
		t.Errorf("an unknown protocol must name the known ones: %v", err)
	}
	for _, c := range []struct {
		url string
		ok  bool
	}{
		{"http://127.0.0.1:6001", true},
		{"http://127.8.9.1:6001", true},
		{"http://[::1]:6001", true},
		{"http://192.0.2.1:6001", false},
		{"https://127.0.0.1:6001", false},
		{"ws://127.0.0.1", false},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := CheckLoopback(t.Context(), u); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.url, err)
		}
	}
}

func FuzzNATSOperation(f *testing.F) {
	f.Add([]byte("MSG c 1 2\r\nab\r\nPING\r\n"), 3)
	f.Add([]byte("INFO {}\r\n-ERR 'x'\r\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		run := func(parts ...[]byte) (out []string, err error) {
			var s natsStream
			for _, p := range parts {
				err = s.feed(p, func(v natsVerb, d []byte) error { out = append(out, fmt.Sprint(v, string(d))); return nil })
				if err != nil {
					return out, err
				}
			}
			return out, nil
		}
		cut = max(0, min(cut, len(b)))
		whole, err1 := run(b)
		split, err2 := run(b[:cut], b[cut:])
		if (err1 == nil) != (err2 == nil) || !reflect.DeepEqual(whole, split) {
			t.Fatalf("whole %q %v, split %q %v", whole, err1, split, err2)
		}
	})
}

func FuzzSessionFeed(f *testing.F) {
	f.Add(uint8(0), []byte(`{"event":"pusher:connection_established","data":"{}"}`))
	f.Add(uint8(1), []byte(`{"event":"b","channel":"c","data":"`+mark(1)+`","serial":5,"stream_id":"s"}`))
	f.Add(uint8(2), []byte("{\"id\":1,\"connect\":{}}\n{}"))
	f.Add(uint8(4), []byte("id: 1:0\n\nx"))
	f.Fuzz(func(t *testing.T, n uint8, b []byte) {
		p, err := New(Names()[int(n)%len(Names())], config(&url.URL{Scheme: "http", Host: "h"}))
		if err != nil {
			t.Fatal(err)
		}
		r := &recorder{}
		s := p.Session(Sub{Channel: "presence-c", Track: true}, r)
		_ = s.Feed(b, r.send) // must not panic
	})
}

// BenchmarkFeed is what the client itself pays for a message, beside the read from the socket.
func BenchmarkFeed(b *testing.B) {
	data := string(stamp.Append(nil, stamp.Stamp{Seq: 1}, 200))
	for name, frame := range map[string]string{
		"pusher":     `{"event":"bench","channel":"c","data":"` + data + `"}`,
		"sockudo":    `{"event":"bench","channel":"c","data":"` + data + `","message_id":"m1","stream_id":"s","serial":5}`,
		"centrifugo": `{"push":{"channel":"c","pub":{"data":"` + data + `","offset":2}}}`,
		"nats":       "MSG c 1 200\r\n" + data + "\r\n",
		"nchan":      data,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := New(name, config(&url.URL{Scheme: "http", Host: "h"}))
			if err != nil {
				b.Fatal(err)
			}
			s, payload := p.Session(Sub{Channel: "c"}, nothing{}), []byte(frame)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Feed(payload, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type nothing struct{}

func (nothing) Ready()              {}
func (nothing) Message(stamp.Stamp) {}
