// Package rooms holds whole servers to what clients of the rooms protocol are promised, through connections that fail in
// every way that connections do.
package rooms

import (
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/ops/server"
	"github.com/continuo-rt/continuo/internal/wire/token"
	"github.com/continuo-rt/continuo/test/local"
)

// configuration has small buffers, so that followers fall behind, and a room whose log is short.
const configuration = `
mode: production
listen: 127.0.0.1:0
drain: 200ms
websocket: {outbox: 16KiB}
hot: {entries: 64}
apps:
  - id: app
    keys: [{key: key, secret: secret-of-the-rooms-test}]
    channels:
      - pattern: "brief*"
        retention: {age: 24h, entries: 64, bytes: 1GiB}
      - pattern: "*"
        mutable: true
        retention: {age: 24h, entries: 10000000, bytes: 1GiB}
`

// start runs a whole server in this process until the test ends and returns its address.
func start(t testing.TB, engine string) (address string) {
	t.Helper()
	return serve(t, engine).Addr().String()
}

func serve(t testing.TB, engine string) *server.Server {
	t.Helper()
	return local.Serve(t, configuration, "CONTINUO_STORE="+engine)
}

// bearer is a token of a user with every right.
func bearer(t testing.TB, user string) string {
	t.Helper()
	raw, err := token.Make(auth.Claims{App: "app", Subject: user, Expires: time.Now().Add(time.Hour),
		Rooms: []auth.RoomClaim{{Pattern: "*", Can: app.RoomRights()}}}, "secret-of-the-rooms-test")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
