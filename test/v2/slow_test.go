package v2

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/conn"
)

// padded are events of some size whose numbers begin at first, in text form "n …".
func (s *server) padded(channel string, first, n, size int) {
	s.Helper()
	pad := strings.Repeat("x", size)
	for i := range n {
		s.event(channel, "e", strconv.Itoa(first+i)+" "+pad)
	}
}

// unpad leaves the numbers of what a client has seen.
func (c *client) unpad(channel string) {
	for i, text := range c.seen[channel] {
		c.seen[channel][i], _, _ = strings.Cut(text, " ")
	}
}

// stalled waits until something waits for the client's socket and there is more behind it, and gives the session.
func (c *client) stalled() *conn.Conn {
	c.Helper()
	found, _ := c.server.node.Sessions().ByID(appID, c.socket)
	one := found.(*conn.Conn)
	for began := time.Now(); time.Since(began) < patience; runtime.Gosched() {
		one.Outbox().Lock()
		bytes := one.Outbox().Bytes()
		one.Outbox().Unlock()
		if bytes > 0 && c.server.hub.Behind() > 0 {
			return one
		}
	}
	c.Fatal("the outbox never filled")
	return nil
}

const outboxBytes = 16 << 10

// TestFullOutbox lets a client stop reading: live, and in the middle of a replay. What it did not read is read again
// from the log when it goes on.
func TestFullOutbox(t *testing.T) {
	each(t, func(t *testing.T, engine string) {
		for _, hot := range []int{0, 4} {
			s := newServer(t, setup{engine: engine, hot: hot, outbox: outboxBytes, narrow: true})
			channel := "room-" + strconv.Itoa(hot)
			c := s.client(t)
			c.narrow = true
			c.connect(channel)
			c.until("sockudo_internal:subscription_succeeded")
			s.padded(channel, 1, 600, 1<<10)
			s.bounded(c.stalled())
			c.reach(channel, 600)
			c.quiet()
			c.cut()
			s.padded(channel, 601, 600, 1<<10)
			c.connect(channel)
			s.bounded(c.stalled())
			s.padded(channel, 1201, 100, 1<<10) // while the replay is stalled
			c.until("sockudo:resume_success")
			if got := len(c.seen[channel]); got != 1200 {
				t.Fatalf("the replay ended after %d events", got)
			}
			c.reach(channel, 1300)
			c.quiet()
			c.unpad(channel)
			c.sees(channel, numbers(1, 1300))
			c.cut()
		}
	})
}

// bounded checks that a session whose client does not read holds no more than it may.
func (s *server) bounded(one *conn.Conn) {
	s.Helper()
	out := one.Outbox()
	out.Lock()
	defer out.Unlock()
	if out.Bytes() > s.outbox+8<<10 {
		s.Fatalf("%d bytes wait for a client that does not read", out.Bytes())
	}
}

// TestSlowConsumer trims what a stalled client has still to read: live, and in the middle of a replay. It is told, once,
// and goes on from the newest serial.
func TestSlowConsumer(t *testing.T) {
	each(t, func(t *testing.T, engine string) {
		for _, during := range []string{"live", "replay"} {
			t.Run(during, func(t *testing.T) {
				s := newServer(t, setup{engine: engine, hot: 4, outbox: outboxBytes, narrow: true})
				c := s.client(t)
				c.narrow = true
				c.connect("room")
				c.until("sockudo_internal:subscription_succeeded")
				reason := "retention_boundary_crossed_during_reconnect"
				if during == "replay" {
					c.cut()
					s.padded("room", 1, 600, 1<<10)
					c.connect("room")
					c.reach("room", 1) // else all of it may be trimmed before any is read
					reason = "retained_history_floor_is_ahead_of_requested_serial"
				} else {
					s.padded("room", 1, 600, 1<<10)
				}
				c.stalled()
				s.cut("room", stream.Trim, 590)
				failed := c.until("sockudo:resume_failed")
				var told struct {
					Code, Reason string
					Newest       uint64 `json:"newest_available_serial"`
				}
				if failed.into(t, &told); told.Code != "position_expired" || told.Reason != reason || told.Newest != 600 {
					t.Fatal(failed.raw)
				}
				if during == "replay" {
					success := c.until("sockudo:resume_success")
					if !strings.Contains(success.text(), `"recovered":[]`) || !strings.Contains(success.text(), `"channel":"room"`) {
						t.Fatal(success.raw)
					}
				} else {
					c.until("sockudo_internal:position")
				}
				if c.positions["room"].Serial != uint64(600) {
					t.Fatalf("the client stands at %+v", c.positions["room"])
				}
				seen := len(c.seen["room"])
				if seen == 0 || seen >= 590 {
					t.Fatalf("it saw %d events before it was told", seen)
				}
				s.padded("room", 601, 1, 10)
				c.reach("room", seen+1)
				c.quiet()
				c.unpad("room")
				c.sees("room", append(numbers(1, uint64(seen)), "601"))
				if len(c.failed) != 1 {
					t.Fatalf("it was told %d times", len(c.failed))
				}
			})
		}
	})
}

// TestTenThousandFromDisk resumes over 10,000 entries of which the process that serves them has read none: they stream
// at the pace of the socket, and no more of them is held than the outbox and the hot window may.
func TestTenThousandFromDisk(t *testing.T) {
	const missing = 10_000
	s := newServer(t, setup{engine: "disk", fs: vfs.Default, outbox: outboxBytes, narrow: true})
	c := s.client(t)
	c.narrow = true
	c.connect("room")
	c.until("sockudo_internal:subscription_succeeded")
	c.cut()
	pad := strings.Repeat("x", 200)
	for first := 1; first <= missing; first += 500 {
		s.batch("room", first, 500, pad)
	}
	s.close()
	s.open()
	c.connect("room")
	one := c.stalled()
	s.bounded(one)
	if held := s.hub.Held(); held > 4<<20 {
		t.Fatalf("%d bytes are held in windows", held)
	}
	success := c.until("sockudo:resume_success")
	if !strings.Contains(success.text(), `"replayed":10000`) {
		t.Fatal(success.raw)
	}
	c.quiet()
	c.unpad("room")
	c.sees("room", numbers(1, missing))
}
