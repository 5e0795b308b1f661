package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/continuo-rt/continuo/sdk/go/wire"
)

const smallBuffer = 3

// judge knows nothing of the machine: it sees inputs and effects, and holds them to what is promised.
type judge struct {
	t        *testing.T
	seen     map[string]int64   // the highest id that was delivered of a room
	pending  map[string][]int64 // delivered and not handled; 0: without a place in the log
	asked    map[string]bool    // requests that have no end yet
	open     bool               // frames can be sent
	closed   bool
	requests int
}

func (j *judge) before(in *Input) {
	switch in.Do {
	case Handled:
		if p := j.pending[in.Room]; len(p) > 0 {
			j.pending[in.Room] = p[1:]
		}
	case Request:
		j.asked[in.ID] = true
	case Cancel:
		delete(j.asked, in.ID)
	case Close:
		j.closed = true
	}
}

func (j *judge) after(in *Input, out []Effect) {
	if in.Do == SnapshotLoaded && slices.ContainsFunc(out, func(e Effect) bool { return e.Do == RoomChanged }) {
		j.seen[in.Room] = in.EventID
		clear(j.pending[in.Room]) // they have no place in the log any more
	}
	for i, e := range out {
		switch e.Do {
		case SetTimer:
			if i != len(out)-1 {
				j.t.Fatalf("a timer is not the last of %v", out)
			}
		case Dial:
			j.open = true
		case HangUp:
			j.open = false
		case Send:
			if !j.open {
				j.t.Fatalf("%v is sent without a connection", e.Command)
			}
		case Deliver:
			j.delivered(&e)
		case StoreCursor:
			j.stored(&e)
		case RoomChanged:
			if e.RoomState.State == RoomLeft {
				delete(j.seen, e.Room)
				delete(j.pending, e.Room)
			}
		case Answer, Failed:
			if !j.asked[e.ID] {
				j.t.Fatalf("the request %s has ended, and was not under way", e.ID)
			}
			delete(j.asked, e.ID)
		}
	}
	if j.closed && len(j.asked) > 0 {
		j.t.Fatalf("after the end %v wait", j.asked)
	}
}

func (j *judge) delivered(e *Effect) {
	id := e.Frame.EventID
	if e.Frame.Kind == wire.Joined {
		id = 0
	}
	if id > 0 && id <= j.seen[e.Room] {
		j.t.Fatalf("event %d comes after %d", id, j.seen[e.Room])
	}
	j.seen[e.Room] = max(j.seen[e.Room], id)
	j.pending[e.Room] = append(j.pending[e.Room], id)
	if len(j.pending[e.Room]) > smallBuffer {
		j.t.Fatalf("%d events wait in %s", len(j.pending[e.Room]), e.Room)
	}
}

// stored checks that no event at or below a cursor is still to be handled.
func (j *judge) stored(e *Effect) {
	for _, id := range j.pending[e.Room] {
		if id > 0 && id <= e.EventID {
			j.t.Fatalf("the cursor %d passes event %d, which is not handled", e.EventID, id)
		}
	}
}

// something is what might happen next.
func something(r *rand.Rand, m *Machine, j *judge) Input {
	room := string(rune('a' + r.IntN(2)))
	id := int64(r.IntN(12))
	stream := string(rune('A' + r.IntN(8)/7))
	correlation := ""
	if r.IntN(5) > 0 {
		correlation = fmt.Sprintf("s%d", max(1, m.ids-r.IntN(2)))
	}
	f := func(f wire.Frame) Input { return Input{Do: Frame, Frame: &f} }
	switch r.IntN(24) {
	case 0:
		return Input{Do: Connect}
	case 1:
		token := string(rune('0' + r.IntN(3)))
		return Input{Do: Token, Token: &token}
	case 2, 3:
		return f(wire.Frame{Kind: wire.Hello, ProtocolVersion: 1, SessionID: "s", SessionSecret: "x"})
	case 4:
		return Input{Do: JoinRoom, Room: room, Join: Join{Cursor: &Cursor{"A", id}}}
	case 5:
		return Input{Do: JoinRoom, Room: room}
	case 6, 7, 8:
		joined := wire.Frame{Kind: wire.Joined, RoomID: room, StreamID: stream, EventID: id, CorrelationID: correlation, Resumed: r.IntN(2) == 0, Replaying: int64(r.IntN(2))}
		if r.IntN(3) == 0 {
			joined.Members = []wire.Member{}
		}
		return f(joined)
	case 9, 10, 11:
		return f(wire.Frame{Kind: wire.Message, RoomID: room, EventID: id, MessageID: "1"})
	case 12:
		return f(wire.Frame{Kind: wire.Resumed, RoomID: room, EventID: id})
	case 13:
		return f(wire.Frame{Kind: wire.SnapshotRequired, RoomID: room, StreamID: stream, EventID: id, Reason: "r"})
	case 14:
		return Input{Do: SnapshotLoaded, Room: room, StreamID: stream, EventID: id}
	case 15, 16, 17:
		return Input{Do: Handled, Room: room}
	case 18:
		j.requests++
		return Input{Do: Request, ID: fmt.Sprintf("r%d", j.requests), Again: r.IntN(2) == 0, Command: &wire.Command{RoomID: room, Ephemeral: r.IntN(3) == 0}}
	case 19:
		answers := []string{wire.Accepted, wire.Error, wire.Error}
		return f(wire.Frame{Kind: answers[r.IntN(3)], CorrelationID: fmt.Sprintf("r%d", j.requests-r.IntN(2)), Retryable: r.IntN(2) == 0})
	case 20:
		return f(wire.Frame{Kind: wire.Error, RoomID: room, CorrelationID: correlation, Code: "c", Retryable: r.IntN(2) == 0})
	case 21:
		return f(wire.Frame{Kind: []string{wire.Left, wire.Position}[r.IntN(2)], RoomID: room, EventID: id})
	case 22:
		return rare(r, room, j)
	}
	return Input{Do: Timer}
}

func rare(r *rand.Rand, room string, j *judge) Input {
	codes := []int{1006, 1006, 1006, 1000, 1013, 4200, 4401, 4403}
	switch r.IntN(12) {
	case 0:
		return Input{Do: LeaveRoom, Room: room}
	case 1:
		return Input{Do: TokenFailed}
	case 2:
		return Input{Do: Refused, Status: []int{0, 401, 403, 500, 503}[r.IntN(5)]}
	case 3:
		return Input{Do: SnapshotFailed, Room: room}
	case 4:
		return Input{Do: []string{Offline, Online, Visible}[r.IntN(3)]}
	case 5:
		return Input{Do: Cancel, ID: fmt.Sprintf("r%d", j.requests)}
	case 6:
		return Input{Do: Frame, Frame: &wire.Frame{Kind: []string{wire.Reconnect, wire.TokenExpiring}[r.IntN(2)]}}
	case 7:
		if r.IntN(10) == 0 {
			return Input{Do: Close}
		}
	}
	return Input{Do: Closed, Code: codes[r.IntN(len(codes))]}
}

// live plays the life of a machine.
func live(t *testing.T, seed uint64, steps int) {
	r := rand.New(rand.NewPCG(seed, 7))
	m := New("test/1", smallBuffer)
	j := &judge{t: t, seen: map[string]int64{}, pending: map[string][]int64{}, asked: map[string]bool{}}
	now := int64(0)
	for range steps {
		in := something(r, m, j)
		ends := in.Do == Closed && m.conn.open() || in.Do == Refused && m.conn.phase == dialing
		j.before(&in)
		out := m.Step(now, r.Float64(), in)
		j.open = j.open && !ends
		j.after(&in, out)
		now += int64(r.IntN(3000))
	}
}

// TestLives plays many lives. A seed that fails is replayed by its name: go test -run 'TestLives/17' ./sdk/go/session
func TestLives(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { live(t, seed, 1000) })
	}
}

// FuzzStep looks for lives that TestLives does not play.
func FuzzStep(f *testing.F) {
	f.Add(uint64(1), uint16(500))
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16) { live(t, seed, int(steps)) })
}
