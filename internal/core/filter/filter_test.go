package filter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

func compile(t testing.TB, clauses ...Clause) *Set {
	t.Helper()
	s, err := Compile(Spec{Clauses: clauses})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		path, values string // values are separated by |
		payload      string
		want         bool
	}{
		{"/sportId", "7", `{"sportId":7}`, true},
		{"/sportId", "7", `{"sportId":"7"}`, true},
		{"/sportId", "7|8", `{"a":1,"sportId":8,"b":2}`, true},
		{"/sportId", "7", `{"sportId":77}`, false},
		{"/sportId", "7", `{"sportid":7}`, false},
		{"/sportId", "7", `{"x":{"sportId":7}}`, false},
		{"/sportId", "7", `{"x":"\"sportId\":7"}`, false},
		{"/sportId", "7", ` { "x" : [ { "sportId" : 1 } ] , "sportId" : 7 } `, true},
		{"/sportId", "7", `{}`, false},
		{"/sportId", "7", ``, false},
		{"/sportId", "7", `7`, false},
		{"/sportId", "7", `plain text`, false},
		{"/sportId", "7", "\x00\xff", false},
		{"/sportId", "", `{"sportId":7}`, false},
		// numbers equal their decimal strings
		{"/n", "7", `{"n":7.0}`, true},
		{"/n", "7.0", `{"n":7.0}`, true},
		{"/n", "7", `{"n":70e-1}`, true},
		{"/n", "700", `{"n":7E+2}`, true},
		{"/n", "0.07", `{"n":7e-2}`, true},
		{"/n", "-1.5", `{"n":-1.50}`, true},
		{"/n", "0", `{"n":-0}`, true},
		{"/n", "12345678901234567890", `{"n":12345678901234567890}`, true},
		{"/n", "12345678901234567890", `{"n":12345678901234567891}`, false},
		{"/n", "7", `{"n":"7.0"}`, false},
		{"/n", "7", `{"n":07}`, false},
		{"/n", "1", `{"n":1-2}`, false},
		// other values
		{"/v", "true", `{"v":true}`, true},
		{"/v", "true", `{"v":"true"}`, true},
		{"/v", "true", `{"v":false}`, false},
		{"/v", "null", `{"v":null}`, false},
		{"/v", "null", `{"v":"null"}`, true},
		{"/v", "[1]", `{"v":[1]}`, false},
		{"/v", "", `{"v":""}`, true},
		// escapes, in values and names
		{"/v", "a\"b\\c/\n", `{"v":"a\"b\\c\/\n"}`, true},
		{"/v", "é😀", `{"v":"\u00e9\ud83d\ude00"}`, true},
		{"/v", "\ufffdx", `{"v":"\ud83dx"}`, true},
		{"/v", "\\", `{"v":"\\"}`, true},
		{"/v", "x", `{"w":"\\","v":"x"}`, true},
		{"/v", "x", `{"w":"\\\"","v":"x"}`, true},
		{"/v", "x", `{"v":"\x"}`, false},
		{"/é", "1", `{"\u00e9":1}`, true},
		{"/a~1b", "1", `{"a/b":1}`, true},
		{"/a~0b", "1", `{"a~b":1}`, true},
		{"/~01", "1", `{"~1":1}`, true},
		{"/", "1", `{"":1}`, true},
		// depth
		{"/a/b/c", "1", `{"a":{"x":{},"b":{"y":[[]],"c":1}}}`, true},
		{"/a/b", "1", `{"a":1}`, false},
		{"/a/1", "y", `{"a":["x","y"]}`, true},
		{"/a/1", "y", `{"a":{"1":"y"}}`, true},
		{"/a/01", "y", `{"a":["x","y"]}`, false},
		{"/a/2", "y", `{"a":["x","y"]}`, false},
		{"/0/id", "1", `[{"id":1}]`, true},
		{"", "7", `7`, true},
		{"", "7", `"7"`, true},
		{"", "a", `{"a":1}`, false},
		// twice: the first counts
		{"/a", "1", `{"a":1,"a":2}`, true},
		{"/a", "2", `{"a":1,"a":2}`, false},
		// cut off
		{"/b", "1", `{"a":"x`, false},
		{"/b", "1", `{"a"`, false},
		{"/b", "1", `{"a":[[[`, false},
		{"/b", "1", `{"b":`, false},
		{"/b", "1", `{"b":1`, true},
		{"/b", "1", `{a:1,"b":1}`, false},
	} {
		s := compile(t, Clause{Path: c.path, Values: split(c.values)})
		if got := s.Match("e", []byte(c.payload)); got != c.want {
			t.Errorf("%s in %q on %s: %v", c.path, c.values, c.payload, got)
		}
	}
}

func split(values string) []string { return strings.Split(values, "|") }

func TestExempt(t *testing.T) {
	s := compile(t, Clause{Path: "/a", Values: []string{"1"}, Exempt: true})
	for payload, want := range map[string]bool{
		`{"a":1}`: true, `{"b":2}`: true, ``: true, `text`: true, `{"x":"`: true, `[]`: true,
		`{"a":2}`: false, `{"a":null}`: false, `{"a":{}}`: false,
	} {
		if s.Match("e", []byte(payload)) != want {
			t.Errorf("%s: %v", payload, !want)
		}
	}
}

func TestAnd(t *testing.T) {
	s := compile(t,
		Clause{Path: "/sport", Values: []string{"1", "2"}},
		Clause{Path: "/book/id", Values: []string{"b1"}},
		Clause{Path: "/book/tags/0", Values: []string{"x"}, Exempt: true},
	)
	for payload, want := range map[string]bool{
		`{"sport":1,"book":{"id":"b1"}}`:                true,
		`{"book":{"id":"b1","tags":["x"]},"sport":2}`:   true,
		`{"book":{"tags":["y"],"id":"b1"},"sport":2}`:   false,
		`{"sport":3,"book":{"id":"b1"}}`:                false,
		`{"sport":1,"book":{"id":"b2"}}`:                false,
		`{"sport":1}`:                                   false,
		`{"book":{"id":"b1"}}`:                          false,
		`{"sport":1,"book":"b1"}`:                       false,
		`{"sport":1,"book":{"id":"b1","tags":"none"}}`:  true,
		`{"sport":1,"book":{"id":"b1","tags":[]},"x":1`: true,
	} {
		if s.Match("e", []byte(payload)) != want {
			t.Errorf("%s: %v", payload, !want)
		}
	}
}

func TestEvents(t *testing.T) {
	s, err := Compile(Spec{Events: []string{"goal", "card"}, Clauses: []Clause{{Path: "/a", Values: []string{"1"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Match("goal", []byte(`{"a":1}`)) || s.Match("goal", []byte(`{"a":2}`)) || s.Match("chat", []byte(`{"a":1}`)) {
		t.Error("events and clauses are not ANDed")
	}
	only, err := Compile(Spec{Events: []string{"goal"}})
	if err != nil || !only.Match("goal", nil) || only.Match("card", nil) {
		t.Errorf("%v", err)
	}
	none, err := Compile(Spec{Events: []string{}})
	if err != nil || none.Match("goal", nil) {
		t.Errorf("an empty list of events passes something: %v", err)
	}
}

func TestNilSet(t *testing.T) {
	s, err := Compile(Spec{})
	if s != nil || err != nil {
		t.Fatal("a spec that asks for nothing")
	}
	if !s.Match("e", []byte("x")) || s.Key() != "" {
		t.Error("the nil set filters")
	}
}

// TestMerge: two clauses on one path are an intersection, as an entitlement and a wish are.
func TestMerge(t *testing.T) {
	s := compile(t,
		Clause{Path: "/a", Values: []string{"1", "2", "3"}, Exempt: true},
		Clause{Path: "/a", Values: []string{"2", "3", "4"}})
	for payload, want := range map[string]bool{`{"a":1}`: false, `{"a":2}`: true, `{"a":4}`: false, `{}`: false} {
		if s.Match("e", []byte(payload)) != want {
			t.Errorf("%s: %v", payload, !want)
		}
	}
	if s.Key() != compile(t, Clause{Path: "/a", Values: []string{"3", "2"}}).Key() {
		t.Error("merged and plain have different keys")
	}
}

func TestKey(t *testing.T) {
	a, b := Clause{Path: "/a", Values: []string{"1", "2"}}, Clause{Path: "/b", Values: []string{"x"}}
	if compile(t, a, b).Key() != compile(t, b, Clause{Path: "/a", Values: []string{"2", "1", "2"}}).Key() {
		t.Error("order or repetition changes the key")
	}
	seen := map[string]string{}
	for what, spec := range map[string]Spec{
		"a":               {Clauses: []Clause{a}},
		"b":               {Clauses: []Clause{b}},
		"a and b":         {Clauses: []Clause{a, b}},
		"a exempt":        {Clauses: []Clause{{Path: "/a", Values: a.Values, Exempt: true}}},
		"joined values":   {Clauses: []Clause{{Path: "/a", Values: []string{"12"}}}},
		"no values":       {Clauses: []Clause{{Path: "/a"}}},
		"empty value":     {Clauses: []Clause{{Path: "/a", Values: []string{""}}}},
		"events":          {Events: []string{"/a", "1", "2"}},
		"events and a":    {Events: []string{"x"}, Clauses: []Clause{a}},
		"no events":       {Events: []string{}},
		"no events and a": {Events: []string{}, Clauses: []Clause{a}},
	} {
		s, err := Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[s.Key()]; ok || s.Key() == "" {
			t.Errorf("%q and %q have the same key", what, other)
		}
		seen[s.Key()] = what
	}
}

func TestCompileRefuses(t *testing.T) {
	many := make([]Clause, MaxClauses+1)
	for i := range many {
		many[i].Path = fmt.Sprintf("/p%d", i)
	}
	for why, spec := range map[string]Spec{
		"too many clauses": {Clauses: many},
		"too many values":  {Clauses: []Clause{{Path: "/a", Values: make([]string, MaxValues+1)}}},
		"too many events":  {Events: make([]string, MaxEvents+1)},
		"no pointer":       {Clauses: []Clause{{Path: "a"}}},
		"bad escape":       {Clauses: []Clause{{Path: "/a~2"}}},
		"open escape":      {Clauses: []Clause{{Path: "/a~"}}},
		"too deep":         {Clauses: []Clause{{Path: strings.Repeat("/a", MaxTokens+1)}}},
		"too long":         {Clauses: []Clause{{Path: "/" + strings.Repeat("a", MaxPointer)}}},
	} {
		if s, err := Compile(spec); s != nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, %v", why, s, err)
		}
	}
	if s, err := Compile(Spec{Clauses: many[:MaxClauses]}); err != nil || !s.Match("e", nil) == false {
		t.Errorf("the most clauses: %v", err)
	}
}

// TestDeep: depth costs no stack, and a payload made to be slow is not.
func TestDeep(t *testing.T) {
	s := compile(t, Clause{Path: "/b", Values: []string{"1"}})
	deep := strings.Repeat("[", 1<<20)
	if s.Match("e", []byte(`{"a":`+deep)) {
		t.Error("matched")
	}
	if !s.Match("e", []byte(`{"a":`+deep+strings.Repeat("]", 1<<20)+`,"b":1}`)) {
		t.Error("did not match behind a deep value")
	}
	if !s.Match("e", []byte(`{"a":"`+strings.Repeat(`\\`, 1<<20)+strings.Repeat(`\"`, 1<<20)+`","b":1}`)) {
		t.Error("did not match behind a string of escapes")
	}
}
