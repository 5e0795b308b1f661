package app

import (
	"iter"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Registry is every app of a server at one moment. It is immutable: a reload makes a new one, and whoever swaps them
// does so atomically. The zero Registry has no app.
type Registry struct {
	apps  []*App
	byID  map[string]*App
	byKey map[string]keyed
	feed  map[[32]byte]feedKeyed
}

type keyed struct {
	app *App
	key Key
}

type feedKeyed struct {
	app *App
	key *FeedKey
}

// NewRegistry collects apps made by New. Ids, keys and feed keys must be unique across all of them; faults has one
// entry for each that is not.
func NewRegistry(apps ...*App) (r *Registry, faults []*fault.Error) {
	r = &Registry{apps: slices.Clone(apps), byID: map[string]*App{}, byKey: map[string]keyed{}, feed: map[[32]byte]feedKeyed{}}
	for _, a := range apps {
		if _, taken := r.byID[a.ID]; taken {
			faults = append(faults, fault.New(fault.Invalid, "two apps have the id %s", channel.Quote(a.ID)).In("id"))
		}
		r.byID[a.ID] = a
		for _, k := range a.Keys {
			if other, taken := r.byKey[k.Key]; taken {
				faults = append(faults, fault.New(fault.Invalid, "the key %s belongs to the apps %s and %s",
					channel.Quote(k.Key), channel.Quote(other.app.ID), channel.Quote(a.ID)).In("keys"))
			}
			r.byKey[k.Key] = keyed{a, k}
		}
		for i := range a.FeedKeys {
			k := &a.FeedKeys[i]
			if other, taken := r.feed[k.SecretHash]; taken {
				faults = append(faults, fault.New(fault.Invalid, "the feed keys %s and %s have the same secret",
					channel.Quote(other.key.ID), channel.Quote(k.ID)).In("feed_keys"))
			}
			r.feed[k.SecretHash] = feedKeyed{a, k}
		}
	}
	return r, faults
}

// ByID finds an app by its id.
func (r *Registry) ByID(id string) (*App, bool) {
	a, ok := r.byID[id]
	return a, ok
}

// ByKey finds an app by one of its keys. Whether both are enabled is Usable's to say.
func (r *Registry) ByKey(key string) (*App, Key, bool) {
	k, ok := r.byKey[key]
	return k.app, k.key, ok
}

// FeedKey finds a configured feed key by the SHA-256 of what the client presented.
func (r *Registry) FeedKey(hash [32]byte) (*App, *FeedKey, bool) {
	k, ok := r.feed[hash]
	return k.app, k.key, ok
}

// All goes through the apps in the order of the configuration.
func (r *Registry) All() iter.Seq[*App] { return slices.Values(r.apps) }

// Len is the number of apps.
func (r *Registry) Len() int { return len(r.apps) }

// Policy is the policy of an app's channel, and false when there is no such app (it may have gone with a reload).
func (r *Registry) Policy(appID, name string) (*Policy, bool) {
	a, ok := r.byID[appID]
	if !ok {
		return nil, false
	}
	return a.Policy(name), true
}
