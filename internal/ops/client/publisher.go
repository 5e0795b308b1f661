// Package client talks to a running server for the command line: it publishes over HTTP and follows over WebSocket,
// through restarts of the server.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Server is where a running server is and who calls.
type Server struct {
	URL    string // http://HOST:PORT, or https://
	App    string
	Key    string
	Secret string
}

// Message is one publish.
type Message struct {
	Name    string          `json:"name"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
	Key     string          `json:"key,omitempty"`
	Tags    json.RawMessage `json:"tags,omitempty"`
	Extras  json.RawMessage `json:"extras,omitempty"`
	// Idempotency makes retries safe: the same key is appended once.
	Idempotency string `json:"idempotency_key,omitempty"`
	Info        string `json:"info,omitempty"`
}

// Position says where a published message is.
type Position struct {
	Stream  string `json:"stream_id"`
	Serial  uint64 `json:"serial"`
	EntryID string `json:"entry_id"`
}

// Error is an answer of the server that a retry will not change.
type Error struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Msg    string `json:"error"`
}

func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("the server answered %d: %s", e.Status, e.Msg)
	}
	return fmt.Sprintf("%s (%s, HTTP %d)", e.Msg, e.Code, e.Status)
}

// Publisher publishes and retries until the outcome is known. Safe for concurrent use.
type Publisher struct {
	Server Server
	HTTP   *http.Client // nil: http.DefaultClient
	// Waiting is told before each retry; nil: nobody.
	Waiting func(err error, delay time.Duration)
}

// Publish appends messages in order, in one request, and returns where they are. Every message should have an
// idempotency key: the request is repeated while the server cannot be reached, is restarting or does not know the
// outcome, until ctx ends.
func (p *Publisher) Publish(ctx context.Context, ms ...Message) ([]Position, error) {
	for i := range ms {
		ms[i].Info = "position"
	}
	body, err := json.Marshal(map[string]any{"batch": ms})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Batch []Position `json:"batch"`
	}
	if err := p.again(ctx, func() error { return p.call(ctx, http.MethodPost, "batch_events", body, &answer) }); err != nil {
		return nil, err
	}
	if len(answer.Batch) != len(ms) {
		return nil, fmt.Errorf("the server answered %d positions for %d messages", len(answer.Batch), len(ms))
	}
	return answer.Batch, nil
}

// again repeats a call while its outcome is not known.
func (p *Publisher) again(ctx context.Context, call func() error) error {
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, 2*time.Second) {
		err := call()
		var final *Error
		if err == nil || errors.As(err, &final) && final.Status < 500 && final.Status != http.StatusTooManyRequests || ctx.Err() != nil {
			return err
		}
		if p.Waiting != nil {
			p.Waiting(err, delay)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up: %w", err)
		case <-time.After(delay):
		}
	}
}

// call asks the server once. A nil answer is not read.
func (p *Publisher) call(ctx context.Context, method, call string, body []byte, answer any) error {
	target := strings.TrimRight(p.Server.URL, "/") + "/apps/" + url.PathEscape(p.Server.App) + "/" + call
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return &Error{Status: 400, Msg: err.Error()}
	}
	req.Header.Set("Authorization", "Bearer "+p.Server.Key+":"+p.Server.Secret)
	req.Header.Set("Content-Type", "application/json")
	client := p.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		e := &Error{Status: res.StatusCode, Msg: strconv.Quote(string(text[:min(len(text), 200)]))}
		_ = json.Unmarshal(text, e)
		e.Status = res.StatusCode
		return e
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
