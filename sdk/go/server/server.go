// Package server is Continuo for backends: it publishes, changes and reads messages over the HTTP API, and mints the
// tokens that clients connect with.
//
//	s := server.New("http://127.0.0.1:6001", "app-id", "app-key", "app-secret", server.Options{})
//	at, err := s.Publish(ctx, "lobby", server.Message{Name: "news", Data: map[string]string{"title": "Hello"}})
//
// Every write carries a key by which the server knows it again, and is repeated until its outcome is known: after errors
// of the network, and whatever the server says may be repeated. So it is there once.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	continuo "github.com/continuo-rt/continuo/sdk/go"
)

// Error is why a call failed: the code is that of the API's error, "outcome_unknown" if nobody can say whether a write
// happened, or "http_404" and the like when the answer is not Continuo's.
type Error = continuo.Error

// Options of a Server. The zero value works.
type Options struct {
	HTTP      *http.Client     // nil: one with a time limit of 10 s for each try
	Tries     int              // how often a call is tried; 0: 6 times
	RetryBase time.Duration    // the delay before try n+1 is drawn below RetryBase · 2ⁿ, and never more than 10 s; 0: 200 ms
	Random    func() float64   // of [0, 1); nil: math/rand
	Now       func() time.Time // nil: time.Now
}

// Server is a Continuo server, as the backend of an app sees it. Its methods may be called by many goroutines at once.
type Server struct {
	base, app, key, secret string
	o                      Options
}

// New makes a Server at base, an address as http://127.0.0.1:6001, for an app and one of its keys.
func New(base, app, key, secret string, o Options) *Server {
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	client := *o.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a signature holds for one address
	o.HTTP = &client
	if o.Tries == 0 {
		o.Tries = 6
	}
	if o.RetryBase == 0 {
		o.RetryBase = 200 * time.Millisecond
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{base: strings.TrimRight(base, "/"), app: app, key: key, secret: secret, o: o}
}

// Message is what is published.
type Message struct {
	Name           string `json:"name"`                      // of the event; "chat.message" is a plain one
	Data           any    `json:"data,omitempty"`            // a string is text, anything else JSON
	Key            string `json:"key,omitempty"`             // the message of that key is superseded
	SocketID       string `json:"socket_id,omitempty"`       // a connection that does not get it
	Ephemeral      bool   `json:"ephemeral,omitempty"`       // to whoever is there now; not kept, and not repeated
	IdempotencyKey string `json:"idempotency_key,omitempty"` // "": one is made
}

// BatchItem is a message and where it goes.
type BatchItem struct {
	Room string
	Message
}

// Position is where a message is. It is zero for what is ephemeral.
type Position struct {
	StreamID      string `json:"stream_id"`
	Serial        int64  `json:"serial"` // what rooms call event_id
	EntryID       string `json:"entry_id"`
	MessageSerial string `json:"message_serial"` // what rooms call message_id
	Version       int64  `json:"version"`
}

// event is a Message as the API takes it.
type event struct {
	Message
	Channel string `json:"channel"`
	Info    string `json:"info"`
}

func newEvent(room string, m Message) event {
	if m.IdempotencyKey == "" {
		m.IdempotencyKey = newKey()
	}
	return event{m, room, "position"}
}

// Publish publishes a message.
func (s *Server) Publish(ctx context.Context, room string, m Message) (Position, error) {
	var answer struct{ Channels map[string]Position }
	err := s.call(ctx, request{method: http.MethodPost, path: "/events", body: newEvent(room, m), once: m.Ephemeral}, &answer)
	return answer.Channels[room], err
}

// Put publishes the message of a key: it supersedes the one that was there.
func (s *Server) Put(ctx context.Context, room, key string, m Message) (Position, error) {
	m.Key = key
	return s.Publish(ctx, room, m)
}

// PublishBatch publishes several messages in one call. The positions are in the order of the items.
func (s *Server) PublishBatch(ctx context.Context, items []BatchItem) ([]Position, error) {
	batch := make([]event, len(items))
	once := false
	for i, item := range items {
		batch[i] = newEvent(item.Room, item.Message)
		once = once || item.Ephemeral
	}
	var answer struct{ Batch []Position }
	err := s.call(ctx, request{method: http.MethodPost, path: "/batch_events", body: map[string]any{"batch": batch}, once: once}, &answer)
	return answer.Batch, err
}

// What a Mutation does.
const (
	Update = "update" // Data replaces the message's
	Append = "append" // Data, a string, is added to the message's text
	Delete = "delete"
)

// Mutation is a change of a message.
type Mutation struct {
	Op        string `json:"-"`
	Data      any    `json:"data,omitempty"`
	IfVersion int64  `json:"if_version,omitempty"` // only if the message has this version; 0: whatever it has
	OpID      string `json:"op_id,omitempty"`      // by which the server knows the change again; "": one is made
}

// Mutated is what came of a mutation.
type Mutated struct {
	MessageSerial  string `json:"message_serial"`
	Version        int64  `json:"version"`
	VersionSerial  string `json:"version_serial"`
	HistorySerial  int64  `json:"history_serial"`
	DeliverySerial int64  `json:"delivery_serial"`
	Status         string `json:"status"` // "applied", or "duplicate": it was before
}

// Mutate changes a message. A conflict (the message has not the version IfVersion) is an *Error with the version that
// there is.
func (s *Server) Mutate(ctx context.Context, room, messageID string, m Mutation) (Mutated, error) {
	var answer Mutated
	if m.Op != Update && m.Op != Append && m.Op != Delete {
		return answer, errors.New("continuo: a mutation is an update, an append or a delete, not " + m.Op)
	}
	if m.OpID == "" {
		m.OpID = newKey()
	}
	err := s.call(ctx, request{method: http.MethodPost, path: channel(room) + "/messages/" + url.PathEscape(messageID) + "/" + m.Op, body: m}, &answer)
	return answer, err
}

// DeleteKey deletes the message of a key.
func (s *Server) DeleteKey(ctx context.Context, room, key string) (Mutated, error) {
	var answer Mutated
	err := s.call(ctx, request{method: http.MethodDelete, path: channel(room) + "/keys/" + url.PathEscape(key), query: url.Values{"op_id": {newKey()}}}, &answer)
	return answer, err
}

// HistoryPage is a page of what was published.
type HistoryPage struct {
	Items []struct {
		StreamID      string          `json:"stream_id"`
		Serial        int64           `json:"serial"`
		PublishedAtMS int64           `json:"published_at_ms"`
		EventName     string          `json:"event_name"`
		OperationKind string          `json:"operation_kind"`
		Message       json.RawMessage `json:"message"`
	} `json:"items"`
	Direction  string          `json:"direction"`
	HasMore    bool            `json:"has_more"`
	NextCursor string          `json:"next_cursor"`
	Continuity json.RawMessage `json:"continuity"`
}

// History reads a page of what was published. The query is that of the API: limit, direction, cursor, start_serial,
// end_serial, start_time_ms, end_time_ms, data.
func (s *Server) History(ctx context.Context, room string, query url.Values) (*HistoryPage, error) {
	answer := new(HistoryPage)
	return answer, s.call(ctx, request{method: http.MethodGet, path: channel(room) + "/history", query: query}, answer)
}

// SnapshotPage is a page of a room's state: one item for each key, and for each message without one.
type SnapshotPage struct {
	Channel  string `json:"channel"`
	StreamID string `json:"stream_id"`
	Serial   int64  `json:"serial"`
	EntryID  string `json:"entry_id"`
	Complete bool   `json:"complete"`
	Items    []struct {
		Key           string          `json:"key"`
		MessageSerial string          `json:"message_serial"`
		Version       int64           `json:"version"`
		Event         string          `json:"event"`
		Data          json.RawMessage `json:"data"`
		Serial        int64           `json:"serial"`
		HistorySerial int64           `json:"history_serial"`
		PublishedAtMS int64           `json:"published_at_ms"`
		UpdatedAtMS   int64           `json:"updated_at_ms"`
	} `json:"items"`
	HasMore    bool   `json:"has_more"`
	NextCursor string `json:"next_cursor"`
}

// Snapshot reads a page of a room's state. The query is that of the API: limit, cursor, prefix, at_serial or at_time_ms,
// data.
func (s *Server) Snapshot(ctx context.Context, room string, query url.Values) (*SnapshotPage, error) {
	answer := new(SnapshotPage)
	return answer, s.call(ctx, request{method: http.MethodGet, path: channel(room) + "/snapshot", query: query}, answer)
}

// Members lists the ids of who is in a room whose name begins with "presence-".
func (s *Server) Members(ctx context.Context, room string) ([]string, error) {
	var answer struct{ Users []struct{ ID string } }
	if err := s.call(ctx, request{method: http.MethodGet, path: channel(room) + "/users"}, &answer); err != nil {
		return nil, err
	}
	ids := make([]string, len(answer.Users))
	for i, u := range answer.Users {
		ids[i] = u.ID
	}
	return ids, nil
}

// PresencePage is a page of who came and went.
type PresencePage struct {
	Items []struct {
		StreamID      string `json:"stream_id"`
		Serial        int64  `json:"serial"`
		PublishedAtMS int64  `json:"published_at_ms"`
		Event         string `json:"event"`
		Cause         string `json:"cause"`
		UserID        string `json:"user_id"`
	} `json:"items"`
	HasMore    bool   `json:"has_more"`
	NextCursor string `json:"next_cursor"`
}

// PresenceHistory reads a page of who came and went. The query is that of History.
func (s *Server) PresenceHistory(ctx context.Context, room string, query url.Values) (*PresencePage, error) {
	answer := new(PresencePage)
	return answer, s.call(ctx, request{method: http.MethodGet, path: channel(room) + "/presence/history", query: query}, answer)
}

func channel(room string) string { return "/channels/" + url.PathEscape(room) }
