package fake

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gobwas/ws"
)

const epoch = "e1"

func (s *Server) pusherSocket(w http.ResponseWriter, r *http.Request) {
	two := r.URL.Query().Get("protocol") == "2"
	prefix := "pusher"
	if two {
		prefix = "sockudo"
	}
	show := func(name string, serial int, data []byte) []byte {
		if two {
			return fmt.Appendf(nil, `{"event":"bench","channel":%q,"data":%s,"message_id":"m%d","stream_id":%q,"serial":%d}`,
				name, quote(string(data)), serial, epoch, serial)
		}
		return fmt.Appendf(nil, `{"event":"bench","channel":%q,"data":%s}`, name, quote(string(data)))
	}
	s.accept(w, r, ws.OpText, func(c *socket) {
		c.send(fmt.Appendf(nil, `{"event":"%s:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}`, prefix))
		c.send(fmt.Appendf(nil, `{"event":"%s:ping"}`, prefix))
	}, func(c *socket, b []byte) { s.pusherMessage(c, b, prefix, show) })
}

func (s *Server) pusherMessage(c *socket, b []byte, prefix string, show face) {
	var m struct {
		Event string
		Data  json.RawMessage
	}
	if json.Unmarshal(b, &m) != nil {
		c.send(fmt.Appendf(nil, `{"event":"%s:error","data":{"code":4000,"message":"not JSON"}}`, prefix))
		return
	}
	switch m.Event {
	case prefix + ":subscribe":
		var d struct{ Channel, Auth string }
		_ = json.Unmarshal(m.Data, &d)
		if strings.HasPrefix(d.Channel, "presence-") && !strings.HasPrefix(d.Auth, "app-key:") {
			c.send(fmt.Appendf(nil, `{"event":"%s:error","data":{"code":4009,"message":"no"}}`, prefix))
			return
		}
		s.join(c, d.Channel, show, -1, func(head int) []byte {
			return fmt.Appendf(nil, `{"event":"%s_internal:subscription_succeeded","channel":%q,"data":"{}","stream_id":%q,"serial":%d}`,
				prefix, d.Channel, epoch, head)
		}, nil)
	case prefix + ":resume":
		s.pusherResume(c, m.Data, show)
	}
}

func (s *Server) pusherResume(c *socket, data json.RawMessage, show face) {
	var text string
	_ = json.Unmarshal(data, &text)
	var d struct {
		Positions map[string]struct {
			Serial int `json:"serial"`
		} `json:"channel_positions"`
	}
	_ = json.Unmarshal([]byte(text), &d)
	for name, p := range d.Positions {
		if s.Faults.RefuseResume {
			c.send(fmt.Appendf(nil, `{"event":"sockudo:resume_failed","channel":%q,"data":"{\"code\":\"position_expired\"}"}`, name))
			return
		}
		s.join(c, name, show, p.Serial, nil, func(int) []byte {
			return []byte(`{"event":"sockudo:resume_success","data":"{}"}`)
		})
	}
}

func (s *Server) pusherPublish(w http.ResponseWriter, r *http.Request) {
	var m struct{ Channel, Data string }
	err := json.NewDecoder(r.Body).Decode(&m)
	bearer := r.Header.Get("Authorization") == "Bearer app-key:app-secret"
	signed := r.URL.Query().Get("auth_signature") != "" && r.URL.Query().Get("body_md5") != ""
	if err == nil && !bearer && !signed {
		http.Error(w, "no credentials", http.StatusUnauthorized)
		return
	}
	if err == nil {
		err = s.publish(m.Channel, []byte(m.Data))
	}
	answer(w, err, "{}")
}

func (s *Server) centrifugoSocket(w http.ResponseWriter, r *http.Request) {
	show := func(name string, serial int, data []byte) []byte {
		return fmt.Appendf(nil, `{"push":{"channel":%q,"pub":{"data":%s,"offset":%d}}}`, name, quote(string(data)), serial)
	}
	s.accept(w, r, ws.OpText, func(*socket) {}, func(c *socket, b []byte) {
		var m struct {
			ID        int
			Connect   *struct{}
			Subscribe *struct {
				Channel string
				Recover bool
				Offset  int
			}
		}
		if json.Unmarshal(b, &m) != nil || string(b) == "{}" {
			return
		}
		if m.Connect != nil {
			c.send(fmt.Appendf(nil, `{"id":%d,"connect":{"client":"c","ping":25,"pong":true}}`+"\n{}", m.ID))
			return
		}
		s.join(c, m.Subscribe.Channel, show, -1, func(head int) []byte {
			return s.centrifugoReply(m.ID, m.Subscribe.Channel, m.Subscribe.Recover, m.Subscribe.Offset, head)
		}, nil)
	})
}

func (s *Server) centrifugoReply(id int, name string, recover bool, from, head int) []byte {
	if !recover {
		return fmt.Appendf(nil, `{"id":%d,"subscribe":{"recoverable":true,"epoch":%q,"offset":%d}}`, id, epoch, head)
	}
	var pubs []string
	for i := from + s.Faults.LieOnResume; i < head; i++ {
		pubs = append(pubs, fmt.Sprintf(`{"data":%s,"offset":%d}`, quote(string(s.channels[name].log[i])), i+1))
	}
	return fmt.Appendf(nil, `{"id":%d,"subscribe":{"recoverable":true,"epoch":%q,"offset":%d,"publications":[%s],"recovered":%v}}`,
		id, epoch, head, strings.Join(pubs, ","), !s.Faults.RefuseResume)
}

func (s *Server) centrifugoPublish(w http.ResponseWriter, r *http.Request) {
	var m struct{ Channel, Data string }
	err := json.NewDecoder(r.Body).Decode(&m)
	if err == nil {
		err = s.publish(m.Channel, []byte(m.Data))
	}
	if err != nil {
		answer(w, nil, `{"error":{"code":100,"message":"internal server error"}}`)
		return
	}
	answer(w, nil, `{"result":{}}`)
}

func (s *Server) nchanSocket(w http.ResponseWriter, r *http.Request) {
	meta := r.Header.Get("Sec-WebSocket-Protocol") == "ws+meta.nchan"
	show := func(_ string, serial int, data []byte) []byte {
		if meta {
			return fmt.Appendf(nil, "id: %d:0\n\n%s", serial, data)
		}
		return data
	}
	id, _, _ := strings.Cut(r.URL.Query().Get("last_event_id"), ":")
	s.accept(w, r, ws.OpText, func(c *socket) {
		s.joinLocked(c, r.PathValue("channel"), show, atoi(id), nil, nil)
	}, func(*socket, []byte) {})
}

func (s *Server) nchanPublish(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err == nil {
		err = s.publish(r.PathValue("channel"), b)
	}
	answer(w, err, "queued messages: 1\r\n")
}

func (s *Server) natsSocket(w http.ResponseWriter, r *http.Request) {
	show := func(name string, _ int, data []byte) []byte {
		return fmt.Appendf(nil, "MSG %s 1 %d\r\n%s\r\n", name, len(data), data)
	}
	s.accept(w, r, ws.OpBinary, func(c *socket) {
		c.send([]byte("INFO {\"max_"))
		c.send([]byte("payload\":1048576}\r\nPING\r\n"))
	}, func(c *socket, b []byte) { s.natsMessage(c, b, show) })
}

// natsMessage takes whole operations only: the client under test sends no others.
func (s *Server) natsMessage(c *socket, b []byte, show face) {
	in := bufio.NewReader(bytes.NewReader(b))
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		f := strings.Fields(line)
		switch f[0] {
		case "SUB":
			s.join(c, f[1], show, -1, nil, nil)
		case "PING":
			c.send([]byte("PONG\r\n"))
		case "PUB":
			data := make([]byte, atoi(f[2])+2)
			_, _ = io.ReadFull(in, data)
			if s.publish(f[1], data[:len(data)-2]) != nil {
				c.send([]byte("-ERR 'Permissions Violation'\r\n"))
			}
		}
	}
}
