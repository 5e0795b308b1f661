package arch

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
)

// checkDecoders demands, for every decoder, a fuzz target in the same folder whose body names it: as a call, or, when it
// is reached through another function, in a comment.
func checkDecoders(t *Tree) []Violation {
	var found []Violation
	for _, pkg := range t.packages {
		if !matchAny(decoderDirs, "", pkg.dir) || isSuite(pkg.dir) {
			continue
		}
		targets := t.fuzzBodies(pkg)
		for _, f := range pkg.sources() {
			if f.generated {
				continue
			}
			for _, decl := range f.ast.Decls {
				function, ok := decl.(*ast.FuncDecl)
				if !ok || !isDecoder(function) {
					continue
				}
				name := function.Name.Name
				if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(targets) {
					found = append(found, Violation{f.path, t.line(function.Pos()),
						fmt.Sprintf("decoder %s: no Fuzz function of %s names it", name, pkg.dir)})
				}
			}
		}
	}
	return found
}

func isDecoder(function *ast.FuncDecl) bool {
	params := function.Type.Params.List
	if !decoderName.MatchString(function.Name.Name) || len(params) == 0 {
		return false
	}
	switch first := params[0].Type.(type) {
	case *ast.Ident:
		return first.Name == "string"
	case *ast.ArrayType:
		element, ok := first.Elt.(*ast.Ident)
		return ok && first.Len == nil && element.Name == "byte"
	}
	return false
}

// fuzzBodies returns the source of all fuzz targets of a folder.
func (t *Tree) fuzzBodies(pkg *folder) string {
	var bodies strings.Builder
	for _, f := range pkg.tests() {
		for _, decl := range f.ast.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if ok && function.Recv == nil && function.Body != nil && strings.HasPrefix(function.Name.Name, "Fuzz") {
				bodies.WriteString(t.text(f, function.Body.Pos(), function.Body.End()))
				bodies.WriteByte('\n')
			}
		}
	}
	return bodies.String()
}
