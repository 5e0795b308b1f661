package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Causes that a face answers in its own way; a fault of kind AuthFailed wraps them.
var (
	ErrRevoked = errors.New("the credential was revoked")
	ErrExpired = errors.New("the credential has expired")
)

// FeedKeyRecord is what the server keeps of a feed key: never the secret itself.
type FeedKeyRecord struct {
	App, ID  string
	Hash     [sha256.Size]byte // HashSecret of the secret
	Channels channel.Patterns
	Expires  time.Time // zero: never
	Revoked  bool
}

// HashSecret is what is stored of the secret of a feed key. Secrets are random and long, so one SHA-256 is enough.
func HashSecret(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// ParseFeedKey takes "id.secret" apart; nothing of it is proven.
func ParseFeedKey(given string) (id, secret string, err error) {
	const most = 256
	id, secret, ok := strings.Cut(given, ".")
	if !ok || id == "" || secret == "" || len(given) > most {
		return "", "", fault.New(fault.AuthFailed, "the API key is malformed: expected <id>.<secret>").In("apiKey")
	}
	return id, secret, nil
}

// VerifyFeedKey proves an API key of the feed face. That a key was revoked or has expired is told only to who holds its
// secret; the faults wrap ErrRevoked and ErrExpired.
func VerifyFeedKey(given string, lookup func(id string) (FeedKeyRecord, bool), now time.Time) (Grant, error) {
	id, secret, err := ParseFeedKey(given)
	if err != nil {
		return Grant{}, err
	}
	record, known := lookup(id)
	got := HashSecret(secret)
	same := subtle.ConstantTimeCompare(got[:], record.Hash[:]) == 1
	switch {
	case !known || !same: // one answer for both, so that ids cannot be collected
		return Grant{}, fault.New(fault.AuthFailed, "the API key is not known").In("apiKey")
	case record.Revoked:
		return Grant{}, fault.New(fault.AuthFailed, "the API key %s was refused: %w", channel.Quote(id), ErrRevoked).In("apiKey")
	case !record.Expires.IsZero() && !now.Before(record.Expires):
		return Grant{}, fault.New(fault.AuthFailed, "the API key %s was refused: %w (at %s)", channel.Quote(id), ErrExpired,
			record.Expires.UTC().Format(time.RFC3339)).In("apiKey")
	}
	g := Grant{kind: FeedKey, app: record.App, key: record.ID, expires: record.Expires}
	for _, p := range record.Channels {
		g.rules = append(g.rules, Rule{Pattern: p, Can: Join | History})
	}
	return g, nil
}

// InsecureAppKey takes an app's public key for a credential, entitled to read every channel. It proves nothing, since
// every browser has that key: development mode alone may call it.
func InsecureAppKey(given string, keys Lookup) (Grant, error) {
	key := keys(given)
	if key == nil || key.disabled {
		return Grant{}, fault.New(fault.AuthFailed, "the API key is not known").In("apiKey")
	}
	return Grant{kind: AppKey, app: key.app, key: key.id, rights: Join | History}, nil
}
