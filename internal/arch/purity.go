package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
)

func checkPurity(t *Tree) []Violation {
	var found []Violation
	for _, pkg := range t.packages {
		if !matchAny(pureDirs, "", pkg.dir) || isSuite(pkg.dir) {
			continue
		}
		for _, f := range pkg.sources() {
			local := f.localNames()
			ast.Inspect(f.ast, func(node ast.Node) bool {
				problem := concurrency(node)
				if imported, name, ok := selection(local, node); ok {
					problem = impure[imported].problem(imported, name)
				}
				if problem != "" {
					found = append(found, Violation{f.path, t.line(node.Pos()), problem})
				}
				return true
			})
		}
	}
	return found
}

func (n names) problem(imported, name string) string {
	if len(n.only) > 0 && !slices.Contains(n.only, name) || slices.Contains(n.never, name) {
		return fmt.Sprintf("%s.%s: %s", imported, name, n.why)
	}
	return ""
}

// concurrency says what of the scheduler a node uses, if anything.
func concurrency(node ast.Node) string {
	const why = ": no goroutine in pure code"
	switch node := node.(type) {
	case *ast.GoStmt:
		return "go statement" + why
	case *ast.SelectStmt:
		return "select" + why
	case *ast.ChanType:
		return "channel" + why
	case *ast.SendStmt:
		return "send" + why
	case *ast.UnaryExpr:
		if node.Op == token.ARROW {
			return "receive" + why
		}
	}
	return ""
}
