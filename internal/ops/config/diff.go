package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Change is one key whose effective value differs between two configurations.
type Change struct {
	Key  string `json:"key"` // apps go by their id: "apps[shop].limits.batch_size"
	Old  string `json:"old"` // secrets are not shown
	New  string `json:"new"`
	Live bool   `json:"live"` // a reload applies it; otherwise it waits for a restart
}

func (c Change) String() string {
	s := fmt.Sprintf("%s: %q → %q", c.Key, c.Old, c.New)
	if !c.Live {
		s += " (needs a restart)"
	}
	return s
}

// Diff lists what changes from old to new, in the order of the keys.
func Diff(old, new *Config) []Change {
	a, b := old.leaves(), new.leaves()
	all := maps.Clone(a)
	maps.Copy(all, b)
	sameMode := old.Mode == new.Mode
	var changes []Change
	for _, key := range slices.Sorted(maps.Keys(all)) {
		was, is := a[key], b[key]
		if was.text == is.text && was.present == is.present {
			continue
		}
		change := Change{Key: key, Old: was.shown(), New: is.shown(), Live: all[key].live && (sameMode || !all[key].tenant)}
		changes = append(changes, change)
	}
	return changes
}

// Reload is what a running server with the configuration old becomes when it is told new: the keys that a reload
// applies have their new values, the others keep the old ones. A change of mode needs a restart, and with it the apps.
// Where new.NeedsApp, add the kept app to it first.
func Reload(old, new *Config) *Config {
	c := *old
	keep := reflect.ValueOf(&c).Elem()
	copyLive(keep, reflect.ValueOf(new).Elem(), false)
	if old.Mode != new.Mode {
		c.App, c.Apps, c.Channels = old.App, old.Apps, old.Channels
		return &c
	}
	c.registry, c.origins = new.registry, new.origins
	return &c
}

func copyLive(to, from reflect.Value, live bool) {
	for _, f := range fieldsOf(to.Type()) {
		live := live || f.tag("reload") == "live"
		switch target := to.FieldByIndex(f.Index); {
		case live:
			target.Set(from.FieldByIndex(f.Index))
		case isSection(f.Type):
			copyLive(target, from.FieldByIndex(f.Index), false)
		}
	}
}

// leaf is one effective value as text.
type leaf struct {
	text                          string
	present, secret, live, tenant bool
}

func (l leaf) shown() string {
	if l.secret && l.text != "" {
		return redacted
	}
	return l.text
}

func (c *Config) leaves() map[string]leaf {
	all := map[string]leaf{}
	flatten(reflect.ValueOf(c).Elem(), "", leaf{}, all)
	for key := range all {
		if len(key) > 4 && key[:4] == "app." { // its values are in apps
			delete(all, key)
		}
	}
	return all
}

func flatten(v reflect.Value, at string, inherited leaf, all map[string]leaf) {
	for _, f := range fieldsOf(v.Type()) {
		l := inherited
		l.present = true
		l.live = l.live || f.tag("reload") == "live"
		l.secret = f.tag("secret") != ""
		l.tenant = l.tenant || f.key == "apps" || f.key == "channels"
		flattenValue(v.FieldByIndex(f.Index), join(at, f.key), l, all)
	}
}

func flattenValue(v reflect.Value, key string, l leaf, all map[string]leaf) {
	switch t := v.Type(); {
	case isSection(t):
		flatten(v, key, l, all)
	case isScalar(t):
		l.text = textOf(v)
		all[key] = l
	case t.Kind() == reflect.Slice:
		for i := range v.Len() {
			name := fmt.Sprint(i)
			if a, ok := v.Index(i).Interface().(App); ok {
				name = a.ID
			}
			flatten(v.Index(i), fmt.Sprintf("%s[%s]", key, name), l, all)
		}
	case t.Kind() == reflect.Map:
		for name := range namesOf(v) {
			flattenValue(v.MapIndex(reflect.ValueOf(name)), join(key, name), l, all)
		}
	}
}
