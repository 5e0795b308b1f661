package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/continuo-rt/continuo/internal/core/app"
)

// Sources are where a configuration comes from; the later wins: File, Env, Flags.
type Sources struct {
	File  string            // path of a YAML file; empty: the variable CONTINUO_CONFIG, else none
	Data  []byte            // its contents, if they were read already; File then only names them
	Env   []string          // as os.Environ gives it
	Flags map[string]string // by name without dashes

	values int // bound on values in the file; 0 = maxValues
}

// FileVariable names the configuration file where no flag does.
const FileVariable = EnvPrefix + "CONFIG"

// maxFile bounds the size of a configuration file.
const maxFile = 8 << 20

// Load reads, merges and checks a configuration, and reports everything that is wrong with it at once. The Config is
// whole (defaults stand where values were wrong) but must not be used when Problems.Err is not nil.
func Load(src Sources) (*Config, Problems) {
	l := &loader{cfg: &Config{origins: map[string]string{}}, env: environment(src.Env)}
	if src.File == "" && src.Data == nil {
		src.File = l.env[FileVariable]
	}
	l.decoder = newDecoder(src.File, cmp.Or(src.values, maxValues))
	root := reflect.ValueOf(l.cfg).Elem()
	fillDefaults(root, false)
	doc := l.parse(src)
	l.base(doc, root)
	l.variables(root)
	l.flags(root, src.Flags)
	l.resolveMode()
	l.tenants(root)
	if l.values < l.most {
		l.apps()
		l.contradictions()
	} else {
		l.cfg.registry = &app.Registry{}
	}
	for key, p := range l.places {
		l.cfg.origins[key] = p.source
		if p.line > 0 {
			l.cfg.origins[key] = fmt.Sprintf("%s:%d:%d", p.source, p.line, p.col)
		}
	}
	return l.cfg, l.problems.tidy()
}

type loader struct {
	*decoder
	cfg  *Config
	env  map[string]string
	late map[string]pair // sections whose defaults depend on the mode
}

func environment(list []string) map[string]string {
	env := map[string]string{}
	for _, s := range list {
		if name, value, ok := strings.Cut(s, "="); ok && strings.HasPrefix(name, EnvPrefix) && value != "" {
			env[name] = value
		}
	}
	return env
}

// parse reads the file into nodes; nil when there is none or nothing in it.
func (l *loader) parse(src Sources) *yaml.Node {
	data := src.Data
	if data == nil {
		if src.File == "" {
			return nil
		}
		var err error
		if data, err = readFile(src.File); err != nil {
			l.problems = append(l.problems, Problem{Source: src.File, Msg: err.Error(), Hint: `"continuo config init" writes a file to start from`})
			return nil
		}
	}
	var doc, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			l.syntax(err)
		}
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		l.problems = append(l.problems, Problem{Source: l.file, Line: second.Line, Col: second.Column,
			Msg: "a second document begins here", Hint: `remove the "---" between them`})
	} else if !errors.Is(err, io.EOF) {
		l.syntax(err)
	}
	return doc.Content[0]
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("the file cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("the file is larger than %s", Size(maxFile))
	}
	return data, nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func (l *loader) syntax(err error) {
	msg := err.Error()
	m := yamlLine.FindStringSubmatch(msg)
	p := Problem{Source: l.file, Msg: "this is not YAML: " + strings.TrimPrefix(msg, m[0])}
	if n, err := strconv.Atoi(m[1]); err == nil {
		p.Line, p.Col = n, 1
	}
	if strings.Contains(msg, "tab") || strings.Contains(msg, "cannot start any token") {
		p.Hint = "indent with spaces, and quote texts that begin with a special character"
	}
	l.problems = append(l.problems, p)
}

// base decodes everything but the sections whose defaults depend on the mode.
func (l *loader) base(doc *yaml.Node, root reflect.Value) {
	l.late = map[string]pair{}
	if doc == nil || doc.Kind == yaml.ScalarNode && doc.Tag == "!!null" {
		return
	}
	if doc.Kind != yaml.MappingNode {
		l.note("", doc)
		l.report("", false, `write "listen: 127.0.0.1:6001", for instance`, "%s stands where keys with values are wanted", describe(doc))
		return
	}
	fields := fieldsOf(root.Type())
	for _, p := range l.pairs(doc, "") {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == p.name })
		switch {
		case i < 0:
			l.unknown(p, "", fields)
		case p.name == "apps" || p.name == "channels":
			l.late[p.name] = p
		default:
			l.value(p.value, root.FieldByIndex(fields[i].Index), fields[i], p.name, 1)
		}
	}
}

// tenants decodes apps and channels, now that the mode is known.
func (l *loader) tenants(root reflect.Value) {
	for _, name := range []string{"apps", "channels"} {
		if p, ok := l.late[name]; ok {
			v, f, _ := lookup(root, name)
			l.value(p.value, v, f, name, 1)
		}
	}
}

// cliVariables are read by commands other than serve; BIN tells the tests of this repository which binary to run.
var cliVariables = []string{FileVariable, EnvPrefix + "URL", EnvPrefix + "APP", EnvPrefix + "KEY", EnvPrefix + "SECRET", EnvPrefix + "BIN"}

// injected matches the variables that container platforms set for a service called "continuo".
var injected = regexp.MustCompile(`^CONTINUO_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)(_\w+)?)?)$`)

func (l *loader) variables(root reflect.Value) {
	names := slices.Clone(cliVariables)
	for _, s := range Settings() {
		if s.Env == "" {
			continue
		}
		names = append(names, s.Env)
		if text, ok := l.env[s.Env]; ok {
			l.override(root, s.Key, text, place{source: s.Env})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		if slices.Contains(names, name) || injected.MatchString(name) {
			continue
		}
		p := Problem{Source: name, Msg: "no setting has this variable", Warning: true}
		if near := nearest(name, names); near != "" {
			p.Hint = fmt.Sprintf("did you mean %s?", near)
		}
		l.problems = append(l.problems, p)
	}
}

func (l *loader) flags(root reflect.Value, given map[string]string) {
	keys, names := map[string]string{}, []string{}
	for _, s := range Settings() {
		if s.Flag != "" {
			keys[s.Flag] = s.Key
			names = append(names, s.Flag)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if key, ok := keys[name]; ok {
			l.override(root, key, given[name], place{source: "--" + name})
			continue
		}
		p := Problem{Source: "--" + name, Msg: "there is no such flag"}
		if near := nearest(name, names); near != "" {
			p.Hint = fmt.Sprintf("did you mean --%s?", near)
		}
		l.problems = append(l.problems, p)
	}
}

func (l *loader) override(root reflect.Value, key, text string, from place) {
	v, f, ok := lookup(root, key)
	if !ok {
		return
	}
	for i := 0; ; i++ { // the elements of a list in the file are gone, and their places with them
		at := fmt.Sprintf("%s[%d]", key, i)
		if _, ok := l.places[at]; !ok {
			break
		}
		delete(l.places, at)
	}
	l.places[key] = from
	l.set(v, f, key, text)
}

// resolveMode turns auto into one of the two.
func (l *loader) resolveMode() {
	c := l.cfg
	if c.Mode == modeAuto {
		c.Mode = modeProduction
		p, listed := l.late["apps"]
		if (!listed || len(p.value.Content) == 0) && c.App == (SingleApp{}) && c.Loopback() {
			c.Mode = modeDevelopment
		}
	}
	l.dev = c.Development()
}
