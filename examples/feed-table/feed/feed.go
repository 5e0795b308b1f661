// Package feed is a small client of the feed protocol: it logs in, presents its cursors when it comes back, and fetches
// snapshots when it must. It is written from spec/feed.md alone and knows nothing of the server.
package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// Frame is a data frame.
type Frame struct {
	Channel string          `json:"channel"`
	Type    string          `json:"type"` // UPDATE or DELETE
	Key     string          `json:"key"`
	Payload json.RawMessage `json:"payload"`
	TS      int64           `json:"ts"`
	EntryID string          `json:"entryId"`
}

// Serial is the second half of an entry id: contiguous within a channel.
func Serial(entryID string) uint64 {
	_, digits, _ := strings.Cut(entryID, "-")
	n, _ := strconv.ParseUint(digits, 10, 64)
	return n
}

// Item is a key of a snapshot.
type Item struct {
	Key     string          `json:"key"`
	EntryID string          `json:"entryId"`
	Payload json.RawMessage `json:"payload"`
}

// Handler is told what happens, by one goroutine.
type Handler interface {
	// Cursors are what the handler has processed: an epoch, and an entry id per channel. Empty: nothing yet.
	Cursors() (epoch string, lastSeenID map[string]string)
	// Snapshot replaces what the handler knows of a channel by its state at an entry id.
	Snapshot(channel, epoch, entryID string, items []Item)
	// Data is one data frame, later than the channel's cursor.
	Data(f *Frame)
	// Status says what the connection does, in a few words.
	Status(text string)
}

// Client follows channels. Set its fields, then Run it.
type Client struct {
	URL      string // http://HOST:PORT
	APIKey   string
	Channels []string
	Handler  Handler
	// ReadTimeout is how long the server may be silent: it pings every 20 s. 0 = 50 s.
	ReadTimeout time.Duration
}

// Fatal is an end that retrying does not change.
type Fatal struct{ Code, Message string }

func (e *Fatal) Error() string { return e.Code + ": " + e.Message }

// Run follows until ctx ends or the server says that coming back is no use. It reconnects with growing pauses.
func (c *Client) Run(ctx context.Context) error {
	pause := 100 * time.Millisecond
	for ctx.Err() == nil {
		began := time.Now()
		err := c.once(ctx)
		var fatal *Fatal
		if errors.As(err, &fatal) {
			return err
		}
		if time.Since(began) > 5*time.Second {
			pause = 100 * time.Millisecond
		}
		wait := pause/2 + rand.N(pause)
		c.Handler.Status(fmt.Sprintf("reconnecting in %v: %v", wait.Truncate(time.Millisecond), err))
		pause = min(2*pause, 5*time.Second)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// once is one connection, from the login to its end.
func (c *Client) once(ctx context.Context) error {
	if epoch, _ := c.Handler.Cursors(); epoch == "" {
		for _, channel := range c.Channels { // the first time: the state, and a position to go on from
			if err := c.snapshot(ctx, channel); err != nil {
				return err
			}
		}
	}
	d := ws.Dialer{Timeout: 5 * time.Second}
	nc, buffered, _, err := d.Dial(ctx, "ws"+strings.TrimPrefix(c.URL, "http")+"/feed")
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	epoch, cursors := c.Handler.Cursors()
	login, err := json.Marshal(map[string]any{"type": "login", "apiKey": c.APIKey, "channels": c.Channels, "clientName": "feed-table",
		"serverEpoch": epoch, "lastSeenId": cursors})
	if err != nil {
		return err
	}
	if err := ws.WriteFrame(nc, ws.MaskFrame(ws.NewTextFrame(login))); err != nil {
		return err
	}
	s := &socket{Conn: nc, in: nc}
	if buffered != nil {
		s.in = buffered
	}
	return c.read(ctx, s)
}

// control is every frame that is not data.
type control struct {
	Frame
	Reason   string            `json:"reason"`
	Error    string            `json:"error"`
	Message  string            `json:"message"`
	Channels []string          `json:"channels"`
	AfterMS  int64             `json:"afterMs"`
	Replayed map[string]uint64 `json:"replayed"`
}

func (c *Client) read(ctx context.Context, s *socket) error {
	timeout := c.ReadTimeout
	if timeout == 0 {
		timeout = 50 * time.Second
	}
	var leave time.Time // after a reconnect frame
	for {
		until := time.Now().Add(timeout)
		if !leave.IsZero() && leave.Before(until) {
			until = leave
		}
		_ = s.SetReadDeadline(until)
		text, err := s.message()
		if err != nil {
			if !leave.IsZero() && !time.Now().Before(leave) {
				return errors.New("the server asked for it")
			}
			return err
		}
		var f control
		if err := json.Unmarshal(text, &f); err != nil {
			return fmt.Errorf("a frame that is no JSON: %w", err)
		}
		switch f.Type {
		case "UPDATE", "DELETE":
			c.data(&f.Frame)
		case "login_ok":
			c.Handler.Status("live")
		case "snapshot_required", "resync_required":
			c.Handler.Status(f.Type + ": " + f.Reason)
			for _, channel := range f.Channels {
				if err := c.snapshot(ctx, channel); err != nil {
					return err
				}
			}
		case "resume_complete":
			c.Handler.Status(fmt.Sprintf("live; replayed %v", f.Replayed))
		case "reconnect":
			leave = time.Now().Add(time.Duration(f.AfterMS) * time.Millisecond)
			c.Handler.Status("the server is about to restart")
		case "error":
			if f.Error == "server_busy" || f.Error == "too_many_connections" { // back off
				return fmt.Errorf("%s: %s", f.Error, f.Message)
			}
			return &Fatal{f.Error, f.Message}
		}
	}
}

// data passes on what is later than the cursor: a snapshot may have overtaken frames that were on their way.
func (c *Client) data(f *Frame) {
	_, cursors := c.Handler.Cursors()
	if f.EntryID != "" && Serial(f.EntryID) <= Serial(cursors[f.Channel]) && overtaken(c.Handler, f) {
		return
	}
	c.Handler.Data(f)
}

// overtaken asks a handler that keeps account whether the newest thing it knows of a channel came from a snapshot.
func overtaken(h Handler, f *Frame) bool {
	o, ok := h.(interface {
		Overtaken(channel, entryID string) bool
	})
	return ok && o.Overtaken(f.Channel, f.EntryID)
}

// snapshot fetches all pages of a channel's state.
func (c *Client) snapshot(ctx context.Context, channel string) error {
	var items []Item
	for cursor := ""; ; {
		page := struct {
			ServerEpoch string `json:"serverEpoch"`
			EntryID     string `json:"entryId"`
			Items       []Item `json:"items"`
			HasMore     bool   `json:"has_more"`
			NextCursor  string `json:"next_cursor"`
		}{}
		target := c.URL + "/feed/snapshot/" + url.PathEscape(channel)
		if cursor != "" {
			target += "?cursor=" + url.QueryEscape(cursor)
		}
		if err := c.get(ctx, target, &page); err != nil {
			return fmt.Errorf("snapshot of %s: %w", channel, err)
		}
		items = append(items, page.Items...)
		if !page.HasMore {
			c.Handler.Snapshot(channel, page.ServerEpoch, page.EntryID, items)
			return nil
		}
		cursor = page.NextCursor
	}
}

func (c *Client) get(ctx context.Context, target string, to any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.APIKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		return &Fatal{res.Status, string(body)}
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", res.Status, body)
	}
	return json.Unmarshal(body, to)
}

// maxFrame is the largest frame that is read.
const maxFrame = 16 << 20

// socket reads messages and answers pings.
type socket struct {
	net.Conn
	in io.Reader
}

func (s *socket) message() ([]byte, error) {
	for {
		h, err := ws.ReadHeader(s.in)
		if err != nil {
			return nil, err
		}
		if h.Length > maxFrame {
			return nil, fmt.Errorf("a frame of %d bytes", h.Length)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(s.in, payload); err != nil {
			return nil, err
		}
		switch h.OpCode {
		case ws.OpPing:
			if err := ws.WriteFrame(s.Conn, ws.MaskFrame(ws.NewPongFrame(payload))); err != nil {
				return nil, err
			}
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			_ = ws.WriteFrame(s.Conn, ws.MaskFrame(ws.NewCloseFrame(payload)))
			if code == 4000 || code == 4001 {
				return nil, &Fatal{strconv.Itoa(int(code)), reason}
			}
			return nil, fmt.Errorf("closed with %d %s", code, reason)
		case ws.OpText:
			return payload, nil
		}
	}
}
