package filter

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// TestAgainstReference draws documents and filters from a small alphabet, so that they meet often, and compares with the
// dumb second implementation.
func TestAgainstReference(t *testing.T) {
	const seed = 7
	rnd := rand.New(rand.NewPCG(seed, seed))
	met := 0
	for round := range 20_000 {
		var doc strings.Builder
		writeDoc(&doc, rnd, 0)
		dec := json.NewDecoder(strings.NewReader(doc.String()))
		dec.UseNumber()
		var value any
		if err := dec.Decode(&value); err != nil {
			t.Fatalf("seed %d round %d: %s: %v", seed, round, doc.String(), err)
		}
		var clauses []Clause
		want := true
		for range 1 + rnd.IntN(3) {
			c := Clause{Path: pathOf(rnd), Values: []string{atoms[rnd.IntN(len(atoms))].text}, Exempt: rnd.IntN(4) == 0}
			clauses = append(clauses, c)
			tokens, err := ParsePointer(c.Path)
			if err != nil {
				t.Fatal(err)
			}
			found, ok := reference(tokens, c.Values[0], value)
			if ok {
				met++
			}
			want = want && ((found && ok) || (!found && c.Exempt))
		}
		if repeats(clauses) {
			continue // merged into an intersection, which the reference does not know
		}
		if got := compile(t, clauses...).Match("e", []byte(doc.String())); got != want {
			t.Fatalf("seed %d round %d: %+v on %s: %v", seed, round, clauses, doc.String(), got)
		}
	}
	if met < 100 {
		t.Errorf("only %d of the draws met", met)
	}
}

var names = []string{"a", "b", "", "0", "1", "é", `a\"`, `\u0061b`, `a\/b`}

var atoms = []struct{ raw, text string }{
	{`1`, "1"}, {`1.0`, "1"}, {`"1"`, "1"}, {`10e-1`, "1"}, {`-2`, "-2"}, {`"x"`, "x"}, {`"\u0078"`, "x"}, {`"]}\""`, `]}"`},
	{`true`, "true"}, {`"true"`, "true"}, {`null`, "null"}, {`""`, ""}, {`0.5`, "0.5"}, {`5E-1`, "0.5"},
}

func writeDoc(b *strings.Builder, rnd *rand.Rand, depth int) {
	blank := func() { b.WriteString([]string{"", "", " ", "\n\t"}[rnd.IntN(4)]) }
	blank()
	kind := rnd.IntN(3)
	if depth == 0 {
		kind = rnd.IntN(2)
	}
	if depth > 3 {
		kind = 2
	}
	switch kind {
	case 0:
		b.WriteByte('{')
		for i, n := range rnd.Perm(len(names))[:rnd.IntN(5)] {
			if i > 0 {
				b.WriteByte(',')
			}
			blank()
			b.WriteString(`"` + names[n] + `"`)
			blank()
			b.WriteByte(':')
			writeDoc(b, rnd, depth+1)
		}
		b.WriteByte('}')
	case 1:
		b.WriteByte('[')
		for i := range rnd.IntN(4) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeDoc(b, rnd, depth+1)
		}
		b.WriteByte(']')
	default:
		b.WriteString(atoms[rnd.IntN(len(atoms))].raw)
	}
	blank()
}

func pathOf(rnd *rand.Rand) string {
	var b strings.Builder
	for range 1 + rnd.IntN(3) {
		name, err := strconv.Unquote(`"` + strings.ReplaceAll(names[rnd.IntN(len(names))], `\/`, `/`) + `"`)
		if err != nil {
			panic(err)
		}
		b.WriteString("/" + strings.ReplaceAll(name, "/", "~1"))
	}
	return b.String()
}

func repeats(clauses []Clause) bool {
	seen := map[string]bool{}
	for _, c := range clauses {
		if seen[c.Path] {
			return true
		}
		seen[c.Path] = true
	}
	return false
}
