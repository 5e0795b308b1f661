package channel

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

func pattern(t testing.TB, s string) Pattern {
	t.Helper()
	p, err := ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPatternMatch(t *testing.T) {
	for _, c := range []struct{ pattern, yes, no string }{
		{"news", "news", "new newss xnews News"},
		{"*", "news a private-x", ""},
		{"**", "news a", ""},
		{"room-*", "room- room-1 room-*", "room xroom-1"},
		{"*-chat", "-chat a-chat", "chat a-chats"},
		{"a*b", "ab axb abb", "a b ba aba"},
		{"*mid*", "mid amid midb amidb", "mi dim"},
		{"a*b*c", "abc aXbYc abbc abcbc", "ac acb abcd"},
		{"a**c", "ac abc", "a c"},
		{"aa*aa", "aaaa aaxaa", "aa aaa"},
		{"*ab*ab*", "abab abxab", "ab aab"},
		{"#server-to-user-*", "#server-to-user-é", "#server-to-usé"},
	} {
		p := pattern(t, c.pattern)
		for _, s := range strings.Fields(c.yes) {
			if !p.Match(s) {
				t.Errorf("%q does not match %q", c.pattern, s)
			}
		}
		for _, s := range strings.Fields(c.no) {
			if p.Match(s) {
				t.Errorf("%q matches %q", c.pattern, s)
			}
		}
	}
	if (Pattern{}).Match("") || (Pattern{}).All() {
		t.Error("the zero pattern matches")
	}
	if !pattern(t, "**").All() || pattern(t, "a*").All() {
		t.Error("All")
	}
}

func TestPatternRefuses(t *testing.T) {
	for _, s := range []string{"", "a b", "é", strings.Repeat("a", PatternMax+1), "#server-to-user-\xff"} {
		if p, err := ParsePattern(s); fault.KindOf(err) != fault.Invalid || p != (Pattern{}) {
			t.Errorf("ParsePattern(%q) = %v, %v", Quote(s), p, err)
		}
	}
}

func TestExactly(t *testing.T) {
	n, err := Parse("#server-to-user-a*", 0)
	if err != nil {
		t.Fatal(err)
	}
	if p := Exactly(n); p.Match("#server-to-user-ab") || !p.Match("#server-to-user-a*") {
		t.Error("a star in a user id became a wildcard")
	}
}

func TestWildcard(t *testing.T) {
	for _, s := range []string{"*", "ticker:*", "*-x", "a*b", "p*"} {
		p, err := ParseWildcard(s, 0)
		if err != nil {
			t.Errorf("ParseWildcard(%q): %v", s, err)
			continue
		}
		for _, secret := range []string{"private-x", "presence-x", "private-encrypted-x", "#server-to-user-x"} {
			if p.Match(secret) {
				t.Errorf("the wildcard %q reaches %q", s, secret)
			}
		}
		if p.All() {
			t.Errorf("the wildcard %q claims every channel", s)
		}
	}
	if p, _ := ParseWildcard("t*", 0); !p.Match("ticker") || p.Match("news") {
		t.Error("t*")
	}
	for s, kind := range map[string]fault.Kind{
		"": fault.Invalid, "a": fault.Invalid, "a**": fault.Invalid, "a*b*": fault.Invalid, "a#*": fault.Invalid,
		"a,*": fault.Invalid, strings.Repeat("a", 200) + "*": fault.Invalid,
		"private-*": fault.Forbidden, "presence-*": fault.Forbidden, "private-encrypted-*": fault.Forbidden,
	} {
		if _, err := ParseWildcard(s, 0); err == nil || fault.KindOf(err) != kind {
			t.Errorf("ParseWildcard(%q): %v, want %v", Quote(s), err, kind)
		}
	}
}

func TestPatterns(t *testing.T) {
	ps, err := ParsePatterns([]string{"a", "b*", "c", "a"})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ps.Named(), " "); got != "a c" {
		t.Errorf("Named = %q", got)
	}
	if !ps.Match("bx") || !ps.Match("c") || ps.Match("x") || Patterns(nil).Match("a") {
		t.Error("Match")
	}
	if _, err := ParsePatterns([]string{"a", " "}); err == nil {
		t.Error("a bad pattern passed")
	}
	if ps, err := ParsePatterns(nil); ps != nil || err != nil {
		t.Error("no patterns are an error")
	}
}

// slow is the dumb second implementation: the textbook table over both strings.
func slow(pattern, name string) bool {
	row := make([]bool, len(name)+1)
	row[0] = true
	for i := range len(pattern) {
		next := make([]bool, len(name)+1)
		for j := range next {
			if pattern[i] == '*' {
				next[j] = row[j] || (j > 0 && next[j-1])
			} else {
				next[j] = j > 0 && row[j-1] && name[j-1] == pattern[i]
			}
		}
		row = next
	}
	return row[len(name)]
}

func TestMatchAgainstTable(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	word := func(alphabet string, max int) string {
		b := make([]byte, rnd.IntN(max))
		for i := range b {
			b[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		return string(b)
	}
	for range 200_000 {
		p, n := word("ab*", 10), word("ab", 14)
		if p == "" {
			continue
		}
		if got, want := pattern(t, p).Match(n), slow(p, n); got != want {
			t.Fatalf("%q on %q: %v, want %v", p, n, got, want)
		}
	}
}

// TestMatchIsLinear feeds what makes a backtracking matcher take years.
func TestMatchIsLinear(t *testing.T) {
	p := pattern(t, strings.Repeat("a*", PatternMax/2-1)+"b")
	name := strings.Repeat("a", 1<<16)
	start := time.Now()
	if p.Match(name) {
		t.Error("matched")
	}
	p = pattern(t, "*"+strings.Repeat("a*", PatternMax/2-3)+"c*")
	if p.Match(name) {
		t.Error("matched")
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

func FuzzParsePattern(f *testing.F) {
	f.Add("a*b", "axb")
	f.Add("**", "")
	f.Add("#server-to-user-*", "#server-to-user-é")
	f.Fuzz(func(t *testing.T, s, name string) {
		p, err := ParsePattern(s)
		if err != nil {
			return
		}
		if p.String() != s || p.Match(name) != slow(s, name) {
			t.Fatalf("%q on %q: %v", s, name, p.Match(name))
		}
	})
}

func FuzzParsePatterns(f *testing.F) {
	f.Add("a", "b*", "a")
	f.Fuzz(func(t *testing.T, a, b, name string) {
		ps, err := ParsePatterns([]string{a, b})
		if err == nil && ps.Match(name) != (slow(a, name) || slow(b, name)) {
			t.Fatalf("%q, %q on %q: %v", a, b, name, ps.Match(name))
		}
	})
}

func FuzzParseWildcard(f *testing.F) {
	f.Add("a*b", "axb")
	f.Add("p*", "private-x")
	f.Fuzz(func(t *testing.T, s, name string) {
		p, err := ParseWildcard(s, 0)
		if err != nil {
			return
		}
		kind, _ := Classify(name)
		if p.Match(name) != (kind == Public && slow(s, name)) {
			t.Fatalf("%q on %q: %v", s, name, p.Match(name))
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for _, s := range []string{"news", "ticker:*", "*:BTC", "a*:*C"} {
		p := pattern(b, s)
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Match("ticker:BTC")
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("private-orders.customer-18832", 0); err != nil {
			b.Fatal(err)
		}
	}
}
