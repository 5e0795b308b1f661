package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	continuo "github.com/continuo-rt/continuo/sdk/go"
	"github.com/continuo-rt/continuo/test/sdk/fault"
)

// client is one of a scene, and what was seen of it. The scene's board guards it.
type client struct {
	scene  *scene
	name   string
	proxy  *fault.Proxy
	client *continuo.Client
	states record
	rooms  map[string]*room
	tokens []any
	asked  int
}

// room is a client's, and what was handed over of it.
type room struct {
	of       *client
	room     *continuo.Room
	states   record
	handed   record // events that count: of messages and members
	messages continuo.MessageList
	members  continuo.MemberList
	taking   bool
	held     bool
}

// connect makes a client, or connects one again, and waits for the state that the step names.
func (s *scene) connect(c *client, st step) error {
	if c == nil {
		c = &client{scene: s, name: st.text("client"), rooms: map[string]*room{}, tokens: []any{map[string]any{}}}
		c.proxy = proxy(s.t, s.server.address, 1)
		if tokens, ok := st["tokens"].([]any); ok {
			c.tokens = tokens
		}
		s.clients[c.name] = c
		c.client = continuo.New("http://"+c.proxy.Addr(), continuo.Options{Token: c.token, Store: s.store(st.text("store")),
			OnState: func(now continuo.State) { s.board.do(func() { c.states.all = append(c.states.all, spell(now)) }) },
			OnRoomState: func(name string, now continuo.RoomState) {
				r := c.room(name)
				s.board.do(func() { r.states.all = append(r.states.all, spell(now)) })
			},
			OnError:   func(err error) { s.t.Logf("%s: %v", c.name, err) },
			OnWarning: func(message string) { s.t.Logf("%s: warning: %s", c.name, message) },
		})
		s.t.Cleanup(func() {
			now, cancel := context.WithCancel(context.Background())
			cancel()
			_ = c.client.Close(now)
		})
	}
	c.client.Connect()
	until := st["until"]
	if until == nil {
		until = map[string]any{"state": "connected"}
	}
	return s.find(&c.states, until)
}

func (c *client) close() error {
	ctx, cancel := context.WithTimeout(c.scene.t.Context(), patience)
	defer cancel()
	return c.client.Close(ctx)
}

// token is the next of the client's tokens.
func (c *client) token(context.Context) (raw string, err error) {
	c.scene.board.do(func() {
		c.asked++
		next, _ := c.tokens[0].(map[string]any)
		if len(c.tokens) > 1 {
			c.tokens = c.tokens[1:]
		}
		switch {
		case next["raw"] != nil:
			raw = next["raw"].(string)
		case next["throws"] != nil:
			err = errors.New("this callback fails")
		default:
			raw, err = c.scene.backend.mint(c.name, next)
			if next["fixed"] != nil {
				next["raw"] = raw
			}
		}
	})
	return raw, err
}

// room gives the room of a name, and keeps it.
func (c *client) room(name string) *room {
	var r *room
	c.scene.board.do(func() {
		if r = c.rooms[name]; r == nil {
			r = &room{of: c}
			c.rooms[name] = r
		}
	})
	return r
}

// join joins, and takes events from then on.
func (r *room) join(name string, options map[string]any) {
	ctx := r.of.scene.t.Context()
	join := continuo.Join{PresenceData: options["presence_data"]}
	join.Presence, _ = options["presence"].(string)
	for _, event := range list(options["events"]) {
		join.Events = append(join.Events, event.(string))
	}
	if rewind, ok := options["rewind"].(map[string]any); ok {
		join.Rewind = &continuo.Rewind{Count: step(rewind).number("count")}
	}
	r.room = r.of.client.Room(name)
	go func() {
		_ = r.room.Join(ctx, join) // a refusal is a state of the room, too
	}()
	r.of.scene.board.do(func() {
		if !r.taking {
			r.taking = true
			go r.take(ctx)
		}
	})
}

// take writes down what is handed over, one event at a time.
func (r *room) take(ctx context.Context) {
	board := r.of.scene.board
	for event, err := range r.room.Events(ctx) {
		if err != nil {
			board.do(func() { r.taking = false })
			return
		}
		board.do(func() {
			r.messages.Apply(event)
			r.members.Apply(event)
			if kind, _, _ := strings.Cut(event.Kind, "."); kind == "chat" || kind == "message" || kind == "presence" {
				r.handed.all = append(r.handed.all, plain(event))
			}
		})
		_ = board.until(ctx, func() error {
			if r.held {
				return errors.New("held")
			}
			return nil
		})
	}
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// shows holds the lists of a room to what a step says.
func (r *room) shows(st step) error {
	want := list(st["list"])
	got := list(plain(r.messages.All()))
	if st.text("do") == "members" {
		got = nil
		for _, m := range r.members.All() {
			got = append(got, m.UserID)
		}
		if r.members.Count() != int64(len(want)) {
			return fmt.Errorf("the count is %d", r.members.Count())
		}
	}
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		if object, is := got[i].(map[string]any); is {
			if _, text := want[i].(string); text {
				ok = object["text"] == want[i]
				continue
			}
		}
		ok = matches(got[i], want[i])
	}
	if !ok {
		return fmt.Errorf("the list is %s", shown(got))
	}
	return nil
}

// call asks the server for something by the library's call of that name.
func (r *room) call(ctx context.Context, st step) (any, error) {
	id, key, version := st.text("message_id"), st.text("idempotency_key"), int64(st.number("if_version"))
	text, payload := st.text("text"), st["payload"]
	switch st.text("do") {
	case "send":
		ephemeral, _ := st["ephemeral"].(bool)
		return r.room.Send(ctx, continuo.Send{Text: text, Payload: payload, Event: st.text("event"), Key: st.text("key"),
			IdempotencyKey: key, Ephemeral: ephemeral})
	case "edit":
		return r.room.Edit(ctx, id, continuo.Edit{Text: text, Payload: payload, IfVersion: version, IdempotencyKey: key})
	case "append":
		return r.room.Append(ctx, id, text)
	case "delete":
		return r.room.Delete(ctx, id, version)
	case "react":
		return r.room.React(ctx, id, st.text("name"))
	case "unreact":
		return r.room.Unreact(ctx, id, st.text("name"))
	case "history":
		return r.room.History(ctx, continuo.HistoryQuery{Limit: st.number("limit"), Before: whole(st["before"]), After: whole(st["after"]), Cursor: st.text("cursor")})
	case "presence":
		return r.room.Presence(ctx, continuo.PresenceQuery{AtPresenceID: whole(st["at_presence_id"]), AtMS: whole(st["at_ms"])})
	}
	return nil, fmt.Errorf("there is no step %q", st.text("do"))
}

func whole(v any) *int64 {
	if n, ok := v.(float64); ok {
		at := int64(n)
		return &at
	}
	return nil
}

// wireError is an error of the library as the scenario names its members.
func wireError(err error) any {
	var e *continuo.Error
	if errors.As(err, &e) {
		return spell(e)
	}
	return nil
}

// store is a cursor store that a scene can look into.
type store struct {
	board *board
	at    map[string]continuo.Cursor
}

func (s *scene) store(name string) continuo.Store {
	if name == "" {
		return nil
	}
	if s.stores[name] == nil {
		s.stores[name] = &store{board: s.board, at: map[string]continuo.Cursor{}}
	}
	return s.stores[name]
}

func (s *store) Load(_ context.Context, room string) (at continuo.Cursor, ok bool, err error) {
	s.board.do(func() { at, ok = s.at[room] })
	return at, ok, nil
}

func (s *store) Save(_ context.Context, room string, at continuo.Cursor) error {
	s.board.do(func() { s.at[room] = at })
	return nil
}

func (s *store) Delete(_ context.Context, room string) error {
	s.board.do(func() { delete(s.at, room) })
	return nil
}

func (s *scene) stored(st step) error {
	return s.board.until(s.t.Context(), func() error {
		if at := s.stores[st.text("store")].at[st.text("room")]; at.EventID != int64(st.number("event_id")) {
			return fmt.Errorf("the position is %v", at)
		}
		return nil
	})
}
