package rooms

import (
	"fmt"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// stepper feeds a machine one input at a time: for what only an asynchronous driver does.
type stepper struct {
	*testing.T
	m *Machine
}

func newStepper(t *testing.T, settings map[string]string) *stepper {
	t.Helper()
	m, err := machineFor("user=ann", settings)
	if err != nil {
		t.Fatal(err)
	}
	s := &stepper{t, m}
	m.Step(began, session.Opened{ID: "s"}, nil)
	return s
}

// want steps the machine and compares what it wants done: each effect by what of it is said.
func (s *stepper) want(in session.Input, want ...string) {
	s.Helper()
	var got []string
	for _, e := range s.m.Step(began, in, nil) {
		got = append(got, said(e))
	}
	if len(got) != len(want) {
		s.Fatalf("%T: %q, want %q", in, got, want)
	}
	for i := range got {
		if !strings.Contains(got[i], want[i]) {
			s.Fatalf("%T: effect %d is %s, want %s", in, i, got[i], want[i])
		}
	}
}

func said(e session.Effect) string {
	switch e := e.(type) {
	case session.Send:
		return string(e.Payload)
	case session.Follow:
		return fmt.Sprintf("follow %d %v at %d", e.Tag, e.Ref.Log, e.Start.Cursor.Serial)
	case session.Unfollow:
		return fmt.Sprintf("unfollow %d", e.Tag)
	case session.Release:
		return fmt.Sprintf("release %d", e.Tag)
	case session.Enter:
		return fmt.Sprintf("enter %d update %v", e.Tag, e.Update)
	case session.Exit:
		return fmt.Sprintf("exit %d %s after %s", e.Tag, e.Cause, e.Grace)
	case session.List:
		return fmt.Sprintf("list %d", e.Tag)
	case session.Close:
		return fmt.Sprintf("close %d", e.Code)
	}
	return fmt.Sprintf("%T", e)
}

func client(frame string) session.Frame { return session.Frame{Data: []byte(frame)} }

var there = stream.Bounds{Stream: "a", Head: 5, Logged: true}

func TestLostBeforeTheAnswer(t *testing.T) {
	s := newStepper(t, nil)
	s.want(client(`{"kind":"client.join","room_id":"room","presence":"enter","resume_from":3,"stream_id":"a","correlation_id":"1"}`), "enter 1 update false")
	s.want(client(`{"kind":"client.join","room_id":"room","correlation_id":"2"}`))
	s.want(session.Entered{Tag: 1, Members: []session.Member{{User: "ann"}}, Count: 1, Stream: "p", Serial: 1}, "follow 1 presence at 1", "follow 0 messages at 3")
	s.want(session.Followed{Tag: 0, Bounds: there})
	s.want(session.Lost{Tag: 0, Reason: stream.StreamReset, Bounds: stream.Bounds{Stream: "b", Head: 9, Logged: true}})
	s.want(session.Followed{Tag: 1}, `"stream_id":"b","event_id":9,"resumable":true,"resumed":false`, `"correlation_id":"2"`, `"room.snapshot_required","room_id":"room","reason":"stream_reset","stream_id":"b","event_id":9`,
		"release 0", "release 1")
}

func TestLeaveBeforeTheAnswer(t *testing.T) {
	s := newStepper(t, nil)
	s.want(client(`{"kind":"client.join","room_id":"room","presence":"enter","correlation_id":"1"}`), "enter 1 update false")
	s.want(client(`{"kind":"client.leave","room_id":"room","correlation_id":"2"}`), `"code":"conflict"`, "unfollow 0", "unfollow 1", "exit 1 disconnect", `"room.left","room_id":"room","correlation_id":"2"`)
	s.want(session.Entered{Tag: 1}) // too late
	s.want(session.Listed{Tag: 1})
	s.want(session.Followed{Tag: 0})
	s.want(session.ReplayEnded{Tag: 0})
	s.want(session.Lost{Tag: 0})
	s.want(session.Published{Tag: 77})
	s.want(session.Scrolled{Tag: 77})
}

func TestLogThatCannotBeReadAnyMore(t *testing.T) {
	s := newStepper(t, nil)
	s.join()
	s.want(session.Lost{Tag: 0, Reason: stream.StoreUnavailable}, `"code":"unavailable"`, "unfollow 0", "unfollow 1", "exit 1 disconnect after 15s", `"kind":"room.left"`)
	s.join2(2)
	s.want(session.Lost{Tag: 3, Reason: stream.StoreUnavailable}, `"code":"unavailable"`, "unfollow 2", "unfollow 3", "exit 3 disconnect after 15s", `"kind":"room.left"`)
}

// join joins a room as a member.
func (s *stepper) join() {
	s.Helper()
	s.join2(0)
}

func (s *stepper) join2(tag session.Tag) {
	s.Helper()
	s.want(client(`{"kind":"client.join","room_id":"room","presence":"enter"}`), "enter")
	s.want(session.Entered{Tag: tag + 1, Members: []session.Member{{User: "ann"}}, Count: 1, Stream: "p", Serial: 1}, "follow", "follow")
	s.want(session.Followed{Tag: tag, Bounds: there})
	s.want(session.Followed{Tag: tag + 1}, "room.joined", "release", "release")
}

// TestMembersAreListedAnew loses the presence log: the list is read again, and again if the log has outrun it.
func TestMembersAreListedAnew(t *testing.T) {
	s := newStepper(t, nil)
	s.join()
	s.want(session.Lost{Tag: 1, Reason: stream.StreamReset}, "unfollow 1", "list 1")
	s.want(session.Listed{Tag: 1, Stream: "q", Serial: 3, Count: 2, Members: []session.Member{{User: "ann"}, {User: "bob"}}}, "follow 1 presence at 3")
	s.want(session.Followed{Tag: 1, Reason: stream.PositionExpired}, "unfollow 1", "list 1")
	s.want(session.Listed{Tag: 1, Stream: "q", Serial: 9, Count: 1, Members: []session.Member{{User: "bob"}}}, "follow 1 presence at 9")
	s.want(session.Followed{Tag: 1}, `{"kind":"room.presence","room_id":"room","members":[{"user_id":"bob"}],"member_count":1,"presence_id":9}`, "release 1")
	s.want(session.ReplayEnded{Tag: 1}, "release 1")
	s.want(session.Lost{Tag: 1, Reason: stream.StreamReset}, "unfollow 1", "list 1")
	s.want(session.Listed{Tag: 1, Err: down}, `"code":"unavailable"`, "unfollow 0", "unfollow 1", "exit 1", "room.left")
}

func TestMembersThatAreNeverTold(t *testing.T) {
	s := newStepper(t, nil)
	s.want(client(`{"kind":"client.join","room_id":"room","presence":"watch","correlation_id":"1"}`), "list 1")
	s.want(session.Listed{Tag: 1, Stream: "p"}, "follow 1", "follow 0")
	s.want(session.Followed{Tag: 0, Bounds: there})
	for range maxTries - 1 {
		s.want(session.Followed{Tag: 1, Reason: stream.PositionExpired}, "unfollow 1", "list 1")
		s.want(session.Listed{Tag: 1, Stream: "p"}, "follow 1")
	}
	s.want(session.Followed{Tag: 1, Reason: stream.PositionExpired}, "unfollow 1", `"code":"unavailable"`, "unfollow 0", "unfollow 1")
}

func TestUpdatesThatFail(t *testing.T) {
	s := newStepper(t, nil)
	s.join()
	for i := range 10 {
		s.want(client(fmt.Sprintf(`{"kind":"client.join","room_id":"room","presence_data":%d}`, i)), "enter 1 update true", "room.joined")
	}
	s.want(client(`{"kind":"client.join","room_id":"room","presence_data":9}`), "room.joined") // nothing new
	s.want(client(`{"kind":"client.join","room_id":"room","presence_data":11,"correlation_id":"c"}`), `"code":"rate_limited"`)
	s.want(session.Entered{Tag: 1, Err: fault.New(fault.TooLarge, "x")}, `"code":"too_large"`)
}

func TestUpgradeThatFails(t *testing.T) {
	s := newStepper(t, nil)
	s.want(client(`{"kind":"client.join","room_id":"room","presence":"watch"}`), "list 1")
	s.want(session.Listed{Tag: 1, Stream: "p"}, "follow 1", "follow 0")
	s.want(session.Followed{Tag: 0, Bounds: there})
	s.want(session.Followed{Tag: 1}, "room.joined", "release 0", "release 1")
	s.want(client(`{"kind":"client.join","room_id":"room","presence":"enter"}`), "room.joined", "enter 1 update false")
	s.want(session.Entered{Tag: 1, Err: fault.New(fault.LimitExceeded, "full")}, `"code":"too_large"`)
	s.want(session.Closed{}) // it never entered, so nobody leaves
}

func TestOtherEnds(t *testing.T) {
	s := newStepper(t, nil)
	s.want(session.Frame{Binary: true, Data: []byte("x")}, `"code":"invalid_frame"`)
	s.want(session.Followed{Tag: 4})
	s.want(session.Terminate{Cause: 99}, "close 1011", "session.Wake")
	s.want(client(`{"kind":"client.ping"}`)) // nothing more is said
}
