package sdk

import (
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/wire/token"
)

// plainConfig is a server with one app; clients are told to come back soon.
const plainConfig = `
mode: development
drain: 200ms
rooms: {retry_base: 20ms, retry_max: 200ms}
apps:
  - id: app
    keys: [{key: key, secret: secret-of-the-sdk-tests}]
    channels: [{pattern: "*", mutable: true}]
`

// bearer is a token of a user with every right.
func bearer(t testing.TB, user string) string {
	t.Helper()
	raw, err := token.Make(auth.Claims{App: "app", Subject: user, Expires: time.Now().Add(time.Hour),
		Rooms: []auth.RoomClaim{{Pattern: "*", Can: app.RoomRights()}}}, "secret-of-the-sdk-tests")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
