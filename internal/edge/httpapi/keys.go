package httpapi

import (
	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

// keys are the credentials of a registry, prepared for many checks.
type keys struct {
	of     *app.Registry
	byID   map[string]*auth.Key
	seals  map[string]serverapi.Seal // app → what its cursors are sealed with
	lookup auth.Lookup
}

// prepared gives the keys of the registry in force, made anew when it has changed.
func (a *API) prepared() *keys {
	r := a.opts.Node.Apps()
	k := a.keys.Load()
	if k == nil || k.of != r {
		k = a.prepare(r)
		a.keys.Store(k)
	}
	return k
}

func (a *API) lookup() auth.Lookup { return a.prepared().lookup }

func (a *API) prepare(r *app.Registry) *keys {
	k := &keys{of: r, byID: map[string]*auth.Key{}, seals: map[string]serverapi.Seal{}}
	for one := range r.All() {
		k.seals[one.ID] = serverapi.AppSeal(one)
		for _, pair := range one.Keys {
			key, err := auth.NewKey(one.ID, pair.Key, pair.Secret, pair.Enabled)
			if err != nil {
				a.opts.Log.Error("a key cannot be used", "app", one.ID, "error", err)
				continue
			}
			k.byID[pair.Key] = key
		}
	}
	k.lookup = func(id string) *auth.Key { return k.byID[id] }
	return k
}

// seal is what the cursors of the call's app are sealed with.
func (c *call) seal() serverapi.Seal { return c.api.prepared().seals[c.app.ID] }
