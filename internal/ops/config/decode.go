package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds on what is read: no configuration is deeper or larger, and aliases could multiply endlessly.
const (
	maxDepth  = 24
	maxValues = 1 << 18
)

// place is where a value stands: in a file, a variable or a flag.
type place struct {
	source    string
	line, col int
}

// decoder reads YAML nodes into the structs, and keeps where everything stood.
type decoder struct {
	file     string
	dev      bool // fill list elements with the defaults of development mode
	places   map[string]place
	values   int // read so far …
	most     int // … and how many may be
	problems Problems
	reported map[string]bool // keys with a problem
	defaults map[reflect.Type]reflect.Value
}

func newDecoder(file string, most int) *decoder {
	return &decoder{file: file, most: most, places: map[string]place{}, reported: map[string]bool{}, defaults: map[reflect.Type]reflect.Value{}}
}

// at is the place of a key, or of the nearest section around it that stands somewhere.
func (d *decoder) at(key string) place {
	for {
		if p, ok := d.places[key]; ok {
			return p
		}
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			return place{source: d.file}
		}
		key = key[:i]
	}
}

func (d *decoder) report(key string, warning bool, hint, format string, args ...any) {
	p := d.at(key)
	d.reported[key] = true
	d.problems = append(d.problems, Problem{Source: p.source, Line: p.line, Col: p.col, Key: key, Msg: fmt.Sprintf(format, args...), Hint: hint, Warning: warning})
}

func (d *decoder) wrong(key, format string, args ...any) { d.report(key, false, "", format, args...) }

func (d *decoder) note(key string, n *yaml.Node) {
	d.places[key] = place{d.file, n.Line, n.Column}
}

// value decodes n, which stands at key, into v.
func (d *decoder) value(n *yaml.Node, v reflect.Value, f field, key string, depth int) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.note(key, n)
	if depth > maxDepth {
		d.wrong(key, "the nesting is deeper than %d", maxDepth)
		return
	}
	if d.values++; d.values >= d.most {
		if d.values == d.most {
			d.wrong(key, "there are more than %d values", d.most)
		}
		return
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // "key:" with nothing behind it leaves the default
	}
	switch t := v.Type(); {
	case isSection(t):
		d.section(n, v, key, depth)
	case isScalar(t):
		d.scalar(n, v, f, key)
	case t.Kind() == reflect.Slice:
		d.list(n, v, key, depth)
	case t.Kind() == reflect.Map:
		d.mapping(n, v, key, depth)
	}
}

func (d *decoder) section(n *yaml.Node, v reflect.Value, key string, depth int) {
	if n.Kind != yaml.MappingNode {
		for _, f := range fieldsOf(v.Type()) {
			if f.tag("short") != "" && n.Kind == yaml.ScalarNode {
				d.value(n, v.FieldByIndex(f.Index), f, join(key, f.key), depth+1)
				return
			}
		}
		d.wrong(key, "%s stands where a section with keys is wanted", describe(n))
		return
	}
	fields := fieldsOf(v.Type())
	for _, p := range d.pairs(n, key) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == p.name })
		if i < 0 {
			d.unknown(p, key, fields)
			continue
		}
		d.value(p.value, v.FieldByIndex(fields[i].Index), fields[i], join(key, p.name), depth+1)
	}
}

func (d *decoder) unknown(p pair, section string, fields []field) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.key
	}
	hint := "the keys here are " + strings.Join(names, ", ")
	if s, ok := elsewhere[p.name]; ok {
		hint = s
	} else if s := nearest(p.name, names); s != "" {
		hint = fmt.Sprintf("did you mean %s?", s)
	}
	key := join(section, p.name)
	d.note(key, p.key)
	d.report(key, false, hint, "there is no such key")
}

// pair is one "name: value" of a mapping.
type pair struct {
	name       string
	key, value *yaml.Node
}

// pairs lists a mapping with merges ("<<: *common") resolved: what stands here wins over what is merged in.
func (d *decoder) pairs(n *yaml.Node, section string) []pair {
	var own, merged []pair
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Tag == "!!merge" {
			merged = append(merged, d.merge(v, section)...)
			continue
		}
		if k.Kind != yaml.ScalarNode {
			d.note(section, k)
			d.wrong(section, "%s stands where the name of a key is wanted", describe(k))
			continue
		}
		if first, again := lines[k.Value]; again {
			key := join(section, k.Value)
			d.note(key, k)
			d.report(key, false, "keep one of the two", "the key is already set in line %d", first)
			continue
		}
		lines[k.Value] = k.Line
		own = append(own, pair{k.Value, k, v})
	}
	for _, p := range merged {
		if _, again := lines[p.name]; !again {
			lines[p.name] = p.key.Line
			own = append(own, p)
		}
	}
	return own
}

func (d *decoder) merge(v *yaml.Node, section string) []pair {
	list := []*yaml.Node{v}
	if v.Kind == yaml.SequenceNode {
		list = v.Content
	}
	var all []pair
	for _, n := range list {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if n.Kind != yaml.MappingNode {
			d.note(section, n)
			d.wrong(section, "%s cannot be merged; only sections can", describe(n))
			continue
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag != "!!merge" {
				all = append(all, pair{n.Content[i].Value, n.Content[i], n.Content[i+1]})
			}
		}
	}
	return all
}

// element is a new element of a list or map, with its defaults.
func (d *decoder) element(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	if !isSection(t) {
		return v
	}
	if _, ok := d.defaults[t]; !ok {
		fillDefaults(v, d.dev)
		d.defaults[t] = v
	}
	fresh := reflect.New(t).Elem()
	fresh.Set(d.defaults[t])
	return fresh
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, key string, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.report(key, false, `begin each element with "- "`, "%s stands where a list is wanted", describe(n))
		return
	}
	for i, item := range n.Content {
		element := d.element(v.Type().Elem())
		d.value(item, element, field{}, fmt.Sprintf("%s[%d]", key, i), depth+1)
		v.Set(reflect.Append(v, element))
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, key string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.wrong(key, "%s stands where names with values are wanted", describe(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range d.pairs(n, key) {
		element := d.element(v.Type().Elem())
		d.value(p.value, element, field{}, join(key, p.name), depth+1)
		v.SetMapIndex(reflect.ValueOf(p.name), element)
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, f field, key string) {
	if v.Kind() == reflect.Slice {
		d.words(n, v, f, key)
		return
	}
	if n.Kind != yaml.ScalarNode {
		d.wrong(key, "%s stands where a %s is wanted", describe(n), kindName(v.Type()))
		return
	}
	if v.Kind() == reflect.Bool && n.Tag != "!!bool" && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		d.wrong(key, "the text %q stands where true or false is wanted", n.Value)
		return
	}
	d.set(v, f, key, n.Value)
}

// words reads a list of texts; a single one may stand alone.
func (d *decoder) words(n *yaml.Node, v reflect.Value, f field, key string) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	list := make([]string, 0, len(items))
	for i, item := range items {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		at := fmt.Sprintf("%s[%d]", key, i)
		d.note(at, item)
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			d.wrong(at, "%s stands where a text is wanted", describe(item))
			continue
		}
		list = append(list, item.Value)
	}
	v.Set(reflect.ValueOf(list))
	d.check(v, f, key)
}

// set parses and checks one value, whatever it came from.
func (d *decoder) set(v reflect.Value, f field, key, text string) {
	before := reflect.New(v.Type()).Elem()
	before.Set(v)
	if err := setText(v, text); err != nil {
		v.Set(before)
		d.wrong(key, "%s", err.Error())
		return
	}
	if !d.check(v, f, key) {
		v.Set(before) // so that nothing else is found wrong because of it
	}
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	}
	if len(n.Value) > 40 {
		return fmt.Sprintf("%q…", n.Value[:40])
	}
	return fmt.Sprintf("%q", n.Value)
}

func join(section, key string) string {
	if section == "" {
		return key
	}
	return section + "." + key
}
