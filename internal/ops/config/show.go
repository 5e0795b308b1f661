package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// redacted stands in place of a secret.
const redacted = "(secret)"

// YAML writes the effective configuration, without secrets; what is not a default has its origin beside it. With
// set, only what was set is written.
func (c *Config) YAML(set bool) ([]byte, error) {
	n := c.shown(set)
	if len(n.Content) == 0 {
		return []byte("{} # nothing is set\n"), nil
	}
	return yaml.Marshal(n)
}

// JSON is the same as an object.
func (c *Config) JSON(set bool) ([]byte, error) {
	var v map[string]any
	if err := c.shown(set).Decode(&v); err != nil {
		return nil, err
	}
	return json.MarshalIndent(v, "", "  ")
}

func (c *Config) shown(set bool) *yaml.Node {
	w := writer{origins: c.origins, set: set}
	v := reflect.ValueOf(c).Elem()
	return w.section(v, "", func(key string) bool { return key != "app" }) // app is in apps already
}

// writer turns values into YAML nodes.
type writer struct {
	origins map[string]string
	set     bool
}

func (w writer) section(v reflect.Value, at string, keep func(key string) bool) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, f := range fieldsOf(v.Type()) {
		key := join(at, f.key)
		if keep != nil && !keep(key) {
			continue
		}
		if child := w.value(v.FieldByIndex(f.Index), f, key); child != nil {
			n.Content = append(n.Content, text(f.key), child)
		}
	}
	return n
}

// value is the node of a value, nil when there is nothing to show.
func (w writer) value(v reflect.Value, f field, key string) *yaml.Node {
	t := v.Type()
	switch {
	case isSection(t):
		n := w.section(v, key, nil)
		if len(n.Content) == 0 {
			return nil
		}
		return n
	case isScalar(t):
		return w.scalar(v, f, key)
	case v.Len() == 0:
		return nil
	case t.Kind() == reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range v.Len() {
			n.Content = append(n.Content, w.section(v.Index(i), fmt.Sprintf("%s[%d]", key, i), nil))
		}
		return n
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, name := range slices.Sorted(maps.Keys(namesOf(v))) {
		e := v.MapIndex(reflect.ValueOf(name))
		child := w.value(e, field{}, join(key, name))
		if child == nil {
			child = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		}
		n.Content = append(n.Content, text(name), child)
	}
	return n
}

func (w writer) scalar(v reflect.Value, f field, key string) *yaml.Node {
	origin, isSet := w.origins[key]
	if w.set && !isSet && f.tag("secret") == "" && f.key != "id" && f.key != "key" {
		return nil
	}
	s := textOf(v)
	if f.tag("secret") != "" && s != "" {
		s = redacted
	}
	if s == "" && !isSet {
		return nil
	}
	if v.Kind() == reflect.Slice {
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle, LineComment: origin}
		for i := range v.Len() {
			n.Content = append(n.Content, text(v.Index(i).String()))
		}
		return n
	}
	n := text(s)
	switch v.Kind() {
	case reflect.Bool:
		n.Tag = "!!bool"
	case reflect.Int:
		n.Tag = "!!int"
	case reflect.Float64:
		n.Tag = "!!float"
	}
	n.LineComment = origin
	return n
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

func namesOf(v reflect.Value) map[string]bool {
	names := map[string]bool{}
	for _, k := range v.MapKeys() {
		names[k.String()] = true
	}
	return names
}
