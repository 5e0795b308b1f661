package v2

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// signin signs the connection in as a user with capabilities, if any are given.
func (c *client) signin(user string, capabilities map[string][]string) {
	c.Helper()
	data := map[string]any{"id": user}
	if capabilities != nil {
		data["capabilities"] = capabilities
	}
	text, _ := json.Marshal(data)
	c.send("sockudo:signin", map[string]any{"auth": sign(c.socket + "::user::" + string(text)), "user_data": string(text)})
	c.until("sockudo:signin_success")
}

// TestAttribution changes messages over HTTP in the name of connections: each may do what its sign-in says, and nobody
// can act as somebody else.
func TestAttribution(t *testing.T) {
	each(t, func(t *testing.T, engine string) {
		s := newServer(t, setup{engine: engine})
		anna, ben, mod, guest := s.client(t), s.client(t), s.client(t), s.client(t)
		for _, c := range []*client{anna, ben, mod, guest} {
			c.connect("room")
		}
		own := map[string][]string{"message_update_own": {"room"}, "message_append_own": {"*"}, "message-delete-own": {"room"}}
		anna.signin("anna", own)
		ben.signin("ben", own)
		mod.signin("mod", map[string][]string{"message_delete_any": {"room"}})
		guest.until("sockudo_internal:subscription_succeeded")
		if status, body := s.call("POST", appID+"/events", `{"name":"chat","channel":"room","data":"hi","socket_id":"`+anna.socket+`"}`); status != 200 {
			t.Fatal(status, body)
		}
		if f := ben.until("chat"); f.User != "anna" {
			t.Fatalf("the author is not named: %s", f.raw)
		}
		for _, try := range []struct {
			name, verb, body string
			status           int
			code             string
		}{
			{"the author updates", "update", `{"data":"hello","socket_id":"` + anna.socket + `"}`, 200, ""},
			{"the author appends", "append", `{"data":"!","socket_id":"` + anna.socket + `","client_id":"anna"}`, 200, ""},
			{"somebody else updates", "update", `{"data":"x","socket_id":"` + ben.socket + `"}`, 403, "mutable_not_permitted"},
			{"somebody else deletes", "delete", `{"socket_id":"` + ben.socket + `"}`, 403, "mutable_not_permitted"},
			{"somebody claims to be the author", "update", `{"data":"x","socket_id":"` + ben.socket + `","client_id":"anna"}`, 401, "auth_failed"},
			{"a moderator may not update", "update", `{"data":"x","socket_id":"` + mod.socket + `"}`, 403, "mutable_not_permitted"},
			{"nobody signed in claims a name", "update", `{"data":"x","socket_id":"` + guest.socket + `","client_id":"anna"}`, 401, "auth_failed"},
			{"a connection that is not there", "update", `{"data":"x","socket_id":"1.1"}`, 401, "auth_failed"},
			{"no connection id", "update", `{"data":"x","socket_id":"anna"}`, 400, "invalid_input"},
			{"a moderator deletes", "delete", `{"socket_id":"` + mod.socket + `"}`, 200, ""},
		} {
			t.Run(try.name, func(t *testing.T) {
				status, body := s.call("POST", appID+"/channels/room/messages/1/"+try.verb, try.body)
				var code string
				_ = json.Unmarshal(body["code"], &code)
				if status != try.status || code != try.code {
					t.Fatalf("%d %s", status, body)
				}
			})
		}
		for _, want := range []string{"sockudo:message.update anna", "sockudo:message.append anna", "sockudo:message.delete mod"} {
			if f := guest.next(); f.Event == "chat" {
				f = guest.next()
				if got := f.Event + " " + f.User; got != want {
					t.Fatalf("%s, want %s", got, want)
				}
			} else if got := f.Event + " " + f.User; got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
		guest.quiet()
		// A second sign-in of the same user may bring other capabilities: they hold from then on.
		s.event("room", "chat", "again")
		ben.signin("ben", map[string][]string{"message_update_any": {"room"}})
		if status, body := s.call("POST", appID+"/channels/room/messages/5/update", `{"data":"y","socket_id":"`+ben.socket+`"}`); status != 200 {
			t.Fatal(status, body)
		}
	})
}

const marker = "top-53cr3t"

// TestNeverReplayedUnseen plays orders of frames by which a client may hope to be shown a channel that it may not read.
func TestNeverReplayedUnseen(t *testing.T) {
	s := newServer(t, setup{})
	for n := range 5 {
		s.event("private-vault", "e", fmt.Sprint(marker, n))
		s.event("#server-to-user-anna", "e", fmt.Sprint(marker, n))
	}
	steps := map[string]func(c *client){
		"subscribe": func(c *client) { c.send("sockudo:subscribe", map[string]any{"channel": "private-vault", "rewind": 5}) },
		"forged": func(c *client) {
			c.send("sockudo:subscribe", map[string]any{"channel": "private-vault", "auth": appKey + ":" + strings.Repeat("0", 64), "rewind": 5})
		},
		"of another": func(c *client) {
			c.send("sockudo:subscribe", map[string]any{"channel": "private-vault", "auth": sign("1.1:private-vault")})
		},
		"resume": func(c *client) {
			c.send("sockudo:resume", map[string]any{"channel_positions": map[string]any{
				"private-vault":        map[string]any{"serial": 0, "stream_id": s.bounds("private-vault").Stream},
				"#server-to-user-anna": map[string]any{"serial": 0, "stream_id": s.bounds("#server-to-user-anna").Stream}}})
		},
		"bare": func(c *client) {
			c.send("sockudo:resume", map[string]any{"channel_serials": map[string]any{"private-vault": 0}})
		},
		"user": func(c *client) {
			c.send("sockudo:subscribe", map[string]any{"channel": "#server-to-user-anna", "rewind": 5})
		},
		"history": func(c *client) { c.send("sockudo:channel_history", map[string]any{"channel": "private-vault"}) },
		"unsubscribe": func(c *client) {
			c.send("sockudo:unsubscribe", map[string]any{"channel": "private-vault"})
		},
	}
	names := []string{"subscribe", "forged", "of another", "resume", "bare", "user", "history", "unsubscribe"}
	for _, one := range names {
		for _, two := range names {
			for _, three := range names {
				c := s.client(t)
				c.dial()
				for _, name := range []string{one, two, three} {
					steps[name](c)
				}
				c.send("sockudo:ping", map[string]any{})
				for {
					f := c.next()
					if strings.Contains(f.raw, marker) {
						t.Fatalf("%s, %s, %s: %s", one, two, three, f.raw)
					}
					if f.Event == "sockudo:pong" {
						break
					}
				}
				c.cut()
			}
		}
	}
}

// TestNeverAuthorised holds a position for a channel that is never subscribed to, and gives it up after 30 s.
func TestNeverAuthorised(t *testing.T) {
	s := newServer(t, setup{})
	s.event("private-vault", "e", "secret")
	c := s.client(t)
	c.dial()
	c.positions["private-vault"] = position{string(s.bounds("private-vault").Stream), 0}
	c.resume("private-vault")
	c.quiet()
	s.ahead.Add(29_000)
	c.quiet()
	s.ahead.Add(2_000)
	f := c.until("sockudo:resume_failed") // the wheel turns every second
	if !strings.Contains(f.text(), `"channel_not_subscribed"`) || f.Channel != "private-vault" || strings.Contains(f.raw, "newest") {
		t.Fatal(f.raw)
	}
	c.quiet()
}

// TestResumeFlood sends resumes without end: they cost the server nothing that grows, and the connection lives.
func TestResumeFlood(t *testing.T) {
	s := newServer(t, setup{outbox: 64 << 10})
	s.publish("room", 50)
	c := s.client(t)
	c.connect("room")
	c.until("sockudo_internal:subscription_succeeded")
	positions := map[string]any{}
	for n := range 1000 {
		positions[fmt.Sprint("room-", n)] = map[string]any{"serial": n, "stream_id": "x"}
	}
	many := map[string]any{"channel_positions": positions}
	c.send("sockudo:resume", many)
	c.send("sockudo:resume", many)
	c.quiet()
	for n := range 10 {
		positions[fmt.Sprint("further-", n)] = map[string]any{"serial": n, "stream_id": "x"}
	}
	c.refused("sockudo:resume", many, 4302, "more channels than the 1000")
	for range 2_000 {
		c.send("sockudo:resume", map[string]any{"channel_positions": map[string]any{"room": map[string]any{"serial": 1, "stream_id": "other"}}})
		f := c.until("sockudo:resume_success")
		if strings.Contains(f.text(), "recovered\":[{") {
			t.Fatal(f.raw)
		}
	}
	c.seen["room"] = nil
	s.publish("room", 1)
	c.reach("room", 1)
	c.quiet()
	for _, bad := range []struct {
		data any
		code int
		part string
	}{
		{map[string]any{}, 4302, "No channel recovery positions"},
		{map[string]any{"channel_positions": map[string]any{}}, 4302, "No channel recovery positions"},
		{map[string]any{"channel_positions": 7}, 4302, "No channel recovery positions"},
		{"not json", 4000, ""},
		{nil, 4000, ""},
		{[]int{1}, 4000, ""},
	} {
		c.refused("sockudo:resume", bad.data, bad.code, bad.part)
	}
}

// TestTemporaryFailure: a log that cannot be read now takes no position from anybody.
func TestTemporaryFailure(t *testing.T) {
	var broken atomic.Bool
	s := newServer(t, setup{hot: 2, readable: func() error {
		if broken.Load() {
			return errors.New("the device is gone")
		}
		return nil
	}})
	s.publish("room", 20)
	c := s.client(t)
	c.positions["room"] = position{string(s.bounds("room").Stream), 3}
	for _, order := range []string{"subscribe first", "resume first"} {
		broken.Store(true)
		c.order = order
		c.connect("room")
		if code, err := c.ended(); code != 4100 || err != nil {
			t.Fatal(code, err)
		}
		if len(c.failed) > 0 || c.positions["room"].Serial != 3 {
			t.Fatalf("the position is gone: %v %v", c.failed, c.positions)
		}
		broken.Store(false)
	}
	c.connect("room")
	c.until("sockudo:resume_success")
	c.sees("room", numbers(4, 20))
}
