package arch

import (
	"fmt"
	"go/ast"
	"strings"
)

func checkSizes(t *Tree) []Violation {
	var found []Violation
	for _, pkg := range t.packages {
		for _, f := range pkg.sources() {
			if f.generated {
				continue
			}
			limit := maxFileLines
			if _, ok := match("cmd/*/main.go", f.path); ok {
				limit = maxMainLines
			}
			if lines := strings.Count(f.src, "\n"); lines > limit {
				found = append(found, Violation{f.path, 0, fmt.Sprintf("%d lines, at most %d", lines, limit)})
			}
			for _, decl := range f.ast.Decls {
				function, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				from, to := t.line(function.Pos()), t.line(function.End())
				if lines := to - from + 1; lines > maxFuncLines {
					found = append(found, Violation{f.path, from,
						fmt.Sprintf("func %s has %d lines, at most %d", function.Name.Name, lines, maxFuncLines)})
				}
			}
		}
	}
	return found
}
