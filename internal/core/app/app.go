// Package app holds tenants as immutable values: their keys, limits and channel policies.
package app

import (
	"errors"
	"time"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Mode says whether a server is someone's laptop or the real thing; it picks the defaults of apps and policies.
type Mode uint8

// The modes. The zero value is the careful one.
const (
	Production  Mode = iota
	Development      // mutable channels, client events and rooms rights for everyone, a guest login
)

func (m Mode) String() string {
	if m == Development {
		return "development"
	}
	return "production"
}

// App is one tenant. Values are never changed after they were handed out: a reload makes new ones. Make them with New.
type App struct {
	ID          string
	Name        string
	Mode        Mode
	Enabled     bool
	Keys        []Key
	Origins     []string // allowed Origin patterns (empty: all); "https://*.example.com" matches one label or more
	Features    Features
	Limits      Limits
	Idempotency time.Duration // how long a publish is remembered under its idempotency key; 0 = DefaultIdempotency
	Policies    []Policy      // first match wins; after them, Default(Mode)
	FeedKeys    []FeedKey
	Rooms       RoomsAuth

	compiled *compiled // nil until New
}

// DefaultIdempotency is how long an idempotency key is remembered where nothing else is configured.
const DefaultIdempotency = 120 * time.Second

// Key is a credential pair. An app may have several, so that secrets can be rotated.
type Key struct {
	Key     string
	Secret  string
	Enabled bool
}

// Features switches protocol features of the Pusher family on or off.
type Features struct {
	ClientEvents      bool
	UserAuth          bool // signin
	Watchlist         bool
	SubscriptionCount bool
	V2DataValue       bool // V2 JSON frames carry data as a JSON value instead of a string
	Compression       bool // permessage-deflate, no context takeover
}

// DefaultFeatures are the features of an app that says nothing about them.
func DefaultFeatures(m Mode) Features {
	return Features{ClientEvents: m == Development, UserAuth: true, Watchlist: true}
}

// FeedKey is an API key of the feed face.
type FeedKey struct {
	ID          string
	SecretHash  [32]byte // SHA-256 of the API key as the client presents it
	Label       string
	Channels    []string            // patterns of the channels that the key is entitled to
	Filters     map[string][]string // values that a login field is confined to, whatever the login asks for
	Connections int                 // at once; 0 = unlimited
	Access      map[string]bool     // free-form flags, shown in login_ok
	Expires     time.Time           // zero: never
	Revoked     bool
}

// RoomsAuth says which tokens the rooms face accepts beside HS256 with an app secret.
type RoomsAuth struct {
	JWKSFile string
	JWKSURL  string
	Issuer   string
	Audience string
}

// compiled is what New prepares so that questions about an app are cheap.
type compiled struct {
	exact    map[string]int    // channel name → index of the first policy that names it without a '*'
	globs    []channel.Pattern // the patterns with a '*', in order …
	at       []int             // … and the index of the policy of each
	fallback Policy
	origins  []origin
}

// New checks an app whole, fills in what its limits leave open, and prepares it for questions. Its error joins every
// fault that Validate found. The app keeps the slices of a: do not change them afterwards.
func New(a App) (*App, error) {
	if faults := a.Validate(); len(faults) > 0 {
		all := make([]error, len(faults))
		for i, f := range faults {
			all[i] = f
		}
		return nil, errors.Join(all...)
	}
	a.Limits = a.Limits.Effective()
	if a.Idempotency == 0 {
		a.Idempotency = DefaultIdempotency
	}
	c := &compiled{exact: map[string]int{}, fallback: Default(a.Mode)}
	for i := range a.Policies {
		p, err := channel.ParsePattern(a.Policies[i].Pattern)
		if err != nil {
			return nil, err
		}
		if name, ok := p.Exact(); !ok {
			c.globs, c.at = append(c.globs, p), append(c.at, i)
		} else if _, known := c.exact[name]; !known {
			c.exact[name] = i
		}
	}
	for _, s := range a.Origins {
		o, err := parseOrigin(s)
		if err != nil {
			return nil, err
		}
		c.origins = append(c.origins, o)
	}
	a.compiled = c
	return &a, nil
}

// Policy is the policy of the channel: that of the first pattern which matches its name, else the default of the
// app's mode. It must not be changed. Only an app made by New has policies; any other answers the default.
func (a *App) Policy(name string) *Policy {
	c := a.compiled
	if c == nil {
		fallback := Default(a.Mode)
		return &fallback
	}
	first, ok := c.exact[name]
	if !ok {
		first = len(a.Policies)
	}
	for i := range c.globs {
		if c.at[i] > first {
			break
		}
		if c.globs[i].Match(name) {
			return &a.Policies[c.at[i]]
		}
	}
	if ok {
		return &a.Policies[first]
	}
	return &c.fallback
}

// FindKey gives the credential pair of a key, enabled or not: faces tell the two apart.
func (a *App) FindKey(key string) (Key, bool) {
	for _, k := range a.Keys {
		if k.Key == key {
			return k, true
		}
	}
	return Key{}, false
}

// Usable says why a client may not use the app through this key: the app or the key is switched off.
func (a *App) Usable(k Key) error {
	switch {
	case !a.Enabled:
		return fault.New(fault.AppDisabled, "the app %s is disabled", channel.Quote(a.ID))
	case !k.Enabled:
		return fault.New(fault.AppDisabled, "the key %s is disabled", channel.Quote(k.Key))
	}
	return nil
}
