package session

import (
	"fmt"
	"strings"
)

// Describe says in a few words, for people, how it is with the connection.
func (s State) Describe() string {
	switch {
	case s.State == StateConnecting && s.Attempt > 1:
		return fmt.Sprintf("connecting, attempt %d", s.Attempt)
	case s.State == StateWaiting:
		return fmt.Sprintf("reconnecting in %d s", (s.RetryInMS+999)/1000)
	case s.State == StateStopped:
		return "stopped: " + words(s.Reason)
	}
	return s.State
}

// Describe says in a few words, for people, how it is with the room.
func (s RoomState) Describe() string {
	switch {
	case s.State == RoomResuming && s.Replaying > 0:
		return fmt.Sprintf("resuming, %d to come", s.Replaying)
	case s.State == RoomLive && s.Resumed && s.Missed == 0:
		return "resumed, nothing missed"
	case s.State == RoomLive && s.Resumed && s.Missed == 1:
		return "resumed, 1 missed message"
	case s.State == RoomLive && s.Resumed:
		return fmt.Sprintf("resumed, %d missed messages", s.Missed)
	case s.State == RoomSnapshot:
		return "took a snapshot: " + words(s.Reason)
	case s.State == RoomRefused && s.Message == "":
		return "refused: " + words(s.Code)
	case s.State == RoomRefused:
		return "refused: " + s.Message
	}
	return s.State
}

func words(name string) string { return strings.ReplaceAll(name, "_", " ") }
