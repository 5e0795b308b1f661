package sdk

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"testing"
)

// matches tells whether got is what want says of it: objects may have more members, null is absent, the rest is equal.
func matches(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		for name, w := range want {
			ok = ok && matches(object[name], w)
		}
		return ok
	case []any:
		list, ok := got.([]any)
		ok = ok && len(list) == len(want)
		for i := range want {
			ok = ok && matches(list[i], want[i])
		}
		return ok
	}
	return reflect.DeepEqual(got, want)
}

var reference = regexp.MustCompile(`\$[a-z]+`)

// resolve puts saved values in the place of their names.
func resolve(v any, saved map[string]any) any {
	switch v := v.(type) {
	case string:
		if value, ok := saved[v]; ok {
			return value
		}
		return reference.ReplaceAllStringFunc(v, func(name string) string {
			if value, ok := saved[name]; ok {
				return fmt.Sprint(value)
			}
			return name
		})
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, m := range v {
			out[name] = resolve(m, saved)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = resolve(e, saved)
		}
		return out
	}
	return v
}

// plain is v as JSON decodes it.
func plain(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		return err.Error()
	}
	return out
}

func shown(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		got, want string
		ok        bool
	}{
		{`{"a":1,"b":2}`, `{"a":1}`, true},
		{`{"a":1}`, `{"a":1,"b":null}`, true},
		{`{"a":1,"b":2}`, `{"b":null}`, false},
		{`{"a":1}`, `{"a":"1"}`, false},
		{`[{"a":1,"b":2},3]`, `[{"a":1},3]`, true},
		{`[1,2]`, `[1]`, false},
		{`null`, `{}`, false},
		{`"x"`, `"x"`, true},
	} {
		var got, want any
		if json.Unmarshal([]byte(c.got), &got) != nil || json.Unmarshal([]byte(c.want), &want) != nil {
			t.Fatal(c)
		}
		if matches(got, want) != c.ok {
			t.Errorf("%s matches %s: %v", c.got, c.want, !c.ok)
		}
	}
	saved := map[string]any{"$m": "17", "$i": 3.0}
	if got := shown(resolve(map[string]any{"a": []any{"$m", "n $i", "$i", "$", 1}}, saved)); got != `{"a":["17","n 3",3,"$",1]}` {
		t.Error(got)
	}
}
