package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Tree is the Go source of the module, parsed; nested modules and what is not ours (testdata, vendored) are left out.
type Tree struct {
	fset     *token.FileSet
	gomod    string
	packages []*folder // in order of dir
}

// folder is one directory with Go files: a package, with its tests.
type folder struct {
	dir   string // "internal/core/fault"; "." is the root
	files []*file
}

type file struct {
	path      string
	src       string
	ast       *ast.File
	test      bool // _test.go
	generated bool
}

// Load parses every Go file of the module whose root is the root of fsys.
func Load(fsys fs.FS) (*Tree, error) {
	gomod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	tree := &Tree{fset: token.NewFileSet(), gomod: string(gomod)}
	folders := map[string]*folder{}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && foreign(fsys, name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		dir := path.Dir(name)
		if folders[dir] == nil {
			folders[dir] = &folder{dir: dir}
		}
		f, err := tree.parse(fsys, name)
		folders[dir].files = append(folders[dir].files, f)
		return err
	})
	for _, dir := range slices.Sorted(maps.Keys(folders)) {
		tree.packages = append(tree.packages, folders[dir])
	}
	return tree, err
}

// foreign tells whether a folder holds nothing of this module: the Go tool ignores it, or it is a module of its own.
func foreign(fsys fs.FS, dir string) bool {
	base := path.Base(dir)
	if base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	return err == nil
}

func (t *Tree) parse(fsys fs.FS, name string) (*file, error) {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseFile(t.fset, name, src, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	return &file{
		path:      name,
		src:       string(src),
		ast:       parsed,
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(parsed),
	}, nil
}

// sources yields the files that are not tests.
func (f *folder) sources() []*file {
	return slices.DeleteFunc(slices.Clone(f.files), func(f *file) bool { return f.test })
}

// tests yields the _test.go files.
func (f *folder) tests() []*file {
	return slices.DeleteFunc(slices.Clone(f.files), func(f *file) bool { return !f.test })
}

func (t *Tree) line(pos token.Pos) int { return t.fset.Position(pos).Line }

// text returns the source between two positions of one file.
func (t *Tree) text(f *file, from, to token.Pos) string {
	return f.src[t.fset.Position(from).Offset:t.fset.Position(to).Offset]
}

func importPath(spec *ast.ImportSpec) string {
	value, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return value
}

// localNames maps the name by which a file knows each import to its path.
func (f *file) localNames() map[string]string {
	names := map[string]string{}
	for _, spec := range f.ast.Imports {
		imported := importPath(spec)
		name := path.Base(imported)
		if major, found := strings.CutPrefix(name, "v"); found && isNumber(major) {
			name = path.Base(path.Dir(imported)) // math/rand/v2 is known as rand
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = imported
	}
	return names
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// selection returns the import path and the name of an expression such as time.Now; ok is false for x.f of a variable x.
func selection(names map[string]string, node ast.Node) (imported, name string, ok bool) {
	selector, isSelector := node.(*ast.SelectorExpr)
	if !isSelector {
		return "", "", false
	}
	ident, isIdent := selector.X.(*ast.Ident)
	if !isIdent || ident.Obj != nil { // a resolved identifier is a variable that hides the import
		return "", "", false
	}
	imported, ok = names[ident.Name]
	return imported, selector.Sel.Name, ok
}
