// Package server is Continuo for backends: it publishes, changes and reads messages over the HTTP API, and mints the
// tokens that clients connect with.
//
//	s := server.New("http://127.0.0.1:6001", "app-id", "app-key", "app-secret", server.Options{})
//	at, err := s.Publish(ctx, "lobby", server.Message{Event: "news", Data: map[string]string{"title": "Hello"}})
//
// Every write carries a key by which the server knows it again, and is repeated until its outcome is known: after errors
// of the network, HTTP 429 and 5xx. So it is there once.
package server

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	continuo "github.com/continuo-rt/continuo/sdk/go"
)

// Error is why a call failed: the code is that of the API's error, "outcome_unknown" if nobody can say whether a write
// happened, or "http_404" and the like when something else than Continuo has refused it.
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
	Event          string `json:"name"`                      // its name; "chat.message" is a plain one
	Data           any    `json:"data,omitempty"`            // a string is text, anything else JSON
	Key            string `json:"key,omitempty"`             // the message of that key is superseded
	SocketID       string `json:"socket_id,omitempty"`       // a connection that does not get it
	Ephemeral      bool   `json:"ephemeral,omitempty"`       // to whoever is there now; not kept, and not repeated
	IdempotencyKey string `json:"idempotency_key,omitempty"` // "": one is made, unless it is ephemeral
}

// BatchItem is a message and where it goes.
type BatchItem struct {
	Room string
	Message
}

// Published is where a message was written. It is zero for what is ephemeral.
type Published struct {
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
	if m.IdempotencyKey == "" && !m.Ephemeral {
		m.IdempotencyKey = newKey()
	}
	return event{m, room, "position"}
}

// Publish publishes a message.
func (s *Server) Publish(ctx context.Context, room string, m Message) (Published, error) {
	var answer struct{ Channels map[string]Published }
	err := s.call(ctx, request{method: http.MethodPost, path: "/events", body: newEvent(room, m), once: m.Ephemeral}, &answer)
	return answer.Channels[room], err
}

// Put publishes the message of a key: it supersedes the one that was there.
func (s *Server) Put(ctx context.Context, room, key string, m Message) (Published, error) {
	m.Key = key
	return s.Publish(ctx, room, m)
}

// PublishBatch publishes several messages in one call. What is answered is in the order of the items.
func (s *Server) PublishBatch(ctx context.Context, items []BatchItem) ([]Published, error) {
	batch := make([]event, len(items))
	once := false
	for i, item := range items {
		batch[i] = newEvent(item.Room, item.Message)
		once = once || item.Ephemeral
	}
	var answer struct{ Batch []Published }
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

// Condition says when a key is deleted. The zero value works.
type Condition struct {
	IfVersion int64  // only if the message of the key has this version; 0: whatever it has
	OpID      string // by which the server knows the change again; "": one is made
}

// DeleteKey deletes the message of a key. A conflict is an *Error with the version that there is.
func (s *Server) DeleteKey(ctx context.Context, room, key string, c Condition) (Mutated, error) {
	if c.OpID == "" {
		c.OpID = newKey()
	}
	query := url.Values{"op_id": {c.OpID}}
	number(query, "if_version", c.IfVersion)
	var answer Mutated
	err := s.call(ctx, request{method: http.MethodDelete, path: channel(room) + "/keys/" + url.PathEscape(key), query: query}, &answer)
	return answer, err
}

func channel(room string) string { return "/channels/" + url.PathEscape(room) }
