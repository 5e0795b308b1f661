package sdk

import (
	"testing"

	backends "github.com/continuo-rt/continuo/sdk/go/server"
)

// plainConfig is a server with one app, in which gaps in the brief rooms are soon too long; clients are told to come back soon.
const plainConfig = `
mode: development
drain: 200ms
rooms: {retry_base: 20ms, retry_max: 200ms}
apps:
  - id: app
    keys: [{key: key, secret: secret-of-the-sdk-tests}]
    limits: {snapshot_page: 10}
    channels:
      - {pattern: "brief*", mutable: true, recovery: {entries: 8}}
      - {pattern: "*", mutable: true}
`

// bearer is a token of a user with every right.
func bearer(t testing.TB, user string) string {
	t.Helper()
	app := backends.New("http://127.0.0.1:1", "app", "key", "secret-of-the-sdk-tests", backends.Options{})
	raw, err := app.MintToken(backends.Claims{Subject: user, Rooms: []backends.Grant{{Pattern: "*", Can: backends.Rights()}}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
