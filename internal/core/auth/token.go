package auth

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// maxTokenRules bounds the patterns of a token: each is tried on every check.
const maxTokenRules = 100

// Claims is what a token says, after its signature and its times were checked.
type Claims struct {
	App     string
	Key     string // the key id of the header, if any
	Subject string
	Expires time.Time
	Info    string // JSON, shown in presence; empty if absent
	Rooms   []RoomClaim
}

// RoomClaim is one item of the claim rooms.
type RoomClaim struct {
	Pattern string
	Can     []string
}

// TokenVerifier checks the signature and the times of a raw token, and gives its claims. Calls may overlap. Its errors
// are faults: AuthFailed for the token's faults (wrapping ErrExpired where that is the cause), Unavailable when the keys
// could not be had.
type TokenVerifier interface {
	Verify(raw string, now time.Time) (Claims, error)
}

// VerifyToken proves a token of the rooms face.
func VerifyToken(raw string, v TokenVerifier, now time.Time) (Grant, error) {
	c, err := v.Verify(raw, now)
	if err != nil {
		return Grant{}, err
	}
	switch {
	case c.App == "":
		return Grant{}, fault.New(fault.AuthFailed, "the token names no app: the claim app is missing").In("app")
	case c.Subject == "":
		return Grant{}, fault.New(fault.AuthFailed, "the token speaks for nobody: the claim sub is missing").In("sub")
	case c.Expires.IsZero():
		return Grant{}, fault.New(fault.AuthFailed, "the token never expires: the claim exp is missing").In("exp")
	case len(c.Rooms) > maxTokenRules:
		return Grant{}, fault.New(fault.AuthFailed, "the token has %d room patterns, more than the %d allowed", len(c.Rooms), maxTokenRules).In("rooms")
	}
	g := Grant{kind: Token, app: c.App, key: c.Key, subject: c.Subject, data: c.Info, expires: c.Expires}
	for i, room := range c.Rooms {
		p, err := channel.ParsePattern(room.Pattern)
		if err != nil {
			return Grant{}, fault.New(fault.AuthFailed, "the token's claim rooms[%d] is wrong: %w", i, err).In("rooms")
		}
		can, err := ParseRights(room.Can)
		if err != nil {
			return Grant{}, fault.New(fault.AuthFailed, "the token's claim rooms[%d] is wrong: %w", i, err).In("rooms")
		}
		g.rules = append(g.rules, Rule{Pattern: p, Can: can})
	}
	return g, nil
}
