package token

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

func refuse(format string, args ...any) *fault.Error {
	return fault.New(fault.AuthFailed, format, args...).In("token")
}

// explain says what was wrong with a token. Only who could sign it learns more than that the signature is wrong: claims
// are looked at after the signature held.
func explain(err error, t *jwt.Token, c *claims, now time.Time) error {
	var own *fault.Error
	switch {
	case errors.As(err, &own): // from the search for keys
		return own
	case errors.Is(err, jwt.ErrTokenMalformed):
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return refuse("the token's claim %s has the wrong type: %s", wrong.Field, wrong.Value)
		}
		return refuse("the token is malformed: expected a JSON Web Token of three parts, header, claims and signature")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid) && t != nil && t.Method != nil && !allowed(t.Method.Alg()), errors.Is(err, jwt.ErrTokenUnverifiable):
		return refuse("the token's algorithm %s is not accepted; HS256, RS256, ES256 and EdDSA are", channel.Quote(algOf(t)))
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refuse("the token's signature is wrong for its app %s", channel.Quote(c.App))
	case errors.Is(err, jwt.ErrTokenExpired) && c.ExpiresAt != nil:
		return expired(c, now)
	case errors.Is(err, jwt.ErrTokenNotValidYet) && c.NotBefore != nil:
		return refuse("the token is not valid yet: its nbf is %d s ahead", int64(c.NotBefore.Sub(now)/time.Second))
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse("the token never expires: the claim exp is missing")
	}
	return refuse("the token's claims are not accepted: %w", err)
}

func expired(c *claims, now time.Time) error {
	return refuse("the token was refused: %w (%d s ago)", auth.ErrExpired, int64(now.Sub(c.ExpiresAt.Time)/time.Second))
}

func allowed(alg string) bool {
	for _, m := range methods {
		if m == alg {
			return true
		}
	}
	return false
}

func algOf(t *jwt.Token) string {
	if t == nil {
		return ""
	}
	alg, _ := t.Header["alg"].(string)
	return alg
}
