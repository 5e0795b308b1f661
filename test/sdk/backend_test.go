package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	backends "github.com/continuo-rt/continuo/sdk/go/server"
)

// backend is the server part of the library, as a scene's steps name its calls.
type backend struct {
	server *backends.Server
	post   func(ctx context.Context, path string, body any) error // without the library
	minted int
}

func newBackend(s *server, script *script) *backend {
	app := script.App
	return &backend{server: backends.New(s.url(), app.ID, app.Key, app.Secret, backends.Options{}),
		post: func(ctx context.Context, path string, body any) error {
			raw, err := json.Marshal(body)
			if err != nil {
				return err
			}
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url()+"/apps/"+app.ID+path, bytes.NewReader(raw))
			if err != nil {
				return err
			}
			request.Header.Set("Authorization", "Bearer "+app.Key+":"+app.Secret)
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", path, answer.Status)
			}
			return nil
		}}
}

// mint makes a token as a step describes it, for a user if it names none. Callers hold the scene's lock.
func (b *backend) mint(user string, is map[string]any) (string, error) {
	st := step(is)
	b.minted++
	claims := backends.Claims{Subject: user, TTL: time.Duration(3600+b.minted) * time.Second, Info: is["info"]}
	if n := st.number("ttl"); n > 0 {
		claims.TTL = time.Duration(n) * time.Second
	}
	if other := st.text("user"); other != "" {
		claims.Subject = other
	}
	grant := backends.Grant{Pattern: "*", Can: backends.Rights()}
	if pattern := st.text("rooms"); pattern != "" {
		grant.Pattern = pattern
	}
	if names := list(is["can"]); names != nil {
		grant.Can = nil
		for _, name := range names {
			grant.Can = append(grant.Can, name.(string))
		}
	}
	claims.Rooms = []backends.Grant{grant}
	return b.server.MintToken(claims)
}

// call does what a step asks of the server part.
func (b *backend) call(ctx context.Context, st step) (any, error) {
	room, message := st.text("room"), backends.Message{Event: st.text("event"), Data: st["data"]}
	switch st.text("do") {
	case "server_publish":
		return b.server.Publish(ctx, room, message)
	case "server_put":
		return b.server.Put(ctx, room, st.text("key"), message)
	case "server_batch":
		var items []backends.BatchItem
		for i := range st.number("count") {
			message.Data = strings.ReplaceAll(st.text("data"), "$i", strconv.Itoa(i+1))
			items = append(items, backends.BatchItem{Room: room, Message: message})
		}
		return b.server.PublishBatch(ctx, items)
	case "server_mutate":
		return b.server.Mutate(ctx, room, st.text("message_id"), backends.Mutation{Op: st.text("op"), Data: st["data"], IfVersion: int64(st.number("if_version"))})
	case "server_history":
		return b.server.History(ctx, room, backends.HistoryQuery{Limit: st.number("limit")})
	case "server_snapshot":
		return b.server.Snapshot(ctx, room, backends.SnapshotQuery{Limit: st.number("limit")})
	case "server_members":
		ids, err := b.server.Presence(ctx, room)
		users := []any{}
		for _, id := range ids {
			users = append(users, map[string]any{"id": id})
		}
		return map[string]any{"users": users}, err
	case "server_presence_history":
		return b.server.PresenceHistory(ctx, room, backends.HistoryQuery{Limit: st.number("limit")})
	case "server_post":
		return nil, b.post(ctx, st.text("path"), st["body"])
	}
	return nil, fmt.Errorf("there is no step %q", st.text("do"))
}
