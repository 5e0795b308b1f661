// Package continuo is the client of Continuo's rooms: it connects, joins, sends, and hands over every message of a room
// once and in order, over as many connections as that takes.
//
//	client := continuo.New("http://127.0.0.1:6001", continuo.Options{Token: token})
//	client.Connect()
//	defer client.Close(ctx)
//	lobby := client.Room("lobby")
//	if err := lobby.Join(ctx, continuo.Join{}); err != nil {
//		return err
//	}
//	for event, err := range lobby.Events(ctx) {
//		…
//	}
//
// When a connection drops, the client comes back by itself and resumes each room where the application was: nothing is
// lost, nothing comes twice. Where the server cannot prove that, the state of the room is loaded and handed over as an
// event of kind "room.snapshot". MessageList and MemberList fold events into what is to be shown.
//
// All methods of Client and Room may be called by many goroutines at once. Package server is for backends.
package continuo

import (
	"github.com/continuo-rt/continuo/sdk/go/session"
	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// Event is what a room hands over: a message, a change of one, of the members, or a snapshot; its Kind says which.
type Event = wire.Frame

// State is how it is with the connection; session has the names of its states.
type State = session.State

// RoomState is how it is with a room; session has the names of its states.
type RoomState = session.RoomState

// Cursor is a position in a room's log: everything up to it was handled.
type Cursor = session.Cursor

// Rewind asks for the newest messages when a room is joined: so many, or those of so many seconds.
type Rewind = wire.Rewind
