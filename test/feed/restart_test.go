package feed

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/ops/client"
)

// peer is one connection, driven by hand.
type peer struct {
	testing.TB
	nc net.Conn
	in io.Reader
}

func (s *server) dial(login map[string]any) *peer {
	s.t.Helper()
	nc, buffered, _, err := ws.Dial(s.t.Context(), "ws://"+s.listen+"/feed")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() })
	p := &peer{TB: s.t, nc: nc, in: nc}
	if buffered != nil {
		p.in = buffered
	}
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	login["type"], login["apiKey"] = "login", "all-channels"
	text, err := json.Marshal(login)
	if err == nil {
		err = ws.WriteFrame(nc, ws.MaskFrame(ws.NewTextFrame(text)))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// next gives the next frame; one that is closed as type "close".
func (p *peer) next() frame {
	p.Helper()
	for {
		raw, err := readFrame(p.in)
		if err != nil {
			p.Fatal(err)
		}
		var f frame
		switch raw.Header.OpCode {
		case ws.OpPing:
			_ = ws.WriteFrame(p.nc, ws.MaskFrame(ws.NewPongFrame(raw.Payload)))
			continue
		case ws.OpClose:
			code, _ := ws.ParseCloseFrameData(raw.Payload)
			f.Type, f.Reason = "close", fmt.Sprint(code)
			return f
		}
		if err := json.Unmarshal(raw.Payload, &f); err != nil {
			p.Fatal(err)
		}
		return f
	}
}

// The epoch survives a kill, and says so only where it is true: the channel that is kept in memory is refused.
func TestVolatileChannelOverAKill(t *testing.T) {
	s := start(t, "disk")
	send := func(n int) {
		for _, channel := range []string{"plain", "forgetful"} {
			s.publish(t.Context(), client.Message{Name: "UPDATE", Channel: channel, Data: fmt.Appendf(nil, `{"n":%d}`, n), Idempotency: fmt.Sprint(channel, n)})
		}
	}
	send(1)
	ok := s.dial(map[string]any{"channels": []string{"plain", "forgetful", "unused"}}).next()
	send(2)
	s.kill()
	s.start()
	send(3)
	back := s.dial(map[string]any{"channels": []string{"plain", "forgetful", "unused"}, "serverEpoch": ok.Resume.Epoch, "lastSeenId": ok.Resume.EntryIDs})
	again := back.next()
	if again.Resume.Epoch != ok.Resume.Epoch {
		t.Errorf("the epoch was %s and is %s", ok.Resume.Epoch, again.Resume.Epoch)
	}
	if f := back.next(); f.Type != "snapshot_required" || f.Reason != "server_restarted" || fmt.Sprint(f.Channels) != "[forgetful]" {
		t.Errorf("%+v", f)
	}
	for n := uint64(2); n <= 3; n++ {
		if f := back.next(); f.Channel != "plain" || f.Payload.N != n {
			t.Errorf("%+v", f)
		}
	}
	if f := back.next(); f.Type != "resume_complete" || fmt.Sprint(f.Channels) != "[plain unused]" || f.Replayed["plain"] != 2 {
		t.Errorf("%+v", f)
	}
}

// A memory engine forgets: then the epoch is another, and every cursor is refused.
func TestMemoryOverAKill(t *testing.T) {
	s := start(t, "memory")
	s.publish(t.Context(), client.Message{Name: "UPDATE", Channel: "plain", Data: []byte(`{"n":1}`), Idempotency: "1"})
	ok := s.dial(map[string]any{"channels": []string{"plain", "unused"}}).next()
	s.kill()
	s.start()
	back := s.dial(map[string]any{"channels": []string{"plain", "unused"}, "serverEpoch": ok.Resume.Epoch, "lastSeenId": ok.Resume.EntryIDs})
	if again := back.next(); again.Resume.Epoch == ok.Resume.Epoch {
		t.Error("the epoch is the same")
	}
	if f := back.next(); f.Type != "snapshot_required" || f.Reason != "server_restarted" || fmt.Sprint(f.Channels) != "[plain unused]" {
		t.Errorf("%+v", f)
	}
}

// A planned stop tells every client when to leave, goes on streaming, and closes with 1012.
func TestPlannedStop(t *testing.T) {
	s := start(t, "disk")
	p := s.dial(map[string]any{"channels": []string{"plain"}})
	p.next()
	s.stop()
	if f := p.next(); f.Type != "reconnect" || f.Reason != "server_upgrade" {
		t.Errorf("%+v", f)
	}
	if f := p.next(); f.Type != "close" || f.Reason != "1012" {
		t.Errorf("%+v", f)
	}
}
