package continuo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"

	"github.com/continuo-rt/continuo/sdk/go/session"
	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// Room is one room as this client sees it.
type Room struct {
	client *Client
	name   string
	state  value[RoomState]
	queue  queue

	// Guarded by the client's lock.
	position *Cursor            // that was stored last, or is about to be
	leaves   int                // counts calls of Leave
	loads    int                // counts snapshots
	stopLoad context.CancelFunc // of the one under way; nil: none is
}

func newRoom(c *Client, name string) *Room {
	return &Room{client: c, name: name, state: value[RoomState]{now: RoomState{State: session.RoomLeft}}}
}

// Name is the room's name.
func (r *Room) Name() string { return r.name }

// State is how it is with the room now.
func (r *Room) State() RoomState { return r.state.get() }

// States yields the state as it is and every state from then on, until ctx is done or the client closed.
func (r *Room) States(ctx context.Context) iter.Seq[RoomState] { return r.state.all(ctx) }

// Position is up to where the room's events were handled; false: nothing is known.
func (r *Room) Position() (Cursor, bool) {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	if r.position == nil {
		return Cursor{}, false
	}
	return *r.position, true
}

// push hands an item to the application. The client is locked.
func (r *Room) push(i item) { r.queue.push(i) }

// end is the end of the client.
func (r *Room) end() {
	r.queue.end()
	r.state.end()
}

// changed follows the session. The client is locked.
func (r *Room) changed(s RoomState) {
	switch s.State {
	case session.RoomLeft:
		r.queue.drop()
	case session.RoomRefused:
		r.queue.refuse(&Error{Code: s.Code, Message: s.Message})
	case session.RoomJoining:
		r.queue.refuse(nil)
	}
	if s.State != session.RoomSnapshot && s.State != session.RoomBehind {
		r.stopLoading()
	}
	r.state.set(s)
}

// Join is how a room is joined. The zero value joins from where this client was, or from now on.
type Join struct {
	Presence     string   // "enter": be a member; "watch": be told of members; "": neither
	PresenceData any      // what members are shown, if the token does not say it
	Events       []string // only messages with these event names; none: all
	Rewind       *Rewind  // where there is no position to resume from: the newest messages first
}

// Join joins the room, and joins it again on every connection until Leave. It resumes where this client's store says that
// it was. Join returns when the room is joined, with an *Error when the server refuses it, the room is left ("left") or the
// client stops (the State's Reason), or when ctx is done; then it goes on trying.
func (r *Room) Join(ctx context.Context, j Join) error {
	c := r.client
	in := session.Input{Do: session.JoinRoom, Room: r.name, Join: session.Join{Presence: j.Presence, Events: j.Events, Rewind: j.Rewind}}
	if j.PresenceData != nil {
		data, err := json.Marshal(j.PresenceData)
		if err != nil {
			return fmt.Errorf("continuo: presence data that is no JSON: %w", err)
		}
		in.Join.PresenceData = data
	}
	c.mu.Lock()
	leaves := r.leaves
	c.mu.Unlock()
	at, ok := r.Position()
	if !ok {
		var err error
		if at, ok, err = c.o.Store.Load(ctx, r.name); err != nil {
			c.report(fmt.Errorf("continuo: the position of %s was not loaded: %w", strconv.Quote(r.name), err))
			ok = false
		}
	}
	if ok {
		in.Join.Cursor = &at
	}
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return &Error{Code: "closed", Message: "the client is closed"}
	}
	if leaves != r.leaves {
		c.mu.Unlock()
		return errLeft
	}
	if ok && r.position == nil {
		r.position = &at
	}
	c.locked(in)
	c.mu.Unlock()
	return r.joined(ctx)
}

// joined waits until the room is joined or refused, or nothing more will come of it.
func (r *Room) joined(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan State, 1)
	go func() { // ends with ctx, that is with this call
		for s := range r.client.state.all(ctx) {
			if s.State == session.StateStopped || s.State == session.StateClosed {
				stopped <- s
				cancel()
			}
		}
	}()
	for s := range r.state.all(ctx) {
		switch s.State {
		case session.RoomRefused:
			return &Error{Code: s.Code, Message: s.Message}
		case session.RoomLive, session.RoomResuming, session.RoomSnapshot, session.RoomBehind:
			return nil
		case session.RoomLeft:
			return errLeft
		}
	}
	select {
	case s := <-stopped:
		return &Error{Code: cmp.Or(s.Reason, "closed"), Message: "the client is " + s.State}
	default:
	}
	if err := ctx.Err(); err != nil && r.client.ctx.Err() == nil {
		return err
	}
	return &Error{Code: "closed", Message: "the client is closed"}
}

// Leave leaves the room. What was handed over and not handled yet comes again if it is joined later.
func (r *Room) Leave() {
	c := r.client
	c.mu.Lock()
	defer c.mu.Unlock()
	r.leaves++
	c.locked(session.Input{Do: session.LeaveRoom, Room: r.name})
}

var errLeft = &Error{Code: "left", Message: "the room was left"}

// Send is a message to be sent. Payload is any value that encoding/json can encode, and wins over Text; a message with an
// Event may have neither.
type Send struct {
	Text           string
	Payload        any
	Event          string // the name of the event; "": a plain message
	Key            string // the message of that key is superseded
	IdempotencyKey string // "": one is made
	Ephemeral      bool   // to whoever is there now; it is not kept, and not sent later
}

// Edit is what a message is to be.
type Edit struct {
	Text           string
	Payload        any   // wins over Text
	IfVersion      int64 // only if the message has this version; 0: whatever it has
	IdempotencyKey string
}

// Accepted is where a message, or a change of one, is in the room's log.
type Accepted struct {
	EventID   int64  `json:"event_id,omitempty"`
	MessageID string `json:"message_id,omitempty"`
	Version   int64  `json:"version,omitempty"`
}

// Send sends a message and waits until the server has it on stable storage. It goes through lost connections, and the
// message is there once: it carries an idempotency key. If it fails with "outcome_unknown" it may be there or not.
func (r *Room) Send(ctx context.Context, s Send) (Accepted, error) {
	c := &wire.Command{Kind: wire.Send, Event: s.Event, Key: s.Key, IdempotencyKey: s.IdempotencyKey, Ephemeral: s.Ephemeral}
	if err := fill(c, s.Text, s.Payload); err != nil {
		return Accepted{}, err
	}
	return r.write(ctx, c)
}

// Edit replaces what a message says.
func (r *Room) Edit(ctx context.Context, messageID string, e Edit) (Accepted, error) {
	c := &wire.Command{Kind: wire.Update, MessageID: messageID, IdempotencyKey: e.IdempotencyKey, IfVersion: given(e.IfVersion)}
	if err := fill(c, e.Text, e.Payload); err != nil {
		return Accepted{}, err
	}
	return r.write(ctx, c)
}

// Append adds to the text of a message.
func (r *Room) Append(ctx context.Context, messageID, text string) (Accepted, error) {
	return r.write(ctx, &wire.Command{Kind: wire.Append, MessageID: messageID, Text: &text})
}

// Delete deletes a message; with a version above 0 only if it has that one.
func (r *Room) Delete(ctx context.Context, messageID string, ifVersion int64) (Accepted, error) {
	return r.write(ctx, &wire.Command{Kind: wire.Delete, MessageID: messageID, IfVersion: given(ifVersion)})
}

// React adds the user's reaction of that name to a message.
func (r *Room) React(ctx context.Context, messageID, name string) (Accepted, error) {
	return r.write(ctx, &wire.Command{Kind: wire.React, MessageID: messageID, Name: name})
}

// Unreact takes it away.
func (r *Room) Unreact(ctx context.Context, messageID, name string) (Accepted, error) {
	return r.write(ctx, &wire.Command{Kind: wire.Unreact, MessageID: messageID, Name: name})
}

func (r *Room) write(ctx context.Context, c *wire.Command) (Accepted, error) {
	if c.IdempotencyKey == "" && !c.Ephemeral {
		c.IdempotencyKey = newKey()
	}
	e, err := r.ask(ctx, c, !c.Ephemeral)
	if err != nil {
		return Accepted{}, err
	}
	return Accepted{EventID: e.EventID, MessageID: e.MessageID, Version: e.Version}, nil
}

func (r *Room) ask(ctx context.Context, c *wire.Command, again bool) (*Event, error) {
	c.RoomID = r.name
	return r.client.ask(ctx, c, again)
}

// HistoryQuery says which messages are wanted: the newest without Before and After, which are event ids, exclusive.
type HistoryQuery struct {
	Limit  int
	Before *int64
	After  *int64 // oldest first
	Cursor string // NextCursor of the page before
}

// History reads a page of messages as they are visible now. Its Items are in the order of the query; MessageList.Apply
// takes it.
func (r *Room) History(ctx context.Context, q HistoryQuery) (*Event, error) {
	return r.ask(ctx, &wire.Command{Kind: wire.ClientHistory, Limit: q.Limit, Before: q.Before, After: q.After, Cursor: q.Cursor}, true)
}

// PresenceQuery says of which moment the members are wanted; the zero value: now.
type PresenceQuery struct {
	AtPresenceID *int64
	AtMS         *int64
}

// Presence reads who is in the room, or who was.
func (r *Room) Presence(ctx context.Context, q PresenceQuery) (*Event, error) {
	return r.ask(ctx, &wire.Command{Kind: wire.ClientPresence, AtPresenceID: q.AtPresenceID, AtMS: q.AtMS}, true)
}
