package v2

import (
	"strconv"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// cell is one place where a client's position can stand when it comes back. The channel has 30 events; the client has
// seen 20 of them unless the cell says otherwise.
type cell struct {
	name   string
	prefix string // of the channel's name
	at     any    // the serial of the position; nil: 20
	stream string // its stream id; empty: the right one
	change func(s *server, channel string)
	// code and reason are those of resume_failed; empty: it is recovered. onDisk: only so without a disk.
	code, reason string
	onDisk       bool
}

var cells = []cell{
	{name: "at the head", at: 30},
	{name: "inside"},
	{name: "one before the head", at: 29},
	{name: "at the very beginning", at: 0},
	{name: "a serial as a string", at: "20"},
	{name: "at the floor", at: 15, change: trim(15)},
	{name: "above a floor that has moved", change: trim(10)},
	{name: "below the floor", at: 14, change: trim(15),
		code: "position_expired", reason: "retained_history_floor_is_ahead_of_requested_serial"},
	{name: "ahead", at: 31, code: "continuity_unverifiable", reason: "position_ahead_of_durable_stream"},
	{name: "ahead beyond 2^53", at: "9007199254740993", code: "continuity_unverifiable", reason: "position_ahead_of_durable_stream"},
	{name: "ahead at 2^64-1", at: "18446744073709551615", code: "continuity_unverifiable", reason: "position_ahead_of_durable_stream"},
	{name: "beyond 2^64", at: "18446744073709551616", code: "continuity_unverifiable", reason: "position_malformed"},
	{name: "negative", at: -1, code: "continuity_unverifiable", reason: "position_malformed"},
	{name: "a fraction", at: 1.5, code: "continuity_unverifiable", reason: "position_malformed"},
	{name: "a serial that is none", at: "two", code: "continuity_unverifiable", reason: "position_malformed"},
	{name: "of another stream", stream: "0000000000000000000000000000000000000000", code: "stream_reset", reason: "stream_id_mismatch"},
	{name: "after a reset", change: cut(stream.Reset, 0), code: "stream_reset", reason: "stream_id_mismatch"},
	{name: "after a reset and new events", change: func(s *server, channel string) {
		s.cut(channel, stream.Reset, 0)
		s.publish(channel, 3)
	}, code: "stream_reset", reason: "stream_id_mismatch"},
	{name: "after a purge of what it has", change: cut(stream.Purge, 20)},
	{name: "after a purge of what it misses", change: cut(stream.Purge, 25),
		code: "position_expired", reason: "retained_history_floor_is_ahead_of_requested_serial"},
	{name: "at the head after a purge of all", at: 30, change: cut(stream.Purge, 30)},
	{name: "beyond the recovery window", prefix: "narrow-", code: "position_expired", reason: "recovery_window_exceeded"},
	{name: "at the edge of the recovery window", prefix: "narrow-", at: 25},
	{name: "of a channel without a log", prefix: "nolog-", at: 0, stream: "any",
		code: "position_expired", reason: "hot_replay_expired_and_durable_history_disabled"},
	{name: "after a crash", change: func(s *server, _ string) { s.crash() },
		code: "stream_reset", reason: "stream_id_mismatch", onDisk: true},
	{name: "at the head after a crash", at: 30, change: func(s *server, _ string) { s.crash() },
		code: "stream_reset", reason: "stream_id_mismatch", onDisk: true},
}

func cut(kind stream.CutKind, through uint64) func(*server, string) {
	return func(s *server, channel string) { s.cut(channel, kind, through) }
}

func trim(through uint64) func(*server, string) { return cut(stream.Trim, through) }

// TestMatrix plays every cell on every engine, from the window and from the store, in every order of frames.
func TestMatrix(t *testing.T) {
	each(t, func(t *testing.T, engine string) {
		for _, window := range []struct {
			name string
			hot  int
		}{{"hot", 0}, {"cold", 4}} {
			s := newServer(t, setup{engine: engine, hot: window.hot})
			for i, c := range cells {
				for _, order := range []string{"subscribe first", "resume first", "resume late"} {
					for _, private := range []string{"", "private-"} {
						if c.prefix != "" && private != "" {
							continue // policies go by the beginning of the name
						}
						channel := c.prefix + private + "room-" + strconv.Itoa(i) + "-" + strings.ReplaceAll(order, " ", "-")
						t.Run(window.name+"/"+c.name+"/"+order+"/"+private, func(t *testing.T) { c.play(t, s, engine, channel, order) })
					}
				}
			}
		}
	})
}

func (c *cell) play(t *testing.T, s *server, engine, channel, order string) {
	if c.prefix != "nolog-" {
		s.publish(channel, 30)
	}
	p := position{string(s.bounds(channel).Stream), 20}
	if c.at != nil {
		p.Serial = c.at
	}
	if c.stream != "" {
		p.Stream = c.stream
	}
	if c.change != nil {
		c.change(s, channel)
	}
	client := s.client(t)
	client.order = order
	client.positions[channel] = p
	client.dial()
	switch order {
	case "resume first":
		client.resume(channel)
		client.subscribe(channel)
	case "resume late": // after the answer, and before anything live
		client.subscribe(channel)
		client.send("sockudo:ping", map[string]any{}) // ends the waiting for a resume
		client.until("sockudo:pong")
		client.positions[channel] = p
		client.resume(channel)
	default:
		client.subscribe(channel)
		client.resume(channel)
	}
	success := client.until("sockudo:resume_success")
	refused := c.code != "" && !(c.onDisk && engine == "disk")
	c.check(t, client, channel, p, &success, refused)
	head := s.bounds(channel).Head
	want := []string{}
	if !refused {
		from, _ := strconv.ParseUint(toString(p.Serial), 10, 64)
		want = numbers(from+1, head)
	}
	client.sees(channel, want)
	if c.prefix == "nolog-" {
		return
	}
	if _, placed := client.positions[channel]; !placed { // refused before it was subscribed: the answer comes now
		client.until("sockudo_internal:subscription_succeeded")
	}
	if got := client.positions[channel]; got.Serial != head || got.Stream != string(s.bounds(channel).Stream) {
		t.Fatalf("before anything live the client stands at %+v, want %d", got, head)
	}
	s.event(channel, "e", "live")
	client.until("e")
	client.quiet()
	client.sees(channel, append(want, "live"))
	if got := client.positions[channel]; got.Serial != head+1 || got.Stream != string(s.bounds(channel).Stream) {
		t.Fatalf("the client stands at %+v in the end", got)
	}
	client.cut()
}

func toString(serial any) string {
	switch n := serial.(type) {
	case int:
		return strconv.Itoa(n)
	case string:
		return n
	}
	return ""
}

// check compares resume_failed and resume_success with what the cell says.
func (c *cell) check(t *testing.T, client *client, channel string, p position, success *frame, refused bool) {
	t.Helper()
	type refusal struct {
		Channel, Code, Reason string
		Expected              string  `json:"expected_stream_id"`
		Current               string  `json:"current_stream_id"`
		Oldest                *uint64 `json:"oldest_available_serial"`
		Newest                *uint64 `json:"newest_available_serial"`
	}
	var done struct {
		Recovered []struct {
			Channel  string
			Replayed int
		}
		Failed []refusal
	}
	success.into(t, &done)
	if !refused {
		if len(client.failed) > 0 || len(done.Recovered) != 1 || done.Recovered[0].Channel != channel || done.Recovered[0].Replayed != len(client.seen[channel]) {
			t.Fatalf("not recovered: %v %s", client.failed, success.raw)
		}
		return
	}
	if len(client.failed) != 1 || client.failed[0].Channel != channel || len(done.Failed) != 1 || len(done.Recovered) != 0 {
		t.Fatalf("not refused once: %v %s", client.failed, success.raw)
	}
	var told refusal
	client.failed[0].into(t, &told)
	b := client.server.bounds(channel)
	for _, r := range []refusal{told, done.Failed[0]} {
		if r.Channel != channel || r.Code != c.code || r.Reason != c.reason {
			t.Fatalf("refused with %+v, want %s %s", r, c.code, c.reason)
		}
		if c.prefix == "nolog-" {
			continue
		}
		if c.reason == "position_malformed" && r.Newest == nil { // refused without a look at the stream
			continue
		}
		if r.Expected != p.Stream || r.Current != string(b.Stream) || r.Oldest == nil || *r.Oldest != b.Floor+1 || r.Newest == nil || *r.Newest != b.Head {
			t.Fatalf("refused with %+v of %+v", r, b)
		}
	}
}
