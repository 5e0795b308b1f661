package v2

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// page is the body of a history, as both the socket and HTTP give it.
type page struct {
	Items []struct {
		Serial  uint64
		Event   string `json:"event_name"`
		Kind    string `json:"operation_kind"`
		Message struct {
			Event, Data, Name string
		}
	}
	Direction  string
	More       bool   `json:"has_more"`
	Next       string `json:"next_cursor"`
	Continuity struct {
		Complete, Truncated bool
	}
	Bounds map[string]any
}

func (p *page) serials() (all []uint64) {
	for _, item := range p.Items {
		all = append(all, item.Serial)
	}
	return all
}

// history asks over the socket and waits for the answer.
func (c *client) history(data any) page {
	c.Helper()
	c.send("sockudo:channel_history", data)
	f := c.until("sockudo:channel_history")
	var p page
	f.into(c, &p)
	return p
}

// refused asks for something that is refused, and checks that the connection lives on.
func (c *client) refused(event string, data any, code int, part string) {
	c.Helper()
	c.send(event, data)
	f := c.read()
	var e struct {
		Code    int
		Message string
	}
	if f.Event == "sockudo:error" {
		f.into(c, &e)
	}
	if e.Code != code || !strings.Contains(e.Message, part) {
		c.Fatalf("%s %v:\n got %s\nwant %d …%s…", event, data, f.raw, code, part)
	}
	c.quiet()
}

// TestHistoryOverTheSocket pages through a channel in every documented form, beside HTTP: the bodies are the same, and a
// client may go on over HTTP where it left off on the socket, or the other way round.
func TestHistoryOverTheSocket(t *testing.T) {
	each(t, func(t *testing.T, engine string) {
		s := newServer(t, setup{engine: engine})
		s.publish("room", 25)
		c := s.client(t)
		c.connect("room")
		c.until("sockudo_internal:subscription_succeeded")
		s.publish("room", 5)
		c.reach("room", 5)

		first := c.history(map[string]any{"channel": "room", "limit": 10})
		wantSerials(t, &first, 30, 21)
		if first.Direction != "newest_first" || !first.More || first.Next == "" {
			t.Fatalf("%+v", first)
		}
		second := c.history(map[string]any{"channel": "room", "limit": 10, "cursor": first.Next})
		wantSerials(t, &second, 20, 11)
		third := s.page(t, "limit=10&cursor="+url.QueryEscape(second.Next))
		wantSerials(t, &third, 10, 1)
		if third.More || third.Next != "" || !third.Continuity.Complete {
			t.Fatalf("%+v", third)
		}
		byHTTP := s.page(t, "limit=7&direction=oldest_first&start_serial=3&end_serial=20")
		goesOn := c.history(map[string]any{"channel": "room", "limit": 7, "cursor": byHTTP.Next})
		wantSerials(t, &goesOn, 10, 16)

		for name, data := range map[string]any{
			"under params":     map[string]any{"params": map[string]any{"channel": "room", "direction": "forwards", "start": 4, "end": "6"}},
			"in a string":      `{"channel":"room","direction":"oldest_first","start_serial":4,"end_serial":6}`,
			"with times":       map[string]any{"channel": "room", "direction": "forward", "start_time_ms": 0, "end_time_ms": s.now() + 1000, "start_serial": 4, "end_serial": 6},
			"with camel case":  map[string]any{"channel": "room", "direction": "oldest_first", "start_serial": 4, "end_serial": 6, "untilAttach": true},
			"with limit above": map[string]any{"channel": "room", "direction": "oldest_first", "start_serial": 4, "end_serial": 6, "limit": 5000},
		} {
			p := c.history(data)
			if got := p.serials(); len(got) != 3 || got[0] != 4 || got[2] != 6 {
				t.Fatalf("%s: %v", name, got)
			}
		}
		c.sendRaw(`{"event":"channel_history","data":{"channel":"room","limit":1}}`)
		c.until("sockudo:channel_history")

		until := c.history(map[string]any{"channel": "room", "limit": 3, "until_attach": true})
		wantSerials(t, &until, 25, 23)
		if until.Bounds["until_attach"] != true || until.Bounds["attach_serial"] != float64(25) || until.Bounds["end_serial"] != float64(25) {
			t.Fatalf("%v", until.Bounds)
		}
		further := c.history(map[string]any{"channel": "room", "limit": 3, "until_attach": true, "cursor": until.Next})
		wantSerials(t, &further, 22, 20)

		c.send("sockudo:channel_history", map[string]any{"channel": "room", "limit": 1})
		c.send("sockudo:channel_history", map[string]any{"channel": "room", "limit": 2})
		var one, two page
		f := c.until("sockudo:channel_history")
		f.into(t, &one)
		f = c.until("sockudo:channel_history")
		f.into(t, &two)
		if len(one.Items) != 1 || len(two.Items) != 2 {
			t.Fatal("the answers do not come in the order of the requests")
		}
	})
}

func wantSerials(t *testing.T, p *page, first, last uint64) {
	t.Helper()
	want := []uint64{}
	for n := first; ; n = next(n, last) {
		want = append(want, n)
		if n == last {
			break
		}
	}
	if got := p.serials(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("serials %v, want %v", got, want)
	}
}

func next(n, towards uint64) uint64 {
	if n < towards {
		return n + 1
	}
	return n - 1
}

func (s *server) page(t *testing.T, query string) page {
	t.Helper()
	status, body := s.call("GET", appID+"/channels/room/history?"+query, "")
	text, _ := json.Marshal(body)
	var p page
	if err := json.Unmarshal(text, &p); err != nil || status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	return p
}

// TestSameBodyAsHTTP compares a page of the socket with HTTP's, byte by byte but for what only the socket adds.
func TestSameBodyAsHTTP(t *testing.T) {
	s := newServer(t, setup{})
	s.publish("room", 3)
	s.call("POST", appID+"/channels/room/messages/2/append", `{"data":" and more"}`)
	c := s.client(t)
	c.connect("room")
	c.until("sockudo_internal:subscription_succeeded")
	c.send("sockudo:channel_history", map[string]any{"channel": "room"})
	f := c.until("sockudo:channel_history")
	_, byHTTP := s.call("GET", appID+"/channels/room/history", "")
	var bySocket map[string]json.RawMessage
	f.into(t, &bySocket)
	for name, want := range byHTTP {
		got := bySocket[name]
		if name == "bounds" {
			got = bytes.Replace(got, []byte(`,"until_attach":false,"attach_serial":4`), nil, 1)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
		delete(bySocket, name)
	}
	if len(bySocket) > 0 {
		t.Errorf("only the socket has %v", bySocket)
	}
}

// TestBadHistory refuses cursors that are forged, cut, of another channel, direction, app or kind, or expired, and
// everything else that cannot be answered: the precise error of its class, and the connection lives.
func TestBadHistory(t *testing.T) {
	each(t, func(t *testing.T, engine string) {
		s := newServer(t, setup{engine: engine})
		s.publish("room", 20)
		s.publish("other", 20)
		c := s.client(t)
		c.connect("room", "other")
		c.send("sockudo:ping", map[string]any{})
		c.until("sockudo:pong")
		cursor := c.history(map[string]any{"channel": "room", "limit": 5}).Next
		bounded := c.history(map[string]any{"channel": "room", "limit": 5, "end_serial": 15}).Next
		foreign := s.foreignCursor(t)
		_, snapshot := s.call("GET", appID+"/channels/room/snapshot?limit=5", "")
		var of string
		_ = json.Unmarshal(snapshot["next_cursor"], &of)
		flipped := []byte(cursor)
		flipped[5] ^= 1
		for _, bad := range []struct {
			name string
			data map[string]any
			code int
			part string
		}{
			{"forged", map[string]any{"cursor": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, 4000, "not made by this server"},
			{"changed", map[string]any{"cursor": string(flipped)}, 4000, "not made by this server"},
			{"cut", map[string]any{"cursor": cursor[:len(cursor)-4]}, 4000, "not made by this server"},
			{"cut short", map[string]any{"cursor": cursor[:10]}, 4000, "damaged"},
			{"no base64", map[string]any{"cursor": "ä"}, 4000, "damaged"},
			{"too long", map[string]any{"cursor": strings.Repeat("A", 5000)}, 4000, "more than any"},
			{"no string", map[string]any{"cursor": 7}, 4000, "cursor must be a string"},
			{"of another app", map[string]any{"cursor": foreign}, 4000, "not made by this server for this app"},
			{"of a snapshot", map[string]any{"cursor": of}, 4000, "another kind"},
			{"of another channel", map[string]any{"channel": "other", "cursor": cursor}, 4000, `belongs to the channel "room"`},
			{"of the other direction", map[string]any{"cursor": cursor, "direction": "oldest_first"}, 4000, "other direction"},
			{"of other bounds", map[string]any{"cursor": bounded, "end_serial": 16}, 4000, "other bounds"},
			{"beyond every serial", map[string]any{"start_serial": "9007199254740993"}, 4000, "larger than"},
			{"negative", map[string]any{"start_serial": -1}, 4000, "start_serial must be a whole number"},
			{"start after end", map[string]any{"start_serial": 9, "end_serial": 8}, 4000, "lies after"},
			{"limit 0", map[string]any{"limit": 0}, 4000, "limit"},
			{"unknown direction", map[string]any{"direction": "sideways"}, 4000, "not known"},
			{"not subscribed", map[string]any{"channel": "elsewhere"}, 4300, "needs a subscription"},
			{"no channel", map[string]any{"channel": nil}, 4300, "needs a subscription"},
		} {
			t.Run(bad.name, func(t *testing.T) {
				c.TB = t
				if _, given := bad.data["channel"]; !given {
					bad.data["channel"] = "room"
				}
				c.refused("sockudo:channel_history", bad.data, bad.code, bad.part)
			})
		}
		c.TB = t
		oldest := c.history(map[string]any{"channel": "room", "limit": 5, "direction": "oldest_first"}).Next
		s.cut("room", stream.Trim, 10)
		c.refused("sockudo:channel_history", map[string]any{"channel": "room", "cursor": oldest}, 4000, "Expired history cursor: retention has passed it")
		s.cut("room", stream.Reset, 0)
		c.until("sockudo_internal:position")
		c.refused("sockudo:channel_history", map[string]any{"channel": "room", "cursor": cursor}, 4000, "Expired history cursor: channel stream changed")
	})
}

// foreignCursor is a cursor that another app was given for a channel of the same name.
func (s *server) foreignCursor(t *testing.T) string {
	t.Helper()
	for n := range 3 {
		if status, body := s.call("POST", otherID+"/events", `{"name":"e","channel":"room","data":"`+strconv.Itoa(n)+`"}`); status != 200 {
			t.Fatal(status, body)
		}
	}
	_, body := s.call("GET", otherID+"/channels/room/history?limit=1", "")
	var cursor string
	if err := json.Unmarshal(body["next_cursor"], &cursor); err != nil || cursor == "" {
		t.Fatal(err, body)
	}
	return cursor
}
