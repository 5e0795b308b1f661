package pusher

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/wiretest"
)

// client is what a V2 client does with frames: it stores the position of every frame that has a channel and a serial,
// and throws it away on resume_failed. It remembers no message_id, so that nothing but positions hides a duplicate.
type client struct {
	t         *testing.T
	world     *wiretest.World
	sessions  int
	positions map[string]string
	seen      map[string][]string // channel → data of its events
	failed    []string
	order     string // of subscribe and resume
	ids       map[string]bool
	dedup     bool // unless the test says otherwise: with rewinds
	rewind    string
	stall     bool // the socket takes nothing at first, so that entries are published during the replay
}

type wireFrame struct {
	Event, Channel, StreamID string
	Data                     json.RawMessage
	Serial                   *uint64
	MessageID                string
}

func (f *wireFrame) UnmarshalJSON(b []byte) error {
	var in struct {
		Event, Channel string
		Data           json.RawMessage
		StreamID       string `json:"stream_id"`
		Serial         *uint64
		MessageID      string `json:"message_id"`
	}
	err := json.Unmarshal(b, &in)
	*f = wireFrame{Event: in.Event, Channel: in.Channel, Data: in.Data, StreamID: in.StreamID, Serial: in.Serial, MessageID: in.MessageID}
	return err
}

// connect opens a session that says what the order demands.
func (c *client) connect(channels ...string) *wiretest.Conn {
	m, err := machineFor("protocol=2", map[string]string{"mutable": "true"})
	if err != nil {
		c.t.Fatal(err)
	}
	c.sessions++
	conn := c.world.Open(fmt.Sprintf("%d.1", c.sessions), m)
	conn.Stalled = c.stall
	subscribe := func() {
		for _, name := range channels {
			conn.Send(`{"event":"sockudo:subscribe","data":{"channel":"` + name + `"` + c.rewind + `}}`)
		}
	}
	resume := func() {
		if len(c.positions) == 0 {
			return
		}
		var items []string
		for name, p := range c.positions {
			items = append(items, strconv.Quote(name)+":"+p)
		}
		slices.Sort(items)
		conn.Send(`{"event":"sockudo:resume","data":{"channel_positions":{` + strings.Join(items, ",") + `}}}`)
	}
	switch c.order {
	case "resume first":
		resume()
		subscribe()
	default:
		subscribe()
		resume()
	}
	c.world.Advance(windowMS)
	return conn
}

// read takes up to n frames from a connection, all of them if n is negative.
func (c *client) read(conn *wiretest.Conn, n int) (read int) {
	for ; read != n && len(conn.Inbox) > 0; read++ {
		var f wireFrame
		if err := json.Unmarshal([]byte(conn.Inbox[0]), &f); err != nil {
			c.t.Fatal(err)
		}
		conn.Inbox = conn.Inbox[1:]
		c.take(f)
	}
	return read
}

func (c *client) take(f wireFrame) {
	if f.MessageID != "" && c.dedup {
		if c.ids[f.MessageID] {
			return
		}
		c.ids[f.MessageID] = true
	}
	if f.Channel != "" && f.Serial != nil {
		c.positions[f.Channel] = fmt.Sprintf(`{"stream_id":%q,"serial":%d}`, f.StreamID, *f.Serial)
	}
	switch f.Event {
	case "sockudo:resume_failed":
		delete(c.positions, f.Channel)
		c.failed = append(c.failed, f.Channel)
	case "sockudo:resume_success":
		var inner string
		var success struct {
			Recovered []struct {
				Channel  string
				Position json.RawMessage
			}
		}
		if json.Unmarshal(f.Data, &inner) != nil || json.Unmarshal([]byte(inner), &success) != nil {
			c.t.Fatalf("resume_success %s", f.Data)
		}
		for _, r := range success.Recovered {
			c.positions[r.Channel] = string(r.Position)
		}
	case "e", "sockudo:message.append":
		var data string
		_ = json.Unmarshal(f.Data, &data)
		c.seen[f.Channel] = append(c.seen[f.Channel], data)
	}
}

func (c *client) publish(channel string, n int) {
	ref := stream.Ref{App: "app-id", Channel: channel}
	for range n {
		serial := c.world.Log(ref).Bounds().Head + 1
		c.world.Append(ref, stream.Entry{Kind: stream.Create, Event: "e",
			Data: stream.Data{Type: stream.Text, Bytes: []byte(strconv.FormatUint(serial, 10))}})
	}
}

// TestCutAfterEveryFrame cuts a resuming connection after every single frame, and the connection after it once more,
// and demands that the client has seen every entry once and in order in the end.
func TestCutAfterEveryFrame(t *testing.T) {
	for _, order := range []string{"subscribe first", "resume first"} {
		for _, rewind := range []string{"", `,"rewind":2`} {
			t.Run(order+rewind, func(t *testing.T) {
				for first := 0; first < 15; first++ {
					for second := 0; second < 15; second++ {
						for _, stall := range []bool{false, true} {
							cutTwice(t, order, rewind, first, second, stall)
						}
					}
				}
			})
		}
	}
}

func cutTwice(t *testing.T, order, rewind string, first, second int, stall bool) {
	c := &client{t: t, world: wiretest.NewWorld(), order: order, rewind: rewind, dedup: rewind != "",
		positions: map[string]string{}, seen: map[string][]string{}, ids: map[string]bool{}}
	conn := c.connect("a", "b")
	c.publish("a", 3)
	c.publish("b", 1)
	c.read(conn, -1)
	conn.Drop(false)
	for _, n := range []int{first, second, -1} {
		c.publish("a", 2)
		c.stall = stall
		conn = c.connect("a", "b")
		c.publish("a", 1)
		c.publish("b", 1)
		conn.Stalled = false
		conn.Pump()
		c.read(conn, n)
		conn.Drop(false)
	}
	if len(c.failed) > 0 {
		t.Fatalf("cut after %d and %d: failed %v", first, second, c.failed)
	}
	for _, channel := range []string{"a", "b"} {
		head := c.world.Log(stream.Ref{App: "app-id", Channel: channel}).Bounds().Head
		var want []string
		for n := range head {
			want = append(want, strconv.FormatUint(n+1, 10))
		}
		if !slices.Equal(c.seen[channel], want) {
			t.Fatalf("cut after %d and %d: saw %v of %s, want %v", first, second, c.seen[channel], channel, want)
		}
	}
}
