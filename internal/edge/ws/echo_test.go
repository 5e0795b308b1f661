package ws_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/edge/ws"
	"github.com/continuo-rt/continuo/internal/run/outbox"
)

// echo is the smallest session: a connection and an outbox, as the real one has them. It answers every message with
// itself, every ping with a pong, every close with a close.
type echo struct {
	outbox.Outbox
	conn *ws.Conn
	done chan struct{} // closed when the socket is
}

func (e *echo) Pump() bool { return false }

func (e *echo) Ended(err error) {
	if err == nil {
		e.conn.Linger(time.Second)
	} else {
		e.conn.Close()
	}
	close(e.done)
}

func (e *echo) OnPing(payload []byte) {
	e.Lock()
	defer e.Unlock()
	e.PutControl(ws.PongFrame(payload))
	e.Flush()
}

func (e *echo) OnPong() {}

func (e *echo) run() {
	for {
		binary, p, err := e.conn.Read()
		e.Lock()
		switch {
		case err == nil:
			e.Put(e.frame(binary, p))
			e.Flush()
		case ws.ReplyTo(err) != nil:
			e.Close(ws.ReplyTo(err))
		default:
			e.Fail(err)
			e.conn.Close()
		}
		e.Unlock()
		if err != nil {
			<-e.done
			return
		}
	}
}

func (e *echo) frame(binary bool, p []byte) []byte {
	op := ws.OpText
	if binary {
		op = ws.OpBinary
	}
	if e.conn.Compression() {
		return ws.CompressedFrame(op, p)
	}
	return ws.Frame(op, p)
}

// echoLimit holds whatever a test case sends: an echo server has nowhere else to put it.
const echoLimit = 64 << 20

// newEchoServer serves echo at every path until the test ends.
func newEchoServer(t testing.TB, o ws.Options, secure bool) *httptest.Server {
	t.Helper()
	var open sync.WaitGroup
	var mu sync.Mutex
	conns := make(map[*ws.Conn]bool)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := ws.Upgrade(w, r, o)
		if err != nil {
			return
		}
		e := &echo{conn: conn, done: make(chan struct{})}
		e.Init(conn, e, echoLimit)
		conn.Bind(e)
		mu.Lock()
		conns[conn] = true
		mu.Unlock()
		open.Go(func() {
			e.run()
			mu.Lock()
			delete(conns, conn)
			mu.Unlock()
		})
	}))
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.Close()
		mu.Lock()
		for conn := range conns {
			if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Errorf("closing: %v", err)
			}
		}
		mu.Unlock()
		open.Wait()
	})
	return server
}
