// Package token reads JSON Web Tokens: bytes and keys in, claims out once signature and times were checked.
package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

const (
	// MaxBytes is the longest token that is looked at.
	MaxBytes = 8 << 10
	// Leeway is how far ahead of the server's clock the issuer's may be: a token may be used that early before its nbf.
	// Its exp is exact, so that a session never begins with a token that has to end it at once.
	Leeway = 30 * time.Second
	// maxTime is the last second of the year 9999; later times would overflow somewhere.
	maxTime = 253402300799
	// minRSABits is the smallest RSA key that is trusted.
	minRSABits = 2048
)

// Header is what a token says about its key before anything is proven.
type Header struct {
	Alg string // RS256, ES256 or EdDSA
	Kid string // may be empty
}

// Source is where the keys of one app's tokens come from.
type Source struct {
	// Secrets are the app's key secrets for HS256, by key id. A token that names a key id is checked with that one
	// alone, any other with each.
	Secrets map[string]string
	// Keys finds public keys for the other algorithms; nil: there are none. It may block, calls may overlap. An error
	// that is no fault is taken as "cannot be had now".
	Keys func(Header) ([]crypto.PublicKey, error)
	// Issuer and Audience, where not empty, must stand in tokens that a public key verifies.
	Issuer, Audience string
}

// Verifier checks tokens against the sources of the apps that they name. It is an auth.TokenVerifier.
type Verifier struct {
	// Source gives the keys of an app. Calls may overlap.
	Source func(app string) (Source, bool)
}

var _ auth.TokenVerifier = Verifier{}

type claims struct {
	jwt.RegisteredClaims
	App   string          `json:"app"`
	Info  json.RawMessage `json:"info,omitempty"`
	Rooms []room          `json:"rooms,omitempty"`
}

type room struct {
	Pattern string   `json:"pattern"`
	Can     []string `json:"can"`
}

// methods is every algorithm that is ever accepted. HMAC goes with app secrets alone and the rest with public keys
// alone, so that no public key can be mistaken for a secret.
var methods = []string{"HS256", "RS256", "ES256", "EdDSA"}

// Verify checks size, form, algorithm, signature and times of a token, in this order, and gives its claims.
func (v Verifier) Verify(raw string, now time.Time) (auth.Claims, error) {
	switch {
	case raw == "":
		return auth.Claims{}, refuse("the token is missing")
	case len(raw) > MaxBytes:
		return auth.Claims{}, refuse("the token has %d bytes, more than the %d allowed", len(raw), MaxBytes)
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithLeeway(Leeway),
		jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithStrictDecoding(),
	)
	var c claims
	var src Source
	t, err := parser.ParseWithClaims(raw, &c, func(t *jwt.Token) (any, error) {
		var err error
		if src, err = v.source(c.App); err != nil {
			return nil, err
		}
		return src.keys(t)
	})
	if err != nil {
		return auth.Claims{}, explain(err, t, &c, now)
	}
	if err := src.check(t, &c); err != nil {
		return auth.Claims{}, err
	}
	if at := c.ExpiresAt.Unix(); at < 0 || at > maxTime {
		return auth.Claims{}, refuse("the token's exp lies outside the years 1970 to 9999")
	}
	if !now.Before(c.ExpiresAt.Time) {
		return auth.Claims{}, expired(&c, now)
	}
	return c.values(t)
}

func (v Verifier) source(app string) (Source, error) {
	if app == "" {
		return Source{}, refuse("the token names no app: the claim app is missing")
	}
	src, ok := v.Source(app)
	if !ok {
		return Source{}, refuse("the token names the app %s, which is not known", channel.Quote(app))
	}
	return src, nil
}

// keys gives what may verify t: by the algorithm's family, never by what the key happens to be.
func (s Source) keys(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, refuse("the token's header has critical extensions, which are not understood")
	}
	kid, err := kidOf(t)
	if err != nil {
		return nil, err
	}
	if t.Method.Alg() == "HS256" {
		return s.secrets(kid)
	}
	if s.Keys == nil {
		return nil, refuse("the token is signed with %s, for which this app has no public keys", t.Method.Alg())
	}
	found, err := s.Keys(Header{Alg: t.Method.Alg(), Kid: kid})
	if err != nil {
		var f *fault.Error
		if errors.As(err, &f) {
			return nil, err
		}
		return nil, fault.New(fault.Unavailable, "the keys for tokens cannot be read now: %w", err)
	}
	var set jwt.VerificationKeySet
	for _, k := range found {
		if fits(t.Method.Alg(), k) {
			set.Keys = append(set.Keys, k)
		}
	}
	if len(set.Keys) == 0 {
		return nil, refuse("there is no %s key %s for the token", t.Method.Alg(), channel.Quote(kid))
	}
	return set, nil
}

func (s Source) secrets(kid string) (any, error) {
	if secret, ok := s.Secrets[kid]; ok && secret != "" {
		return []byte(secret), nil
	}
	if kid != "" {
		return nil, refuse("the token names the key %s, which its app does not have", channel.Quote(kid))
	}
	var set jwt.VerificationKeySet
	for _, secret := range s.Secrets {
		if secret != "" { // or anyone could sign
			set.Keys = append(set.Keys, []byte(secret))
		}
	}
	if len(set.Keys) == 0 {
		return nil, refuse("the token is signed with HS256, for which its app has no secret")
	}
	return set, nil
}

func fits(alg string, key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return alg == "RS256" && k != nil && k.N != nil && k.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return alg == "ES256" && k != nil && k.Curve != nil && k.Curve.Params().BitSize == 256
	case ed25519.PublicKey:
		return alg == "EdDSA" && len(k) == ed25519.PublicKeySize
	}
	return false
}

func (s Source) check(t *jwt.Token, c *claims) error {
	if t.Method.Alg() == "HS256" {
		return nil
	}
	if s.Issuer != "" && c.Issuer != s.Issuer {
		return refuse("the token's issuer is %s, not %s", channel.Quote(c.Issuer), channel.Quote(s.Issuer))
	}
	if s.Audience != "" && !slices.Contains(c.Audience, s.Audience) {
		return refuse("the token is not meant for the audience %s", channel.Quote(s.Audience))
	}
	return nil
}

func (c *claims) values(t *jwt.Token) (auth.Claims, error) {
	kid, err := kidOf(t)
	if err != nil {
		return auth.Claims{}, err
	}
	out := auth.Claims{App: c.App, Key: kid, Subject: c.Subject, Expires: c.ExpiresAt.Time}
	if string(c.Info) != "null" {
		out.Info = string(c.Info)
	}
	for _, r := range c.Rooms {
		out.Rooms = append(out.Rooms, auth.RoomClaim{Pattern: r.Pattern, Can: r.Can})
	}
	return out, nil
}

func kidOf(t *jwt.Token) (string, error) {
	switch kid := t.Header["kid"].(type) {
	case nil:
		return "", nil
	case string:
		return kid, nil
	}
	return "", refuse("the token's header kid is not a string")
}
