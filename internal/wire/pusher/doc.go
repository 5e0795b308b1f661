// Package pusher is the face of Pusher V1 and Sockudo V2 clients: a session.Machine and its encoders.
//
// A subscription of a V2 connection goes through these stages; V1 skips the waiting and everything about resumes:
//
//	subscribe ──► waiting (≤ 25 ms, for a resume) ──► entering (presence) ──► following
//	                                                                             │ Followed
//	   subscription_succeeded ◄──────────────────────────────────────────────────┘
//	   rows of a rewind, replay up to the attach serial        replaying
//	   rewind_complete ◄─── ReplayEnded                        settled: held until the resume's other channels are, too
//	   resume_success                                          live
//
// The position that clients store is that of the newest frame with a channel and a serial, so the order of frames
// decides what a cut connection loses: an acknowledgement carries the client's own cursor as long as a replay follows,
// and nothing live passes before the replay's end frame.
package pusher

import (
	"strings"

	"github.com/continuo-rt/continuo/internal/core/session"
)

// Protocol tells the two dialects apart.
type Protocol uint8

// The protocols.
const (
	V1 Protocol = 1 // Pusher, protocol=7 and everything that is not 2
	V2 Protocol = 2 // Sockudo, protocol=2
)

// public and internal are the prefixes of the protocol's own events.
func (p Protocol) public() string {
	if p == V2 {
		return "sockudo:"
	}
	return "pusher:"
}

func (p Protocol) internal() string {
	if p == V2 {
		return "sockudo_internal:"
	}
	return "pusher_internal:"
}

// verb is the canonical name of a protocol event, under whichever prefix it came.
func verb(event string) (name string, ok bool) {
	for _, prefix := range [...]string{"pusher:", "sockudo:", "pusher_internal:", "sockudo_internal:"} {
		if name, ok = strings.CutPrefix(event, prefix); ok {
			return name, true
		}
	}
	return "", event == "channel_history"
}

var _ session.Machine = (*Machine)(nil)
