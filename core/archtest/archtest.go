// Package archtest holds halo's architecture as a test: who may import whom,
// what pure code may not do, how packages, files and plugin pages must look.
//
// It only reads source files: it imports none of the packages it judges, runs
// nothing but "go list" (in its own tests), and no program links it. Its tests
// judge the whole tree; further tests feed it small bad trees, so that a rule
// that has stopped firing is noticed.
//
// Read table in imports.go first: it is the import table of core/README.md.
package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// module is the path every package of this repository begins with.
const module = "github.com/halo-ha/halo"

// File is one Go file.
type File struct {
	// Path and Dir are relative to the root of the tree, with slashes.
	Path, Dir string
	// Test tells whether the file is compiled for tests only.
	Test bool
	// Generated tells whether a program wrote it, by Go's convention.
	Generated bool
	// Lines counts all lines.
	Lines int
	// Syntax has comments and positions.
	Syntax *ast.File
}

// Tree is a parsed source tree.
type Tree struct {
	files []File
	set   *token.FileSet
	fsys  fs.FS
}

// Load parses every Go file below the root of fsys but those in testdata and
// in directories that begin with a dot, which the go command ignores as well.
func Load(fsys fs.FS) (*Tree, error) {
	tree := &Tree{set: token.NewFileSet(), fsys: fsys}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (entry.Name()[0] == '.' || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		return tree.add(name)
	})
	if err != nil {
		return nil, fmt.Errorf("load tree: %w", err)
	}
	return tree, nil
}

func (t *Tree) add(name string) error {
	content, err := fs.ReadFile(t.fsys, name)
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(t.set, name, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	t.files = append(t.files, File{
		Path:      name,
		Dir:       path.Dir(name),
		Test:      strings.HasSuffix(name, "_test.go"),
		Generated: ast.IsGenerated(syntax),
		Lines:     bytes.Count(content, []byte("\n")),
		Syntax:    syntax,
	})
	return nil
}

// at puts the place of a node before a finding.
func (t *Tree) at(node ast.Node, format string, args ...any) string {
	position := t.set.Position(node.Pos())
	return fmt.Sprintf("%s:%d: %s", position.Filename, position.Line, fmt.Sprintf(format, args...))
}

// directories lists the directories that have Go files, in order.
func (t *Tree) directories() []string {
	all := make([]string, 0, len(t.files))
	for _, file := range t.files {
		all = append(all, file.Dir)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// matches tells whether a package, by its directory, is what a pattern means:
// itself, or with "/..." at the end also everything below.
func matches(pattern, directory string) bool {
	parent, below := strings.CutSuffix(pattern, "/...")
	return directory == parent || below && strings.HasPrefix(directory, parent+"/")
}

func matchesAny(patterns []string, directory string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, directory) })
}
