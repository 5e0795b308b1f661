package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// reader follows one channel over the V2 protocol (spec/pusher-v2.md) and keeps the text of the answer.
type reader struct {
	name, target, channel string
	full                  bool // asks for the whole text with each append

	text      string
	began     int // bytes of the first text that it was given
	fragments int
	replayed  int // of them, after it came back

	conn     atomic.Pointer[net.Conn]
	in       *bufio.Reader
	position *position
	resuming bool
	ready    func()                        // the subscription stands
	standing chan struct{}                 // closed by ready
	away     atomic.Pointer[chan struct{}] // nil: it is not cut; closed: it may come back
}

// position is the newest place in the channel's log that the reader has seen.
type position struct {
	Stream string `json:"stream_id"`
	Serial uint64 `json:"serial"`
}

func (d *demo) reader(name string) *reader {
	standing := make(chan struct{})
	return &reader{name: name, channel: d.channel, standing: standing, ready: sync.OnceFunc(func() { close(standing) }),
		target: "ws" + strings.TrimPrefix(d.api.url, "http") + "/app/" + d.api.key + "?protocol=2"}
}

// connect opens a connection. With a position it asks for what came after it, else for the channel's newest messages as
// they are now.
func (r *reader) connect() error {
	target := r.target
	if r.full {
		target += "&append_mode=full"
	}
	conn, buffered, _, err := ws.Dialer{Timeout: 10 * time.Second}.Dial(context.Background(), target)
	if err != nil {
		return err
	}
	r.conn.Store(&conn)
	if r.in = buffered; r.in == nil {
		r.in = bufio.NewReader(conn)
	}
	subscribe := map[string]any{"channel": r.channel}
	if r.resuming = r.position != nil; !r.resuming {
		subscribe["rewind"] = 1
	} else if err := r.send("sockudo:resume", map[string]any{"channel_positions": map[string]any{r.channel: r.position}}); err != nil {
		return err
	}
	return r.send("sockudo:subscribe", subscribe)
}

func (r *reader) send(event string, data any) error {
	text, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		return err
	}
	return wsutil.WriteClientText(*r.conn.Load(), text)
}

// cut ends the connection, as a tunnel does, until comeBack. It must come before the reader has seen the end.
func (r *reader) cut() {
	back := make(chan struct{})
	r.away.Store(&back)
	_ = (*r.conn.Load()).Close()
}

func (r *reader) comeBack() { close(*r.away.Load()) }

// end makes the reader give up.
func (r *reader) end() {
	if conn := r.conn.Load(); conn != nil {
		_ = (*conn).Close()
	}
}

// run reads until the answer is done.
func (r *reader) run() error {
	defer r.end()
	defer r.ready()
	for {
		payload, err := wsutil.ReadServerText(struct {
			io.Reader
			io.Writer
		}{r.in, *r.conn.Load()})
		if back := r.away.Load(); err != nil && back != nil {
			<-*back
			r.away.Store(nil)
			if err := r.connect(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if done, err := r.handle(payload); done || err != nil {
			return err
		}
	}
}

// frame is what the reader looks at of the server's frames.
type frame struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
	Stream  string          `json:"stream_id"`
	Serial  *uint64         `json:"serial"`
}

func (r *reader) handle(payload []byte) (done bool, err error) {
	var f frame
	if err := json.Unmarshal(payload, &f); err != nil {
		return false, err
	}
	var data string
	_ = json.Unmarshal(f.Data, &data) // the protocol's own events carry objects, too
	switch f.Event {
	case "answer": // the message is born
		r.begin(data)
	case "sockudo:message.update": // it has grown already
		r.begin(data)
	case "sockudo:message.append":
		if r.fragments++; r.resuming {
			r.replayed++
		}
		if r.full {
			r.text = data
		} else {
			r.text += data
		}
	case "done":
		return true, nil
	case "sockudo:rewind_complete":
		r.ready()
	case "sockudo:resume_success":
		r.resuming = false
	case "sockudo:resume_failed":
		return false, errors.New("it was away for too long: " + data)
	case "sockudo:error":
		return false, fmt.Errorf("the server says %s", f.Data)
	}
	if f.Channel != "" && f.Serial != nil {
		r.position = &position{f.Stream, *f.Serial}
	}
	return false, nil
}

func (r *reader) begin(text string) { r.text, r.began = text, len(text) }
