package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/wire/token"
)

// backend is the server part of the library, as a scene's steps name its calls.
type backend struct {
	server *server
	app    struct{ ID, Key, Secret string }
	minted int
}

// mint makes a token as a step describes it, for a user if it names none. Callers hold the scene's lock.
func (b *backend) mint(user string, is map[string]any) (string, error) {
	st := step(is)
	b.minted++
	ttl, can := time.Duration(3600+b.minted)*time.Second, app.RoomRights()
	if n := st.number("ttl"); n > 0 {
		ttl = time.Duration(n) * time.Second
	}
	if names := list(is["can"]); names != nil {
		can = nil
		for _, name := range names {
			can = append(can, name.(string))
		}
	}
	pattern := "*"
	if rooms := st.text("rooms"); rooms != "" {
		pattern = rooms
	}
	if other := st.text("user"); other != "" {
		user = other
	}
	var info []byte
	if is["info"] != nil {
		info, _ = json.Marshal(is["info"])
	}
	return token.Make(auth.Claims{App: b.app.ID, Subject: user, Expires: time.Now().Add(ttl), Info: string(info),
		Rooms: []auth.RoomClaim{{Pattern: pattern, Can: can}}}, b.app.Secret)
}

// call does what a step asks of the server part.
func (b *backend) call(ctx context.Context, st step) (any, error) {
	channel := "/channels/" + url.PathEscape(st.text("room"))
	publish := map[string]any{"name": st["event"], "channel": st["room"], "data": st["data"], "key": st["key"], "info": "position"}
	switch st.text("do") {
	case "server_publish", "server_put":
		if publish["key"] == nil {
			delete(publish, "key")
		}
		got, err := b.http(ctx, http.MethodPost, "/events", publish)
		if err != nil {
			return nil, err
		}
		return got["channels"].(map[string]any)[st.text("room")], nil
	case "server_batch":
		var batch []any
		for i := range st.number("count") {
			batch = append(batch, map[string]any{"name": st["event"], "channel": st["room"],
				"data": strings.ReplaceAll(st.text("data"), "$i", strconv.Itoa(i+1))})
		}
		return b.http(ctx, http.MethodPost, "/batch_events", map[string]any{"batch": batch})
	case "server_mutate":
		body := st.rest("do", "room", "op", "message_id", "save", "expect", "error")
		return b.http(ctx, http.MethodPost, channel+"/messages/"+st.text("message_id")+"/"+st.text("op"), body)
	case "server_history":
		return b.http(ctx, http.MethodGet, fmt.Sprintf("%s/history?limit=%d", channel, max(1, st.number("limit"))), nil)
	case "server_snapshot":
		return b.http(ctx, http.MethodGet, channel+"/snapshot", nil)
	case "server_members":
		return b.http(ctx, http.MethodGet, channel+"/users", nil)
	case "server_presence_history":
		return b.http(ctx, http.MethodGet, channel+"/presence/history", nil)
	case "server_post":
		return b.http(ctx, http.MethodPost, st.text("path"), st["body"])
	}
	return nil, fmt.Errorf("there is no step %q", st.text("do"))
}

func (b *backend) http(ctx context.Context, method, path string, body any) (map[string]any, error) {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, b.server.url()+"/apps/"+b.app.ID+path, content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+b.app.Key+":"+b.app.Secret)
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var got map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		return nil, fmt.Errorf("%s: %d %v: %w", path, answer.StatusCode, got["error"], code(fmt.Sprint(got["code"])))
	}
	return got, nil
}

// code is an error of the HTTP API.
type code string

// Error implements error.
func (c code) Error() string { return string(c) }
