package arch

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

func checkComments(t *Tree) []Violation {
	var found []Violation
	for _, pkg := range t.packages {
		files := pkg.sources()
		if len(files) == 0 {
			files = pkg.tests()
		}
		if !slices.ContainsFunc(files, documentsPackage) {
			found = append(found, Violation{pkg.dir, 0, fmt.Sprintf("no package comment (“Package %s …”)", files[0].ast.Name.Name)})
		}
	}
	return found
}

func documentsPackage(f *file) bool {
	start := "Package " + f.ast.Name.Name + " "
	if f.ast.Name.Name == "main" {
		start = "Command "
	}
	return strings.HasPrefix(f.ast.Doc.Text(), start)
}

func checkNames(t *Tree) []Violation {
	var found []Violation
	for _, pkg := range t.packages {
		for _, name := range []string{path.Base(pkg.dir), strings.TrimSuffix(pkg.files[0].ast.Name.Name, "_test")} {
			if slices.Contains(vagueNames, name) {
				found = append(found, Violation{pkg.dir, 0, fmt.Sprintf("%q names no noun of the project", name)})
				break
			}
		}
	}
	return found
}

func checkInit(t *Tree) []Violation {
	var found []Violation
	for _, pkg := range t.packages {
		for _, f := range pkg.sources() {
			if f.generated {
				continue
			}
			for _, decl := range f.ast.Decls {
				if function, ok := decl.(*ast.FuncDecl); ok && function.Recv == nil && function.Name.Name == "init" {
					found = append(found, Violation{f.path, t.line(function.Pos()), "func init: the wiring lists what exists"})
				}
			}
		}
	}
	return found
}

func checkTests(t *Tree) []Violation {
	var found []Violation
	for _, pkg := range t.packages {
		for _, f := range pkg.files {
			if !f.test && !isSuite(pkg.dir) {
				continue
			}
			local := f.localNames()
			ast.Inspect(f.ast, func(node ast.Node) bool {
				if insideBubble(local, node) {
					return false // time is fake there: sleeping is how it passes
				}
				if imported, name, ok := selection(local, node); ok && imported == "time" && name == "Sleep" {
					found = append(found, Violation{f.path, t.line(node.Pos()), "time.Sleep in a test: use a signal, or testing/synctest"})
				}
				if skips(node) {
					found = append(found, Violation{f.path, t.line(node.Pos()), "a skipped test says nothing: make what it needs, or delete it"})
				}
				return true
			})
		}
	}
	return found
}

// insideBubble tells whether node is a call of synctest.Test; its function runs with a fake clock.
func insideBubble(local map[string]string, node ast.Node) bool {
	call, ok := node.(*ast.CallExpr)
	if !ok {
		return false
	}
	imported, name, ok := selection(local, call.Fun)
	return ok && imported == "testing/synctest" && name == "Test"
}

// skips tells whether node is t.Skip, t.Skipf or t.SkipNow, by the names that a testing.TB has everywhere.
func skips(node ast.Node) bool {
	selector, ok := node.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	ident, ok := selector.X.(*ast.Ident)
	return ok && slices.Contains([]string{"t", "b", "f", "tb"}, ident.Name) &&
		slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, selector.Sel.Name)
}
