// Package keyring holds the API keys of the feed: those of the configuration and those that were made at run time, which
// are kept as records.
package keyring

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/feed"
)

// Options of a Ring.
type Options struct {
	Records record.Store
	Node    *node.Node
	// Now gives unix ms.
	Now func() int64
}

// Ring proves API keys, and makes and revokes them. All methods may be called concurrently.
type Ring struct {
	opts Options

	writing sync.Mutex // one change at a time
	mu      sync.RWMutex
	kept    map[string]*Key  // by id
	banned  map[string]int64 // configured keys that were revoked at run time: app/id → unix ms
}

// Load makes a ring of what the records hold.
func Load(ctx context.Context, o Options) (*Ring, error) {
	r := &Ring{opts: o, kept: map[string]*Key{}, banned: map[string]int64{}}
	const page = 256
	for after := ""; ; {
		list, err := o.Records.List(ctx, space, after, page)
		if err != nil {
			return nil, err
		}
		for _, rec := range list {
			k, err := DecodeKey(rec.Value)
			if err != nil {
				return nil, fault.New(fault.Internal, "the record of the feed key %s is damaged: %w", channel.Quote(rec.Key), err)
			}
			r.put(rec.Key, k)
		}
		if len(list) < page {
			return r, nil
		}
		after = list[len(list)-1].Key
	}
}

// put takes a key into memory; mu is held, or nobody else knows the ring.
func (r *Ring) put(at string, k *Key) {
	if strings.Contains(at, "/") {
		r.banned[at] = k.Revoked
		return
	}
	r.kept[at] = k
}

// Resolve proves an API key. Its faults are AuthFailed; of a key that was revoked or has expired it wraps
// auth.ErrRevoked or auth.ErrExpired.
func (r *Ring) Resolve(given string) (feed.Entitlement, error) {
	apps := r.opts.Node.Apps()
	if a, k, ok := apps.FeedKey(sha256.Sum256([]byte(given))); ok {
		return r.configured(a, k)
	}
	if a, k, ok := apps.ByKey(given); ok && a.Mode == app.Development {
		return r.development(a, k)
	}
	if !strings.Contains(given, ".") {
		return feed.Entitlement{}, fault.New(fault.AuthFailed, "the API key is not known").In("apiKey")
	}
	g, err := auth.VerifyFeedKey(given, r.record, time.UnixMilli(r.opts.Now()))
	if err != nil {
		return feed.Entitlement{}, err
	}
	return r.made(g)
}

// configured checks a key of the configuration, which the client has proven to hold.
func (r *Ring) configured(a *app.App, k *app.FeedKey) (feed.Entitlement, error) {
	switch now := time.UnixMilli(r.opts.Now()); {
	case !a.Enabled:
		return feed.Entitlement{}, disabled(a)
	case r.revoked(a.ID, k):
		return feed.Entitlement{}, fault.New(fault.AuthFailed, "the API key %s was refused: %w", channel.Quote(k.ID), auth.ErrRevoked).In("apiKey")
	case !k.Expires.IsZero() && !now.Before(k.Expires):
		return feed.Entitlement{}, fault.New(fault.AuthFailed, "the API key %s was refused: %w (at %s)", channel.Quote(k.ID), auth.ErrExpired,
			k.Expires.UTC().Format(time.RFC3339)).In("apiKey")
	}
	patterns, err := channel.ParsePatterns(k.Channels)
	if err != nil {
		return feed.Entitlement{}, err
	}
	e := feed.Entitlement{App: a, ID: k.ID, Label: k.Label, Channels: patterns, Filters: k.Filters, Access: k.Access, Connections: k.Connections}
	if e.Label == "" {
		e.Label = k.ID
	}
	if !k.Expires.IsZero() {
		e.Expires = k.Expires.UnixMilli()
	}
	return e, nil
}

func disabled(a *app.App) error {
	return fault.New(fault.AppDisabled, "the app %s is disabled", channel.Quote(a.ID))
}

func (r *Ring) revoked(appID string, k *app.FeedKey) bool {
	if k.Revoked {
		return true
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.banned[ban(appID, k.ID)] != 0
}

func ban(appID, id string) string { return appID + "/" + id }

// record is what auth needs to know of a kept key.
func (r *Ring) record(id string) (auth.FeedKeyRecord, bool) {
	r.mu.RLock()
	k := r.kept[id]
	r.mu.RUnlock()
	if k == nil {
		return auth.FeedKeyRecord{}, false
	}
	patterns, err := channel.ParsePatterns(k.Channels)
	rec := auth.FeedKeyRecord{App: k.App, ID: id, Hash: k.hash, Channels: patterns, Revoked: k.Revoked != 0}
	if k.Expires != 0 {
		rec.Expires = time.UnixMilli(k.Expires)
	}
	return rec, err == nil
}

// made is the entitlement of a kept key that was proven.
func (r *Ring) made(g auth.Grant) (feed.Entitlement, error) {
	a, ok := r.opts.Node.Apps().ByID(g.App())
	if !ok {
		return feed.Entitlement{}, fault.New(fault.AppNotFound, "the app of the API key is not there any more")
	}
	if !a.Enabled {
		return feed.Entitlement{}, disabled(a)
	}
	r.mu.RLock()
	k := r.kept[g.Key()]
	r.mu.RUnlock()
	patterns, err := channel.ParsePatterns(k.Channels)
	return feed.Entitlement{App: a, ID: k.ID, Label: k.Label, Channels: patterns, Filters: k.Filters, Access: k.Access,
		Connections: k.Connections, Expires: k.Expires}, err
}

// development takes an app's own key for a key to everything.
func (r *Ring) development(a *app.App, k app.Key) (feed.Entitlement, error) {
	key, err := auth.NewKey(a.ID, k.Key, k.Secret, k.Enabled && a.Enabled)
	if err != nil {
		return feed.Entitlement{}, err
	}
	g, err := auth.InsecureAppKey(k.Key, func(string) *auth.Key { return key })
	if err != nil {
		return feed.Entitlement{}, err
	}
	everything, err := channel.ParsePatterns([]string{"*"})
	return feed.Entitlement{App: a, ID: "app:" + g.Key(), Label: g.Key(), Channels: everything}, err
}

// Good reports whether the key of a session is still what it was when the session logged in.
func (r *Ring) Good(appID, id string) bool {
	if strings.HasPrefix(id, "app:") {
		return true
	}
	if a, ok := r.opts.Node.Apps().ByID(appID); ok {
		if i := slices.IndexFunc(a.FeedKeys, func(k app.FeedKey) bool { return k.ID == id }); i >= 0 {
			return !r.revoked(appID, &a.FeedKeys[i])
		}
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	k := r.kept[id]
	return k != nil && k.App == appID && k.Revoked == 0
}

// Reloaded ends the sessions of configured keys that the registry in force no longer has, or has revoked. old is the
// registry that was in force before. Sessions of keys that may do something else now are told to come back.
func (r *Ring) Reloaded(old *app.Registry) {
	now := r.opts.Node.Apps()
	for a := range old.All() {
		for i := range a.FeedKeys {
			was := &a.FeedKeys[i]
			_, is, ok := now.FeedKey(was.SecretHash)
			switch {
			case !ok || is.ID != was.ID || r.revoked(a.ID, is):
				r.end(a.ID, was.ID, session.KeyRevoked)
			case !same(was, is):
				r.end(a.ID, was.ID, session.Reconnect)
			}
		}
	}
}

// end ends every session of a key.
func (r *Ring) end(appID, id string, why session.Cause) {
	for _, one := range r.opts.Node.Sessions().OfUser(appID, feed.KeyUser(id)) {
		one.Post(session.Terminate{Cause: why})
	}
}
