// Package fake is a toy realtime server for tests of the load generator: one log per channel in memory, four protocols in
// front of it, and knobs that make it misbehave. Only tests import it.
package fake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/gobwas/ws"
)

// Faults say how to misbehave; counters run over all deliveries of a server.
type Faults struct {
	DropEvery      int  // lose every n-th delivery
	DuplicateEvery int  // send every n-th delivery twice
	RefusePublish  bool // answer publishes with 500
	RefuseResume   bool // answer resumes with a failure
	LieOnResume    int  // leave out so many of the missed messages and still report success
}

// Server is the running toy. Close it.
type Server struct {
	URL    *url.URL
	Faults Faults

	http  *httptest.Server
	tasks sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	sockets    map[*socket]bool
	channels   map[string]*channel
	deliveries int
	published  int
}

type channel struct {
	log  [][]byte
	subs map[*socket]face
}

// face turns one entry into the frame that a protocol shows.
type face func(channel string, serial int, data []byte) []byte

type socket struct {
	mu sync.Mutex
	nc net.Conn
	op ws.OpCode
}

func (s *socket) send(payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = ws.WriteFrame(s.nc, ws.NewFrame(s.op, true, payload)) // a client that left is noticed by the reader
}

// Start runs a server on a free port of the loopback address.
func Start(faults Faults) *Server {
	s := &Server{Faults: faults, sockets: map[*socket]bool{}, channels: map[string]*channel{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /app/{key}", s.pusherSocket)
	mux.HandleFunc("POST /apps/{app}/events", s.pusherPublish)
	mux.HandleFunc("GET /connection/websocket", s.centrifugoSocket)
	mux.HandleFunc("POST /api/publish", s.centrifugoPublish)
	mux.HandleFunc("GET /sub/{channel}", s.nchanSocket)
	mux.HandleFunc("POST /pub/{channel}", s.nchanPublish)
	mux.HandleFunc("GET /{$}", s.natsSocket)
	s.http = httptest.NewServer(mux)
	s.URL, _ = url.Parse(s.http.URL) // made by httptest
	return s
}

// Close ends every connection and waits for all that ran.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.sockets {
		c.nc.Close()
	}
	s.mu.Unlock()
	s.http.Close()
	s.tasks.Wait()
}

// Published is the number of messages taken so far.
func (s *Server) Published() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published
}

// accept upgrades and runs the reader of one connection in the goroutine of the request. The greeting is said under the
// lock and together with the upgrade, so that a client which sees the upgrade misses nothing that is published after.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, op ws.OpCode, hello func(*socket), message func(*socket, []byte)) {
	up := ws.HTTPUpgrader{Protocol: func(string) bool { return true }}
	s.mu.Lock()
	nc, _, _, err := up.Upgrade(r, w)
	if err != nil {
		s.mu.Unlock()
		return
	}
	c := &socket{nc: nc, op: op}
	if s.closed {
		s.mu.Unlock()
		nc.Close()
		return
	}
	s.sockets[c] = true
	s.tasks.Add(1)
	hello(c)
	s.mu.Unlock()
	defer s.tasks.Done()
	defer s.leave(c)
	for {
		h, payload, err := ReadFrame(nc)
		if err != nil || h.OpCode == ws.OpClose {
			return
		}
		if h.OpCode.IsData() {
			message(c, payload)
		}
	}
}

// ReadFrame reads one frame of a client, of at most 1 MiB, and takes its mask off.
func ReadFrame(r io.Reader) (ws.Header, []byte, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return h, nil, err
	}
	if h.Length > 1<<20 {
		return h, nil, fmt.Errorf("a frame of %d bytes", h.Length)
	}
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(r, payload)
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	return h, payload, err
}

func (s *Server) leave(c *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.nc.Close()
	delete(s.sockets, c)
	for _, ch := range s.channels {
		delete(ch.subs, c)
	}
}

func (s *Server) channel(name string) *channel {
	ch := s.channels[name]
	if ch == nil {
		ch = &channel{subs: map[*socket]face{}}
		s.channels[name] = ch
	}
	return ch
}

// join subscribes; answer is sent before anything else, with the head as it then is. The entries after from (if not
// negative) follow it, and then after.
func (s *Server) join(c *socket, name string, f face, from int, answer, after func(head int) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joinLocked(c, name, f, from, answer, after)
}

func (s *Server) joinLocked(c *socket, name string, f face, from int, answer, after func(head int) []byte) {
	ch := s.channel(name)
	head := len(ch.log)
	if answer != nil {
		c.send(answer(head))
	}
	if from >= 0 {
		for i := min(from+s.Faults.LieOnResume, head); i < head; i++ {
			c.send(f(name, i+1, ch.log[i]))
		}
	}
	if after != nil {
		c.send(after(head))
	}
	ch.subs[c] = f
}

func (s *Server) publish(name string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Faults.RefusePublish {
		return fmt.Errorf("refused")
	}
	s.published++
	ch := s.channel(name)
	ch.log = append(ch.log, bytes.Clone(data))
	for c, f := range ch.subs {
		s.deliveries++
		if n := s.Faults.DropEvery; n > 0 && s.deliveries%n == 0 {
			continue
		}
		frame := f(name, len(ch.log), data)
		c.send(frame)
		if n := s.Faults.DuplicateEvery; n > 0 && s.deliveries%n == 0 {
			c.send(frame)
		}
	}
	return nil
}

func answer(w http.ResponseWriter, err error, body string) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	io.WriteString(w, body)
}

func quote(v any) string {
	b, _ := json.Marshal(v) // strings and numbers
	return string(b)
}

func atoi(text string) int {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return -1
	}
	return n
}
