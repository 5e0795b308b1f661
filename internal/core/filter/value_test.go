package filter

import (
	"bytes"
	"encoding/json"
	"io"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

func TestNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.0": "0", "-0e9": "0", "7": "7", "-7": "-7", "7.0": "7", "70e-1": "7", "7e2": "700", "1E+3": "1000",
		"0.5": "0.5", "5e-1": "0.5", "0.050": "0.05", "123.4500": "123.45", "12.5e1": "125", "100": "100", "1e59": "1" + strings.Repeat("0", 59), "1e60": "1e60",
		"1e61": "1e61", "1e-70": "1e-70", "1e999999999999": "1e9999999", "0e999999999999": "0",
		"18446744073709551616": "18446744073709551616",
	} {
		if got, ok := appendNumber(nil, []byte(in)); !ok || string(got) != want {
			t.Errorf("%s: %q %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "-", "+1", "01", "-01", ".5", "5.", "1e", "1e+", "1x", "0x1", "1.2.3", "--1", "NaN", "1_0", "1e1.5"} {
		if got, ok := appendNumber(nil, []byte(in)); ok {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestParseValues(t *testing.T) {
	got, err := ParseValues([]byte(` [ "a", 7, 7.0, "7.0", true, "" , 1e2, "\u00e9"] `))
	if want := []string{"a", "7", "7", "7.0", "true", "", "100", "é"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := ParseValues([]byte(`[]`)); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	for _, in := range []string{``, `null`, `7`, `"a"`, `{}`, `[null]`, `[[]]`, `[{}]`, `[1`, `[1]x`, "[" + strings.Repeat("1,", MaxValues) + "1]"} {
		if got, err := ParseValues([]byte(in)); got != nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.20s: %v, %v", in, got, err)
		}
	}
	if _, err := ParseValues([]byte(`[1,null]`)); !strings.Contains(err.Error(), "value 1") {
		t.Errorf("the fault does not say which: %v", err)
	}
}

func FuzzParseValue(f *testing.F) {
	for _, s := range []string{`"a"`, `7`, `-0.50e3`, `true`, `null`, ` 1 `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := ParseValue(raw)
		if err != nil {
			return
		}
		s, err := Compile(Spec{Clauses: []Clause{{Path: "", Values: []string{v}}}})
		if err != nil {
			t.Fatal(err)
		}
		// encoding/json replaces invalid UTF-8, so then the value is not what the bytes were
		if !s.Match("e", raw) && !strings.Contains(v, "\ufffd") {
			t.Fatalf("%q became %q, which it does not match", raw, v)
		}
	})
}

func FuzzParseValues(f *testing.F) {
	f.Add([]byte(`["a",7,true]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		values, err := ParseValues(raw)
		if err != nil {
			return
		}
		for i, v := range values {
			s, err := Compile(Spec{Clauses: []Clause{{Path: "/" + strconv.Itoa(i), Values: []string{v}}}})
			if err != nil {
				t.Fatal(err)
			}
			if !s.Match("e", raw) && !strings.Contains(v, "\ufffd") {
				t.Fatalf("value %d of %q became %q, which it does not match", i, raw, v)
			}
		}
	})
}

func FuzzParsePointer(f *testing.F) {
	for _, s := range []string{"", "/", "/a/b", "/a~1b/~0", "/0", "//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tokens, err := ParsePointer(s)
		if err != nil {
			return
		}
		var back strings.Builder
		for _, tok := range tokens {
			back.WriteString("/" + strings.ReplaceAll(strings.ReplaceAll(tok, "~", "~0"), "/", "~1"))
		}
		if back.String() != s {
			t.Fatalf("%q is taken apart into %q", s, tokens)
		}
	})
}

// reference is the dumb second implementation: decode all, walk, compare numbers as rationals.
func reference(tokens []string, want string, doc any) (found, ok bool) {
	for _, tok := range tokens {
		switch v := doc.(type) {
		case map[string]any:
			if doc, found = v[tok]; !found {
				return false, false
			}
		case []any:
			i := indexOf(tok)
			if i < 0 || i >= len(v) {
				return false, false
			}
			doc = v[i]
		default:
			return false, false
		}
	}
	switch v := doc.(type) {
	case string:
		return true, v == want
	case bool:
		return true, strconv.FormatBool(v) == want
	case json.Number:
		if v.String() == want {
			return true, true
		}
		canonical, valid := appendNumber(nil, []byte(want))
		if !valid || string(canonical) != want || strings.ContainsAny(want, "eE") {
			return true, false
		}
		a, okA := new(big.Rat).SetString(v.String())
		b, okB := new(big.Rat).SetString(want)
		return true, okA && okB && a.Cmp(b) == 0
	}
	return true, false
}

// hasTwice reports whether some object of a document has a member twice: then encoding/json takes the last.
func hasTwice(raw []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var stack []map[string]bool
	var keys []bool // per level: the next string is a name
	for {
		tok, err := dec.Token()
		if err != nil {
			return err != io.EOF
		}
		top := len(stack) - 1
		switch v := tok.(type) {
		case json.Delim:
			switch v {
			case '{', '[':
				if top >= 0 {
					keys[top] = true
				}
				stack = append(stack, map[string]bool{})
				keys = append(keys, true)
				if v == '[' {
					stack[len(stack)-1] = nil
				}
			default:
				stack, keys = stack[:top], keys[:top]
			}
			continue
		case string:
			if top >= 0 && stack[top] != nil && keys[top] {
				if stack[top][v] {
					return true
				}
				stack[top][v] = true
				keys[top] = false
				continue
			}
		}
		if top >= 0 {
			keys[top] = true
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("/a/b", "7", []byte(`{"a":{"b":7.0}}`))
	f.Add("/0/x", "é", []byte(`[{"x":"\u00e9"}]`))
	f.Add("", "true", []byte(` true `))
	f.Add("/a", "1e2", []byte(`{"b":[{}],"a":100}`))
	f.Fuzz(func(t *testing.T, path, want string, raw []byte) {
		set, err := Compile(Spec{Clauses: []Clause{{Path: path, Values: []string{want}}}})
		if err != nil {
			return
		}
		exempt, err := Compile(Spec{Clauses: []Clause{{Path: path, Values: []string{want}, Exempt: true}}})
		if err != nil {
			t.Fatal(err)
		}
		got, gotExempt := set.Match("e", raw), exempt.Match("e", raw)
		if got && !gotExempt {
			t.Fatal("an exemption takes away")
		}
		var doc any
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if dec.Decode(&doc) != nil || dec.More() || !json.Valid(raw) || bytes.Contains(raw, []byte("\ufffd")) || !validUTF8(raw) || len(raw) > 200 {
			return
		}
		if hasTwice(raw) || longExponent(raw) {
			return
		}
		tokens, _ := ParsePointer(path)
		found, ok := reference(tokens, want, doc)
		if got != (found && ok) || gotExempt != (!found || ok) {
			t.Fatalf("%q = %q on %s: %v %v, want found %v ok %v", path, want, raw, got, gotExempt, found, ok)
		}
	})
}

func validUTF8(raw []byte) bool { return bytes.Equal(bytes.ToValidUTF8(raw, nil), raw) }

// longExponent keeps numbers like 1e999999 away from big.Rat.
func longExponent(raw []byte) bool {
	for i, c := range raw {
		if c == 'e' || c == 'E' {
			digits, _ := run(bytes.TrimLeft(raw[i+1:], "+-"))
			if len(digits) > 3 {
				return true
			}
		}
	}
	return false
}

func BenchmarkMatch(b *testing.B) {
	payload := []byte(`{"fixtureId":"f-18832","tournamentId":4711,"status":"live","home":{"name":"Union","goals":1,"cards":[{"min":12,"by":"Ödegård"},{"min":44,"by":"Smith"}]},` +
		`"away":{"name":"Rovers","goals":0,"cards":[]},"clock":{"min":61,"sec":12,"running":true},"bookmakers":["b1","b2","b3"],"note":"a \"quoted\" word","sportId":7}`)
	for name, clauses := range map[string][]Clause{
		"one-last":   {{Path: "/sportId", Values: []string{"7", "8"}}},
		"one-first":  {{Path: "/fixtureId", Values: []string{"f-18832"}}},
		"one-reject": {{Path: "/tournamentId", Values: []string{"1"}}},
		"five": {{Path: "/sportId", Values: []string{"7"}}, {Path: "/tournamentId", Values: []string{"4711"}}, {Path: "/fixtureId", Values: []string{"f-18832"}},
			{Path: "/clock/min", Values: []string{"61"}}, {Path: "/home/name", Values: []string{"Union"}}},
	} {
		s := compile(b, clauses...)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				s.Match("e", payload)
			}
		})
	}
}
