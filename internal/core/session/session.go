// Package session is the vocabulary between a face's machine and whoever drives it: inputs that happened, effects to
// carry out.
//
// A face (internal/wire/*) is a Machine: a pure state machine with no clock, lock or goroutine. A driver
// (internal/run/conn) feeds it one input at a time and carries out the effects in order. The delivery of entries does
// not pass through the machine: it hands an Encoder to the follower and sees only how a replay starts, ends or fails.
//
//	frame ──► Step ──► Follow ──► Followed ──► Step ──► Send(answer), Release
//	                                                        │ follower replays up to the attach serial
//	                                           ReplayEnded ◄┘
//	                              Step ──► Send(end frame), Release ──► live
package session

import (
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Machine is one connection of a face. Step consumes one input and appends effects to out, which the driver carries
// out in order before the next Step. now is unix ms. Calls never overlap. The input's bytes may be kept only if copied.
type Machine interface {
	Step(now int64, in Input, out []Effect) []Effect
}

// Encoder turns entries into the payloads of a face's frames. Encoders that would give equal bytes must be the same
// comparable value, since hubs encode an entry once per Encoder and share the result. Calls may overlap. Everything
// that depends on the single subscriber but echo exclusion (filters, format, append mode) is part of the Encoder.
type Encoder interface {
	// Entry appends the payload of e's frame to dst; ok is false when e is not meant for this encoder's subscribers.
	Entry(dst []byte, e Delivery) (payload []byte, ok bool)
	// State reports whether Entry needs Delivery.State for entries of kind k.
	State(k stream.Kind) bool
	// Position appends the frame that tells a filtered subscriber how far the log has moved; nil when the face has none.
	Position(dst []byte, ref stream.Ref, id stream.ID, serial uint64) []byte
	// Binary says which kind of WebSocket message the payloads are.
	Binary() bool
	// Whole reports that frames carry whole payloads, so that of consecutive appends to one message in a page of a
	// replay only the last is sent.
	Whole() bool
}

// Delivery is one entry on its way to subscribers.
type Delivery struct {
	Ref    stream.Ref
	Stream stream.ID
	Entry  *stream.Entry // Serial 0: ephemeral
	// State is the message after the entry, nil unless the encoder asked for it.
	State *message.State
	// Rewound marks a row of a rewind: Entry is the row's entry and State its visible version at the attach serial.
	Rewound bool
}

// Start says where a follower begins.
type Start struct {
	// Resume asks for a replay after Cursor; without it the follower starts at the head.
	Resume   bool
	Cursor   stream.Cursor
	Limits   stream.Window // of the replay
	Unlogged bool          // the channel keeps no log: nothing can be resumed
	// RewindCount or RewindMS ask for history rows before the start. See Rewound.
	RewindCount uint64
	RewindMS    int64
}

// Tag is the machine's own number for a subscription; the driver hands it back.
type Tag uint32

// Input is something that happened to the connection.
type Input interface{ input() }

// Effect is something that the machine wants done.
type Effect interface{ effect() }

// Inputs.
type (
	// Opened is the first input of every connection.
	Opened struct {
		ID     string // the connection's own id: socket_id, connId, session_id
		Remote string // client address, for messages and limits
	}
	// Frame is one message from the client. Data is valid only during Step.
	Frame struct {
		Binary bool
		Data   []byte
	}
	// Followed answers Follow and Refollow. With Err nil and Reason Proven the follower is held at Replay.From.
	// With another Reason the follower is held at Bounds.Head. With Err no follower exists: Unavailable is the
	// store's, anything else forbids the channel.
	Followed struct {
		Tag     Tag
		Bounds  stream.Bounds
		Replay  stream.Replay
		Reason  stream.Reason
		Rewound Rewound
		// Dirty answers a Refollow that came too late: something live was sent since the subscription was released.
		// The follower goes on as it was.
		Dirty bool
		Err   error
	}
	// ReplayEnded says that everything up to the attach serial was queued; the follower is held there.
	ReplayEnded struct {
		Tag    Tag
		Serial uint64 // the attach serial
		Stream stream.ID
		Sent   uint64 // entries queued by the replay, not counting rewound rows
		Rows   uint64 // rewound rows queued
		// Last is the frame id of the last entry that was replayed; empty if none was.
		Last string
	}
	// Lost says that the subscription lost its continuity. It is held at Bounds.Head of the present incarnation.
	// StoreUnavailable says that the log cannot be read now: the follower is gone, cursors are to be kept.
	Lost struct {
		Tag       Tag
		Reason    stream.Reason
		Bounds    stream.Bounds
		Replaying bool // the loss was found before the replay had ended
	}
	// Published answers Publish: one result per op, in order.
	Published struct {
		Tag     Tag
		Results []stream.Result
		Err     error
	}
	// Woken says that the time asked for by Wake has come.
	Woken struct{}
	// Idle says that the client sent nothing for the idle time; the machine may ask for a sign of life or close.
	Idle struct{ For int64 } // ms since the last frame from the client
	// Draining says that the server is stopping; AfterMS is this connection's share of the drain time.
	Draining struct{ AfterMS int64 }
	// Terminate is a server-side order to end the connection, in the face's own words.
	Terminate struct{ Cause Cause }
	// Closed is the last input of every connection. Clean: the client sent a close frame.
	Closed struct{ Clean bool }
)

// Cause says why the server ends a connection.
type Cause uint8

// The causes of Terminate.
const (
	ByApp         Cause = iota + 1 // the application terminated the user's connections
	Reconnect                      // the application or the server asks for a reconnect
	Overloaded                     // control frames found no room, or the node is at its limit
	Stalled                        // the socket took nothing for the write timeout
	Silent                         // no pong in time
	Stopping                       // the drain time is over
	KeyRevoked                     // the credential was revoked
	Replaced                       // a newer session took over
	FrameTooLarge                  // the client sent more than a frame may hold
	ServerError                    // a fault of the server
)

// Rewound describes what a rewind found, decided together with the start.
type Rewound struct {
	Rows      uint64 // rows that will be sent before the replay
	Truncated bool   // the requested start precedes retained data
	Limited   bool   // more was asked for than the limit allows
}

// Effects.
type (
	// Send queues a frame of the machine's own, in order with the entries that are delivered.
	Send struct {
		Payload []byte
		Binary  bool
	}
	// Follow starts a subscription, answered by Followed. The follower is held: nothing is sent until Release.
	Follow struct {
		Tag     Tag
		Ref     stream.Ref
		Start   Start
		Encoder Encoder
	}
	// Refollow moves a subscription that was sent nothing since its release back to a cursor, answered by Followed.
	Refollow struct {
		Tag   Tag
		Start Start
	}
	// Release lets a held follower go on: through its replay, then (after another Release) live.
	Release struct{ Tag Tag }
	// Place sends the encoder's position frame with the place where the follower stands at that moment: whoever refuses a
	// client's position owes it another.
	Place struct{ Tag Tag }
	// Unfollow ends a subscription at once.
	Unfollow struct{ Tag Tag }
	// Publish appends on behalf of the client, answered by Published. Publishes of one connection keep their order.
	Publish struct {
		Tag Tag
		Ops []stream.Op
	}
	// Ephemeral delivers an entry that is not logged to live followers of Ref.
	Ephemeral struct {
		Ref   stream.Ref
		Entry stream.Entry
	}
	// Wake asks for a Woken at a time (unix ms). A later Wake replaces it; 0 cancels.
	Wake struct{ At int64 }
	// Ping asks the transport for a WebSocket ping.
	Ping struct{}
	// Identify says who the client is, for terminate, counts and messages to users. Capable tells what the client may
	// do on a channel through others (message_update_own and the like); any goroutine may call it. nil: everything.
	Identify struct {
		User    string
		Capable func(capability, channel string) bool
	}
	// Close sends a close frame after everything queued and ends the connection.
	Close struct {
		Code   uint16
		Reason string
	}
)

func (Opened) input()      {}
func (Frame) input()       {}
func (Followed) input()    {}
func (ReplayEnded) input() {}
func (Lost) input()        {}
func (Published) input()   {}
func (Woken) input()       {}
func (Idle) input()        {}
func (Draining) input()    {}
func (Terminate) input()   {}
func (Closed) input()      {}

func (Send) effect()      {}
func (Follow) effect()    {}
func (Refollow) effect()  {}
func (Release) effect()   {}
func (Place) effect()     {}
func (Unfollow) effect()  {}
func (Publish) effect()   {}
func (Ephemeral) effect() {}
func (Wake) effect()      {}
func (Ping) effect()      {}
func (Identify) effect()  {}
func (Close) effect()     {}
