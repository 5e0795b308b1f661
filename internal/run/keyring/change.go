package keyring

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/session"
)

// Create makes an API key of an app and gives what its client presents, which is told this once and never again. An
// empty id is made up. Conflict when the id is taken.
func (r *Ring) Create(ctx context.Context, k Key) (given string, made Key, err error) {
	if err := k.check(); err != nil {
		return "", Key{}, err
	}
	a, ok := r.opts.Node.Apps().ByID(k.App)
	if !ok {
		return "", Key{}, fault.New(fault.AppNotFound, "there is no app %s", channel.Quote(k.App))
	}
	if k.ID == "" {
		k.ID = "fk_" + strings.ToLower(rand.Text()[:16])
	}
	if k.Label == "" {
		k.Label = k.ID
	}
	secret := rand.Text()
	k.hash, k.Created, k.Revoked, k.Configured = auth.HashSecret(secret), r.opts.Now(), 0, false
	if k.Expires != 0 && k.Expires <= k.Created {
		return "", Key{}, fault.New(fault.Invalid, "the key would have expired already").In("expires")
	}
	taken := fault.New(fault.Conflict, "the id %s is taken", channel.Quote(k.ID)).In("id")
	if slices.ContainsFunc(a.FeedKeys, func(c app.FeedKey) bool { return c.ID == k.ID }) {
		return "", Key{}, taken
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	if _, err := r.opts.Records.Put(ctx, space, k.ID, k.encode(), 0); err != nil {
		if fault.KindOf(err) == fault.Conflict {
			err = taken
		}
		return "", Key{}, err
	}
	r.mu.Lock()
	r.kept[k.ID] = &k
	r.mu.Unlock()
	return k.ID + "." + secret, k, nil
}

// Revoke ends an API key for good and closes its connections. Revoking it again changes nothing. NotFound when the app
// has no such key.
func (r *Ring) Revoke(ctx context.Context, appID, id string) (Key, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	k, ok := r.find(appID, id)
	if !ok {
		return Key{}, fault.New(fault.NotFound, "the app %s has no API key %s", channel.Quote(appID), channel.Quote(id))
	}
	if k.Revoked == 0 {
		k.Revoked = r.opts.Now()
		at := id
		if k.Configured {
			at = ban(appID, id)
		}
		_, err := r.opts.Records.Put(ctx, space, at, k.encode(), record.Any)
		if err != nil && fault.KindOf(err) != fault.Unknown { // unknown: it may be revoked, so it is treated as such
			return Key{}, err
		}
		r.mu.Lock()
		r.put(at, &k)
		r.mu.Unlock()
		if err != nil {
			r.end(appID, id, session.KeyRevoked)
			return Key{}, err
		}
	}
	r.end(appID, id, session.KeyRevoked)
	return k, nil
}

// List gives the API keys of an app: those of the configuration first, the others in order of their ids.
func (r *Ring) List(appID string) []Key {
	var list []Key
	if a, ok := r.opts.Node.Apps().ByID(appID); ok {
		for i := range a.FeedKeys {
			list = append(list, r.shown(a, &a.FeedKeys[i]))
		}
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	from := len(list)
	for _, k := range r.kept {
		if k.App == appID {
			list = append(list, *k)
		}
	}
	slices.SortFunc(list[from:], func(a, b Key) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// find gives a key of an app.
func (r *Ring) find(appID, id string) (Key, bool) {
	list := r.List(appID)
	if i := slices.IndexFunc(list, func(k Key) bool { return k.ID == id }); i >= 0 {
		return list[i], true
	}
	return Key{}, false
}

// shown is a key of the configuration as a Key.
func (r *Ring) shown(a *app.App, k *app.FeedKey) Key {
	s := Key{App: a.ID, ID: k.ID, Label: k.Label, Channels: k.Channels, Filters: k.Filters, Connections: k.Connections,
		Access: k.Access, Configured: true}
	if !k.Expires.IsZero() {
		s.Expires = k.Expires.UnixMilli()
	}
	r.mu.RLock()
	s.Revoked = r.banned[ban(a.ID, k.ID)]
	r.mu.RUnlock()
	if k.Revoked && s.Revoked == 0 {
		s.Revoked = 1 // when is not known
	}
	return s
}
