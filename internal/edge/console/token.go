package console

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/wire/rooms"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
	"github.com/continuo-rt/continuo/internal/wire/token"
)

// TokenPath is where development mode makes tokens of the rooms protocol.
const TokenPath = "/dev/token"

const (
	usualTTL   = 3600      // seconds
	longestTTL = 24 * 3600 // seconds
)

// Tokens makes tokens of the rooms protocol for anybody, as an application's backend would for its users: never serve it
// outside development mode.
type Tokens struct {
	// App gives the app whose first key signs.
	App func() *app.App
	// Now is the time in unix milliseconds.
	Now func() int64
}

// wish is what a token is asked to say.
type wish struct {
	User  string          `json:"user"`
	TTL   *int            `json:"ttl_seconds"`
	Info  json.RawMessage `json:"info"`
	Rooms []struct {
		Pattern string   `json:"pattern"`
		Can     []string `json:"can"`
	} `json:"rooms"`
}

// ServeHTTP implements http.Handler.
func (t *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "*")
	switch r.Method {
	case http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodPost:
	default:
		h.Set("Allow", "POST, OPTIONS")
		h.Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusMethodNotAllowed)
		_, _ = w.Write(serverapi.AppendMethodError(nil, r.Method, "POST, OPTIONS"))
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	made, expires, err := t.make(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		f := fault.Of(err)
		w.WriteHeader(serverapi.Status(f.Kind))
		_, _ = w.Write(serverapi.AppendError(nil, f))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"token": made, "expires_at": expires.UnixMilli()})
}

// make signs what is asked for.
func (t *Tokens) make(body io.Reader) (string, time.Time, error) {
	var asked wish
	if err := json.NewDecoder(body).Decode(&asked); err != nil {
		return "", time.Time{}, fault.New(fault.Invalid, `send a JSON object such as {"user":"ann","ttl_seconds":60}: %v`, err)
	}
	if asked.User == "" || rooms.CheckUser(asked.User) != nil {
		return "", time.Time{}, fault.New(fault.Invalid, "a user has 1 to %d bytes, none of them zero", rooms.MaxUser).In("user")
	}
	ttl := usualTTL
	if asked.TTL != nil {
		ttl = *asked.TTL
	}
	if ttl < 1 || ttl > longestTTL {
		return "", time.Time{}, fault.New(fault.Invalid, "a token lasts from 1 to %d seconds", longestTTL).In("ttl_seconds")
	}
	a := t.App()
	c := auth.Claims{App: a.ID, Subject: asked.User, Info: string(asked.Info)}
	secret := ""
	for _, k := range a.Keys {
		if k.Enabled {
			c.Key, secret = k.Key, k.Secret
			break
		}
	}
	if secret == "" {
		return "", time.Time{}, a.Usable(app.Key{})
	}
	for _, room := range asked.Rooms {
		if _, err := auth.ParseRights(room.Can); err != nil {
			return "", time.Time{}, err
		}
		c.Rooms = append(c.Rooms, auth.RoomClaim{Pattern: room.Pattern, Can: room.Can})
	}
	if asked.Rooms == nil {
		c.Rooms = []auth.RoomClaim{{Pattern: "*", Can: app.RoomRights()}}
	}
	// Tokens count whole seconds: what is left of this one is given, so that it lasts as long as was asked for.
	c.Expires = time.UnixMilli(t.Now() + 999).Add(time.Duration(ttl) * time.Second).Truncate(time.Second)
	made, err := token.Make(c, secret)
	return made, c.Expires, err
}
