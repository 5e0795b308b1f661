package config

import (
	"reflect"
	"strings"
)

// field is one key of a section: a struct field with its tags.
type field struct {
	reflect.StructField
	key string
}

func (f field) tag(name string) string { return f.Tag.Get(name) }

func (f field) words() []string {
	if s := f.tag("oneof"); s != "" {
		return strings.Split(s, "|")
	}
	return nil
}

// fieldsOf lists the keys of a section in order.
func fieldsOf(t reflect.Type) []field {
	all := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() {
			all = append(all, field{f, f.Tag.Get("key")})
		}
	}
	return all
}

// isSection reports whether the type is a struct of further keys.
func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != timeType }

// Setting describes one key for the reference, for flags and for variables.
type Setting struct {
	Key     string   // "store.shards"; below lists "apps[].limits.payload_bytes", below maps "….filters.NAME.path"
	Env     string   // "CONTINUO_STORE_SHARDS"; empty where only the file has the key
	Flag    string   // "store-shards"
	Kind    string   // "size"
	Default string   // as text; "" is empty or none
	Dev     string   // the default in development mode, where it differs
	Words   []string // the only values allowed, if listed
	Min     string
	Max     string
	Live    bool // a reload applies it
	Secret  bool
	Doc     string

	typ reflect.Type
}

// EnvPrefix begins the name of every variable.
const EnvPrefix = "CONTINUO_"

// Settings lists every key, sections included, in the order of the structs.
func Settings() []Setting {
	var all []Setting
	collect(reflect.TypeFor[Config](), "", true, false, &all)
	return all
}

func collect(t reflect.Type, at string, named, live bool, all *[]Setting) {
	for _, f := range fieldsOf(t) {
		s := Setting{Key: at + f.key, Kind: kindName(f.Type), Default: f.tag("default"), Dev: f.tag("dev"), Words: f.words(),
			Min: f.tag("min"), Max: f.tag("max"), Live: live || f.tag("reload") == "live", Secret: f.tag("secret") != "",
			Doc: f.tag("doc"), typ: f.Type}
		if named && isScalar(f.Type) {
			s.Env, s.Flag = envName(s.Key, f.tag("env")), flagName(s.Key, f.tag("flag"))
		}
		*all = append(*all, s)
		switch inner, path := f.Type, s.Key; {
		case isSection(inner):
			collect(inner, path+".", named, s.Live, all)
		case inner.Kind() == reflect.Slice && isSection(inner.Elem()):
			collect(inner.Elem(), path+"[].", false, s.Live, all)
		case inner.Kind() == reflect.Map && isSection(inner.Elem()):
			collect(inner.Elem(), path+".NAME.", false, s.Live, all)
		}
	}
}

func envName(key, given string) string {
	if given != "" {
		return EnvPrefix + given
	}
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func flagName(key, given string) string {
	if given != "" {
		return given
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(key)
}

// fillDefaults sets every scalar below v to its default, in development mode to the default of that mode.
func fillDefaults(v reflect.Value, dev bool) {
	for _, f := range fieldsOf(v.Type()) {
		target := v.FieldByIndex(f.Index)
		if isSection(f.Type) {
			fillDefaults(target, dev)
			continue
		}
		text := f.tag("default")
		if s, ok := f.Tag.Lookup("dev"); ok && dev {
			text = s
		}
		if text == "" || !isScalar(f.Type) {
			continue
		}
		if err := setText(target, text); err != nil {
			panic("config: the default of " + f.key + ": " + err.Error()) // a mistake in a tag; TestDefaults finds it
		}
	}
}

// lookup finds the value of a dotted key that is in no list.
func lookup(v reflect.Value, key string) (reflect.Value, field, bool) {
	name, rest, deeper := strings.Cut(key, ".")
	for _, f := range fieldsOf(v.Type()) {
		if f.key != name {
			continue
		}
		if target := v.FieldByIndex(f.Index); !deeper {
			return target, f, true
		} else if isSection(f.Type) {
			return lookup(target, rest)
		}
	}
	return reflect.Value{}, field{}, false
}
