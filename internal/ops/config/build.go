package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// apps puts the tenants together, checks them, and makes the registry.
func (l *loader) apps() {
	l.single()
	if l.cfg.Development() && len(l.cfg.Apps) == 0 {
		l.cfg.Apps = append(l.cfg.Apps, l.cfg.newApp(DevelopmentApp(), "development"))
	}
	l.uniqueApps()
	var made []*app.App
	for i := range l.cfg.Apps {
		at := fmt.Sprintf("apps[%d]", i)
		a := l.cfg.build(&l.cfg.Apps[i])
		l.feedSecrets(at, &l.cfg.Apps[i])
		own := len(l.cfg.Apps[i].Channels)
		faults := append(a.Validate(), app.Shadowed(a.Policies[:own])...)
		for _, f := range faults {
			l.once(placeOf(at, f.Field, own), f.Msg)
		}
		if ready, err := app.New(a); err == nil {
			made = append(made, ready)
		}
	}
	shared := policies(l.cfg.Channels)
	for _, f := range app.Shadowed(shared) {
		l.once(f.Field, f.Msg)
	}
	if len(l.cfg.Apps) == 0 { // nobody validated them yet
		probe := app.App{ID: "probe", Keys: []app.Key{{Key: "probe", Secret: "probe"}}, Policies: shared}
		for _, f := range probe.Validate() {
			l.once(f.Field, f.Msg)
		}
	}
	l.cfg.registry, _ = app.NewRegistry(made...) // what is not unique was reported with its place by uniqueApps
}

// placeOf turns the key of a fault within an app into a key of the file. Policies beyond the app's own are the shared ones.
func placeOf(at, key string, own int) string {
	var i int
	if n, err := fmt.Sscanf(key, "channels[%d]", &i); n == 1 && err == nil && i >= own {
		_, rest, _ := strings.Cut(key, "]")
		return fmt.Sprintf("channels[%d]%s", i-own, rest)
	}
	return join(at, key)
}

// once reports a fault unless something is known to be wrong with that very key.
func (l *loader) once(key, msg string) {
	if !l.reported[key] {
		l.wrong(key, "%s", msg)
	}
}

// single merges app: {id, key, secret} into the list.
func (l *loader) single() {
	s := l.cfg.App
	if s == (SingleApp{}) {
		return
	}
	for _, part := range []struct{ key, text string }{{"app.id", s.ID}, {"app.key", s.Key}, {"app.secret", s.Secret}} {
		if part.text == "" {
			l.wrong(part.key, "is missing: app.id, app.key and app.secret belong together")
			return
		}
	}
	key := AppKey{Key: s.Key, Secret: s.Secret, Enabled: true}
	for i := range l.cfg.Apps {
		if a := &l.cfg.Apps[i]; a.ID == s.ID {
			at := fmt.Sprintf("apps[%d].keys[%d]", i, len(a.Keys))
			a.Keys = append(a.Keys, key)
			l.places[at+".key"], l.places[at+".secret"] = l.at("app.key"), l.at("app.secret")
			return
		}
	}
	at := fmt.Sprintf("apps[%d]", len(l.cfg.Apps))
	l.places[at+".id"], l.places[at+".keys[0].key"], l.places[at+".keys[0].secret"] = l.at("app.id"), l.at("app.key"), l.at("app.secret")
	l.cfg.Apps = append(l.cfg.Apps, l.cfg.newApp(Credentials(s), ""))
}

// newApp is an app with the defaults of the mode.
func (c *Config) newApp(k Credentials, name string) App {
	a := App{}
	fillDefaults(reflect.ValueOf(&a).Elem(), c.Development())
	a.ID, a.Name = k.ID, name
	a.Keys = []AppKey{{Key: k.Key, Secret: k.Secret, Enabled: true}}
	return a
}

func (l *loader) uniqueApps() {
	ids, keys, feed := map[string]string{}, map[string]string{}, map[[32]byte]string{}
	for i := range l.cfg.Apps {
		a := &l.cfg.Apps[i]
		at := fmt.Sprintf("apps[%d]", i)
		if first, again := ids[a.ID]; again && a.ID != "" {
			l.wrong(at+".id", "the id %q is already that of %s", a.ID, first)
		} else {
			ids[a.ID] = at
		}
		for j, k := range a.Keys {
			key := fmt.Sprintf("%s.keys[%d]", at, j)
			if first, again := keys[k.Key]; again && k.Key != "" {
				l.wrong(key+".key", "the key %q is already %s", k.Key, first)
			} else {
				keys[k.Key] = key
			}
		}
		for j, k := range a.FeedKeys {
			key := fmt.Sprintf("%s.feed_keys[%d]", at, j)
			hash := k.hash()
			if first, again := feed[hash]; again && hash != ([32]byte{}) {
				l.wrong(key+".secret", "the secret is the same as that of %s", first)
			} else {
				feed[hash] = key
			}
		}
	}
}

func (l *loader) feedSecrets(at string, a *App) {
	for j, k := range a.FeedKeys {
		key := fmt.Sprintf("%s.feed_keys[%d].secret_sha256", at, j)
		switch {
		case k.SecretSHA256 == "":
		case k.Secret != "":
			l.wrong(key, "secret and secret_sha256 exclude each other")
		case !isSHA256(k.SecretSHA256):
			l.report(key, false, "printf %s API-KEY | sha256sum", "this is not a SHA-256 in hexadecimal: 64 digits are wanted")
		}
	}
}

func isSHA256(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size
}

// hash is zero when the file gives neither the secret nor its hash. A hash that is none stands for a secret that
// nobody has.
func (k FeedKey) hash() (sum [sha256.Size]byte) {
	switch {
	case k.Secret != "":
		return sha256.Sum256([]byte(k.Secret))
	case isSHA256(k.SecretSHA256):
		raw, _ := hex.DecodeString(k.SecretSHA256) // isSHA256 decoded it
		copy(sum[:], raw)
	case k.SecretSHA256 != "":
		return sha256.Sum256([]byte("malformed " + k.SecretSHA256))
	}
	return sum
}

// build makes the core's value of an app: its own policies, then the shared ones.
func (c *Config) build(a *App) app.App {
	b := app.App{
		ID: a.ID, Name: a.Name, Mode: c.AppMode(), Enabled: a.Enabled, Origins: a.Origins,
		Features: app.Features(a.Features), Limits: a.Limits.core(), Idempotency: a.Idempotency,
		Policies: append(policies(a.Channels), policies(c.Channels)...),
		Rooms:    app.RoomsAuth(a.Rooms),
	}
	for _, k := range a.Keys {
		b.Keys = append(b.Keys, app.Key(k))
	}
	for _, k := range a.FeedKeys {
		label := k.Label
		if label == "" {
			label = k.ID
		}
		b.FeedKeys = append(b.FeedKeys, app.FeedKey{ID: k.ID, SecretHash: k.hash(), Label: label, Channels: k.Channels,
			Filters: k.Filters, Connections: k.Connections, Access: k.Access, Expires: k.Expires, Revoked: k.Revoked})
	}
	return b
}

func (l AppLimits) core() app.Limits {
	return app.Limits{
		Connections: l.Connections, ChannelsPerConnection: l.ChannelsPerConnection,
		ChannelNameLength: int(l.ChannelNameLength), EventNameLength: int(l.EventNameLength), PayloadBytes: int(l.PayloadBytes),
		ChannelsPerPublish: l.ChannelsPerPublish, BatchSize: l.BatchSize,
		ClientEventsPerSecond: l.ClientEventsPerSecond, PublishesPerSecond: l.PublishesPerSecond, ReadsPerSecond: l.ReadsPerSecond,
		PresenceMembers: l.PresenceMembers, PresenceMemberBytes: int(l.PresenceMemberBytes),
		PresenceUpdateBytes: int(l.PresenceUpdateBytes), PresenceUpdatesPerSecond: l.PresenceUpdatesPerSecond,
		WatchlistSize: l.WatchlistSize, FrameBytes: int(l.FrameBytes), HistoryPage: l.HistoryPage, SnapshotPage: l.SnapshotPage,
	}
}

func policies(list []Channel) []app.Policy {
	all := make([]app.Policy, len(list))
	for i := range list {
		all[i] = list[i].core()
	}
	return all
}

func (c *Channel) core() app.Policy {
	durability, _ := stream.ParseDurability(c.Durability) // one of the words that the tag allows
	r, p := c.Retention, c.Presence
	policy := app.Policy{
		Pattern: c.Pattern, NoLog: !c.Log, Durability: durability,
		Retention: stream.Retention{Age: r.Age, Entries: uint64(r.Entries), Bytes: uint64(r.Bytes), KeepLatest: r.Keep == "latest", MaxKeys: uint64(r.MaxKeys)},
		Recovery:  stream.Window{Age: c.Recovery.Age, Entries: uint64(c.Recovery.Entries), Bytes: uint64(c.Recovery.Bytes)},
		Mutable:   c.Mutable && c.Log, MaxMessage: int(c.MaxMessage), MaxVersion: c.MaxVersions,
		ClientEvents: c.ClientEvents, LogClientEvents: c.LogClientEvents, Conflate: c.Conflate, Cache: c.CacheTTL,
		Presence: app.PresencePolicy{
			Retention:  stream.Retention{Age: p.Retention.Age, Entries: uint64(p.Retention.Entries), Bytes: uint64(p.Retention.Bytes)},
			CleanGrace: p.CleanGrace, DropGrace: p.DropGrace, DropGraceV1: p.DropGraceV1,
			BroadcastLimit: p.BroadcastLimit, ListLimit: p.ListLimit,
		},
		Anonymous: c.Anonymous, Subscribe: c.Subscribe, Publish: c.Publish,
		SnapshotURL: c.SnapshotURL, UnverifiedResume: c.UnverifiedResume,
		Feed: app.FeedPolicy{Enabled: c.Feed.Enabled, StrictWindow: c.Feed.StrictWindow},
	}
	if len(c.Feed.Filters) > 0 {
		policy.Feed.Filters = make(map[string]app.FeedFilter, len(c.Feed.Filters))
		for name, f := range c.Feed.Filters {
			policy.Feed.Filters[name] = app.FeedFilter(f)
		}
	}
	return policy
}
