package keyring

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/filter"
)

// space is where the records are.
const space = "feedkeys"

// Key is an API key without its secret. Times are unix ms, 0 for never.
type Key struct {
	App         string              `json:"app"`
	ID          string              `json:"id"`
	Label       string              `json:"label"`
	Channels    []string            `json:"channels"`
	Filters     map[string][]string `json:"filters,omitempty"`
	Connections int                 `json:"connections,omitempty"`
	Access      map[string]bool     `json:"access,omitempty"`
	Created     int64               `json:"created,omitempty"`
	Expires     int64               `json:"expires,omitempty"`
	Revoked     int64               `json:"revoked,omitempty"`
	// Configured keys stand in the configuration; only that they were revoked is kept here.
	Configured bool `json:"configured,omitempty"`

	hash [sha256.Size]byte // of the secret
}

// stored is a Key as a record.
type stored struct {
	*Key
	Hash string `json:"hash,omitempty"`
}

func (k *Key) encode() []byte {
	b, err := json.Marshal(stored{k, hex.EncodeToString(k.hash[:])})
	if err != nil {
		panic(err) // strings, numbers and booleans cannot fail
	}
	return b
}

// DecodeKey reads a record.
func DecodeKey(b []byte) (*Key, error) {
	k := &Key{}
	s := stored{Key: k}
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	if s.Key == nil {
		return nil, errors.New("it is null")
	}
	hash, err := hex.DecodeString(s.Hash)
	if err != nil || len(hash) != len(k.hash) {
		return nil, errors.New("the hash is not one")
	}
	copy(k.hash[:], hash)
	return s.Key, nil
}

// Bounds of what a key may hold, so that no key makes logins slow.
const (
	maxChannels = 1000
	maxLabel    = 200
	maxAccess   = 64
)

// check says what is wrong with a key that is to be made.
func (k *Key) check() error {
	switch {
	case k.ID != "" && !validID(k.ID):
		return fault.New(fault.Invalid, "the id %s must have 1 to 64 of A-Z a-z 0-9 - _", channel.Quote(k.ID)).In("id")
	case len(k.Label) > maxLabel:
		return fault.New(fault.Invalid, "the label has %d bytes, more than the %d allowed", len(k.Label), maxLabel).In("label")
	case len(k.Channels) == 0:
		return fault.New(fault.Invalid, `the key is entitled to no channel; "*" entitles it to all`).In("channels")
	case len(k.Channels) > maxChannels:
		return fault.New(fault.Invalid, "%d channels, more than the %d allowed: use patterns", len(k.Channels), maxChannels).In("channels")
	case len(k.Filters) > filter.MaxClauses:
		return fault.New(fault.Invalid, "%d filters, more than the %d allowed", len(k.Filters), filter.MaxClauses).In("filters")
	case len(k.Access) > maxAccess:
		return fault.New(fault.Invalid, "%d access flags, more than the %d allowed", len(k.Access), maxAccess).In("access")
	case k.Connections < 0:
		return fault.New(fault.Invalid, "%d connections: 0 is unlimited", k.Connections).In("connections")
	case k.Expires < 0:
		return fault.New(fault.Invalid, "the key would have expired before 1970").In("expires")
	}
	for field, values := range k.Filters {
		if field == "" || len(values) > filter.MaxValues {
			return fault.New(fault.Invalid, "the filter %s needs a name and at most %d values", channel.Quote(field), filter.MaxValues).In("filters")
		}
	}
	if _, err := channel.ParsePatterns(k.Channels); err != nil {
		return fault.Of(err).In("channels")
	}
	return nil
}

// validID keeps the dot for the end of the id in "id.secret", and the slash for records of configured keys.
func validID(id string) bool {
	return len(id) <= 64 && !slices.ContainsFunc([]byte(id), func(c byte) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	})
}

// same reports whether a session of the one key may do what a session of the other may.
func same(a, b *app.FeedKey) bool {
	return reflect.DeepEqual(a.Channels, b.Channels) && reflect.DeepEqual(a.Filters, b.Filters) && a.Expires.Equal(b.Expires)
}
