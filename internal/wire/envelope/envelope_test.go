package envelope

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", "byte 0: the JSON ends where a JSON value was expected"},
		{"two values", "1 2", "byte 2: there is more after the end"},
		{"open object", `{"a":1`, "byte 6: the JSON ends where ',' or '}' was expected"},
		{"trailing comma", `{"a":1,}`, "byte 7: '}' where a member name was expected"},
		{"trailing comma in array", `[1,]`, "byte 3: ']' where a JSON value was expected"},
		{"no colon", `{"a" 1}`, "byte 5: '1' where ':' was expected"},
		{"duplicate", `{"a":1,"a":2}`, `byte 7: the member "a" is there twice`},
		{"duplicate by escape", `{"a":1,"\u0061":2}`, "is there twice"},
		{"duplicate among many", many(`"x3"`), `the member "x3" is there twice`},
		{"deep", strings.Repeat("[", 33) + strings.Repeat("]", 33), "byte 32: nested more than 32 levels"},
		{"control character", "\"a\nb\"", "byte 2: the control character 0x0a"},
		{"open string", `"abc`, "byte 4: the JSON ends within a string"},
		{"bad escape", `"\x"`, "byte 2: 'x' where an escape was expected"},
		{"bad unicode escape", `"\u12g4"`, "byte 5: 'g' where a hexadecimal digit"},
		{"high surrogate alone", `"\ud800"`, "byte 1: half a surrogate pair"},
		{"low surrogate alone", `"\udc00"`, "half a surrogate pair"},
		{"two high surrogates", `"\ud800\ud800"`, "half a surrogate pair"},
		{"invalid UTF-8", "\"a\xff\"", "byte 2: not valid UTF-8"},
		{"leading zero", "01", "byte 1: a number with a leading zero"},
		{"plus", "+1", "byte 0: '+' where a JSON value"},
		{"point alone", "1.", "byte 2: the JSON ends where a digit"},
		{"exponent alone", "1e", "the JSON ends where a digit"},
		{"minus alone", "-", "the JSON ends where a digit"},
		{"word", "nul", "the JSON ends where null"},
		{"NaN", "NaN", "'N' where a JSON value"},
		{"comment", "/* */1", "'/' where a JSON value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Parse(%q) = %v, want %q", tt.in, err, tt.want)
			}
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("kind %v", fault.KindOf(err))
			}
		})
	}
}

func many(last string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range 40 {
		b.WriteString(`"x` + string(rune('0'+i%10)) + strings.Repeat("y", i/10) + `":1,`)
	}
	return b.String() + last + ":1}"
}

func TestValue(t *testing.T) {
	v, err := Parse([]byte(" {\"s\" : \"a\\\"\\u00e9\\ud83d\\ude00\\n\" , \"n\":12, \"neg\":-1,\"f\":1.5,\"t\":true,\"z\":null,\"o\":{\"k\":[1,\"]\",{}]},\"e\":[],\"big\":99999999999999999999} "))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := v.Get("s").Text(); !ok || s != "a\"é😀\n" {
		t.Errorf("s = %q %v", s, ok)
	}
	if n, ok := v.Get("n").Uint(); !ok || n != 12 {
		t.Errorf("n = %d %v", n, ok)
	}
	for _, name := range []string{"neg", "f", "t", "s", "big", "missing"} {
		if n, ok := v.Get(name).Uint(); ok {
			t.Errorf("%s is %d", name, n)
		}
	}
	if b, ok := v.Get("t").Bool(); !b || !ok {
		t.Error("t")
	}
	if v.Get("z").Given() || v.Get("missing").Given() || !v.Get("e").Given() {
		t.Error("Given")
	}
	if got := string(v.Get("o").Get("k")); got != `[1,"]",{}]` {
		t.Errorf("k = %s", got)
	}
	var items []string
	for item := range v.Get("o").Get("k").Items() {
		items = append(items, string(item))
	}
	if strings.Join(items, "|") != `1|"]"|{}` {
		t.Errorf("items %q", items)
	}
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "plain", "q\"b\\s/\b\f\n\r\t\x00\x1f\x7f", "é漢😀\u2028", "a\xffb\xc3"} {
		got := AppendString(nil, s)
		var back string
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if want := strings.ToValidUTF8(s, "\uFFFD"); back != want {
			t.Errorf("%q came back as %q", s, back)
		}
		if string(AppendString(nil, []byte(s))) != string(got) {
			t.Errorf("bytes differ from string for %q", s)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":"\u00e9"}],"c":null}`, `"\ud83d\ude00"`, "[[[[]]]]", "1e-5", many(`"z"`), " { } "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what encoding/json refuses: %q", data)
		}
		walk(v)
		if s, ok := v.Text(); ok {
			var want string
			if err := json.Unmarshal(v, &want); err != nil || s != want {
				t.Fatalf("text %q, want %q (%v)", s, want, err)
			}
			if again, err := Parse(AppendString(nil, s)); err != nil || string(again.AppendText(nil)) != s {
				t.Fatalf("%q does not survive: %v", s, err)
			}
		}
	})
}

func walk(v Value) {
	for _, m := range v.Members() {
		walk(m)
	}
	for item := range v.Items() {
		walk(item)
	}
	v.Text()
	v.Uint()
	v.Bool()
}

func BenchmarkAppendString(b *testing.B) {
	s := []byte(strings.Repeat(`{"price":12.5,"symbol":"BTC"}`, 7))
	dst := make([]byte, 0, 512)
	for b.Loop() {
		dst = AppendString(dst[:0], s)
	}
}

func BenchmarkParse(b *testing.B) {
	s := []byte(`{"event":"client-x","channel":"private-room","data":{"a":1,"b":[1,2,3],"text":"some text that goes on for a while"}}`)
	for b.Loop() {
		if _, err := Parse(s); err != nil {
			b.Fatal(err)
		}
	}
}
