// Package arch checks the rules of this repository against its own source tree.
//
// The rules are data (rules.go); the checks are pure functions over the parsed tree, so that a test can also show, on
// small trees made for the purpose, that each rule catches what it is there for. Nothing imports this package.
package arch

import (
	"cmp"
	"fmt"
	"slices"
)

// Module is the path of the module; imports below it are "ours".
const Module = "github.com/continuo-rt/continuo"

// Violation is one place where the tree breaks a rule.
type Violation struct {
	Path string // of a file or folder, from the root of the repository
	Line int    // 0 if it is about the whole
	Text string
}

// String is the violation in the form that editors jump to.
func (v Violation) String() string {
	if v.Line == 0 {
		return fmt.Sprintf("%s: %s", v.Path, v.Text)
	}
	return fmt.Sprintf("%s:%d: %s", v.Path, v.Line, v.Text)
}

// Rule is one check of the whole tree.
type Rule struct {
	Name  string
	Check func(*Tree) []Violation
}

// Rules lists every rule, in the order in which they are reported.
func Rules() []Rule {
	return []Rule{
		{"module path", checkModule},
		{"imports point inward", checkImports},
		{"pure code is pure", checkPurity},
		{"every package says what it is", checkComments},
		{"packages are named for a noun", checkNames},
		{"files and functions are small", checkSizes},
		{"every decoder is fuzzed", checkDecoders},
		{"nothing happens at init", checkInit},
		{"tests neither sleep nor skip", checkTests},
	}
}

// Check returns what breaks a rule, in order of path and line.
func Check(tree *Tree, rule Rule) []Violation {
	found := rule.Check(tree)
	slices.SortFunc(found, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	return found
}
