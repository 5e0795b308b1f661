package token

import (
	"encoding/json"

	"github.com/golang-jwt/jwt/v5"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Make signs claims with a secret of an app (HS256), for development tools and tests. c.Key, if set, becomes the
// header's kid.
func Make(c auth.Claims, secret string) (string, error) {
	if secret == "" {
		return "", fault.New(fault.Invalid, "a token cannot be signed with an empty secret")
	}
	if c.Info != "" && !json.Valid([]byte(c.Info)) {
		return "", fault.New(fault.Invalid, "the claim info is not JSON").In("info")
	}
	own := claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: c.Subject},
		App:              c.App,
		Info:             json.RawMessage(c.Info),
	}
	if !c.Expires.IsZero() {
		own.ExpiresAt = jwt.NewNumericDate(c.Expires)
	}
	for _, r := range c.Rooms {
		own.Rooms = append(own.Rooms, room{Pattern: r.Pattern, Can: r.Can})
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, &own)
	if c.Key != "" {
		t.Header["kid"] = c.Key
	}
	raw, err := t.SignedString([]byte(secret))
	if err != nil {
		return "", fault.New(fault.Invalid, "the token cannot be signed: %w", err)
	}
	return raw, nil
}
