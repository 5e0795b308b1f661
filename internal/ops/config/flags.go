package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Flags are the command-line flags of the table, as a struct that kong can embed (kong.Plugins). Each flag that was
// given is an override for Sources; none has a default of its own.
type Flags struct {
	target reflect.Value // pointer to a struct of pointers
	names  []string      // the flag of each field
}

// NewFlags makes the flags of one command line.
func NewFlags() *Flags {
	f := &Flags{}
	var fields []reflect.StructField
	for _, s := range Settings() {
		if s.Flag == "" {
			continue
		}
		typ, extra := reflect.TypeFor[*string](), fmt.Sprintf(" placeholder:%q", placeholder(s))
		if s.Kind == kindName(reflect.TypeFor[bool]()) {
			typ, extra = reflect.TypeFor[*bool](), ` negatable:""`
		}
		tag := fmt.Sprintf("name:%q help:%q%s", s.Flag, s.Doc, extra)
		if section, _, ok := strings.Cut(s.Key, "."); ok && s.Flag != "store" {
			tag += fmt.Sprintf(" group:%q", "Settings: "+section)
		}
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("F%d", len(fields)), Type: typ, Tag: reflect.StructTag(tag)})
		f.names = append(f.names, s.Flag)
	}
	f.target = reflect.New(reflect.StructOf(fields))
	return f
}

func placeholder(s Setting) string {
	switch {
	case len(s.Words) > 0:
		return strings.Join(s.Words, "|")
	case s.Kind == kindName(reflect.TypeFor[[]string]()):
		return "a,b"
	case s.Default != "":
		return s.Default
	}
	return strings.ToUpper(s.Kind)
}

// Target is the struct to embed: kong.Plugins{flags.Target()}.
func (f *Flags) Target() any { return f.target.Interface() }

// Given are the flags that were on the command line, by name.
func (f *Flags) Given() map[string]string {
	given := map[string]string{}
	for i, name := range f.names {
		if v := f.target.Elem().Field(i); !v.IsNil() {
			given[name] = fmt.Sprint(v.Elem().Interface())
		}
	}
	return given
}
