package arch

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

func checkModule(t *Tree) []Violation {
	first, _, _ := strings.Cut(t.gomod, "\n")
	if strings.TrimSpace(first) != "module "+Module {
		return []Violation{{"go.mod", 1, fmt.Sprintf("%q, want %q", first, "module "+Module)}}
	}
	return nil
}

func checkImports(t *Tree) []Violation {
	var found []Violation
	for _, pkg := range t.packages {
		sources := pkg.sources()
		if len(sources) == 0 {
			continue // tests alone may import what they like
		}
		row, star, ok := rowOf(pkg.dir)
		if !ok {
			found = append(found, Violation{pkg.dir, 0, "this folder has no row in the import table (internal/arch/rules.go)"})
			continue
		}
		for _, f := range sources {
			for _, spec := range f.ast.Imports {
				for _, problem := range row.problems(pkg.dir, star, spec) {
					found = append(found, Violation{f.path, t.line(spec.Pos()), problem})
				}
			}
		}
	}
	return found
}

// rowOf returns the row of the table for a folder, and what its first "*" stands for.
func rowOf(dir string) (r row, star string, ok bool) {
	for _, r := range table {
		if star, ok := match(r.dir, dir); ok && (!r.suite || isSuite(dir)) {
			return r, star, true
		}
	}
	return row{}, "", false
}

// isSuite tells whether a package is a test suite that others run: it is named for its parent, as in stream/streamtest.
func isSuite(dir string) bool {
	return path.Base(dir) == path.Base(path.Dir(dir))+"test"
}

func (r row) problems(dir, star string, spec *ast.ImportSpec) []string {
	imported := importPath(spec)
	var found []string
	if !r.allows(star, imported) {
		found = append(found, fmt.Sprintf("%s may not import %s", dir, imported))
	}
	if imported == "testing" && !isSuite(dir) {
		found = append(found, "testing belongs in _test.go files and in suites (stream/streamtest)")
	}
	if spec.Name != nil && spec.Name.Name == "." {
		found = append(found, fmt.Sprintf("dot import of %s", imported))
	}
	if spec.Name != nil && spec.Name.Name == "_" && !slices.Contains(blank, imported) {
		found = append(found, fmt.Sprintf("blank import of %s: the wiring lists what exists", imported))
	}
	return found
}

// allows decides about one import path: ours, the standard library's (no dot in the first element), or another module's.
func (r row) allows(star, imported string) bool {
	if own, found := strings.CutPrefix(imported, Module); found && (own == "" || own[0] == '/') {
		own = strings.TrimPrefix(own, "/")
		return matchAny(r.ours, star, own) && !matchAny(r.never, star, own)
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return matchAny(r.std, star, imported)
	}
	if matchAny(r.never, star, imported) {
		return false
	}
	for _, module := range r.third {
		if _, ok := match(module+"/**", imported); ok {
			return true
		}
	}
	return false
}

func matchAny(patterns []string, star, name string) bool {
	for _, pattern := range patterns {
		if _, ok := match(strings.ReplaceAll(pattern, "{1}", star), name); ok {
			return true
		}
	}
	return false
}

// match tells whether a slash-separated name fits a pattern (see row), and what its first "*" stands for.
func match(pattern, name string) (star string, ok bool) {
	var expr strings.Builder
	expr.WriteString("^")
	for i, element := range strings.Split(pattern, "/") {
		slash := "/"
		if i == 0 {
			slash = ""
		}
		switch {
		case element == "**" && i == 0:
			expr.WriteString("(?:[^/]+(?:/[^/]+)*)?")
		case element == "**":
			expr.WriteString("(?:/[^/]+)*")
		default:
			expr.WriteString(slash + strings.ReplaceAll(regexp.QuoteMeta(element), `\*`, "([^/]*)"))
		}
	}
	expr.WriteString("$")
	groups := regexp.MustCompile(expr.String()).FindStringSubmatch(name)
	if groups == nil {
		return "", false
	}
	if len(groups) > 1 {
		star = groups[1]
	}
	return star, true
}
