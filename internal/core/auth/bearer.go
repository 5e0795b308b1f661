package auth

import (
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Pair is the two halves of a Bearer credential, nothing of them proven.
type Pair struct{ Key, Secret string }

// ParseBearer reads "Bearer <key>:<secret>". ok is false when the header holds no Bearer credential at all; with ok, an
// error says what is wrong with the one that it holds.
func ParseBearer(header string) (pair Pair, ok bool, err error) {
	token, ok := BearerToken(header)
	if !ok {
		return Pair{}, false, nil
	}
	key, secret, colon := strings.Cut(token, ":")
	if !colon || key == "" || secret == "" {
		return Pair{}, true, fault.New(fault.AuthFailed, "the Bearer credential is incomplete: expected <key>:<secret>").In("Authorization")
	}
	return Pair{Key: key, Secret: secret}, true, nil
}

// BearerToken gives what follows the scheme Bearer in an Authorization header, whatever it is.
func BearerToken(header string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// bearer refuses an insecure transport before it looks at the secret: a client that learns that its secret was right
// would go on sending it in the clear.
func (r *Request) bearer(given Pair, keys Lookup) (Grant, error) {
	if !r.Secure {
		return Grant{}, fault.New(fault.InsecureTransport, "a Bearer secret is accepted over TLS or from this machine only; sign the request instead").In("Authorization")
	}
	key, err := find(keys, given.Key, r.App)
	if err != nil {
		return Grant{}, err
	}
	if !key.secretIs(given.Secret) {
		return Grant{}, fault.New(fault.AuthFailed, "the Bearer secret is not that of key %s", channel.Quote(given.Key)).In("Authorization")
	}
	return Grant{kind: Bearer, app: key.app, key: key.id, rights: All}, nil
}
